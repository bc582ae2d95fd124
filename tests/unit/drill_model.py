"""The checkers once more, slow and obvious: loops and sets over one operation at a time.

Nothing here comes from the checkers. Times are whole ticks, a tenth of a second each, so that
histories made at random meet every border; it is what DRILLS.md says, word for word.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.drill.contracts import Availability, Effect, Promise
from cluster.drill.outcome import Outcome

WINDOW, PERCENT = 10, 99  # ticks in which service must hold, and what share of it
TOUCHED_WINDOW, TOUCHED_PERCENT = 5, 50
GOOD_WITHIN, BEFORE, ACKS_BEFORE, STALL = 3, 5, 3, 10
NEVER = -(10**6)

Down = tuple[int, int | None]


@dataclass(frozen=True)
class Op:
    """`outcome` None: its intent alone was written down."""

    due: int
    outcome: Outcome | None
    sent: int = 0
    done: int = 0
    retries: int = 0

    @property
    def acked(self) -> bool:
        return self.outcome is Outcome.ACKED

    @property
    def good(self) -> bool:
        return self.acked and self.done - self.due <= GOOD_WITHIN


@dataclass(frozen=True)
class Flow:
    """A stream; `read` holds (stream number, sequence) of each row, None where it was not read."""

    number: int
    group: str
    step: int  # ticks between two operations
    promise: Promise
    ops: tuple[Op, ...]
    read: tuple[tuple[int, int], ...] | None

    @property
    def until(self) -> int:
        return self.ops[-1].due + self.step if self.ops else NEVER


@dataclass(frozen=True)
class Look:
    """A sample of a group."""

    group: str
    began: int
    ended: int
    leaders: tuple[str, ...]
    epoch: int | None
    detected: bool
    protected: bool | None


@dataclass(frozen=True)
class Break:
    """A fault that was proved to have hit."""

    began: int
    at: int
    undoing: int | None
    undone: int | None


@dataclass(frozen=True)
class Story:
    """A run; `group` is what its fault is about."""

    group: str
    effect: Effect
    flows: tuple[Flow, ...]
    looks: tuple[Look, ...]
    faults: tuple[Break, ...]
    stalls: tuple[int, ...]  # their lengths
    stopped: bool

    @property
    def fault(self) -> Break | None:
        return self.faults[0] if self.faults else None

    @property
    def stalled(self) -> bool:
        return any(ticks > STALL for ticks in self.stalls)

    def seen(self, group: str) -> list[Look]:
        return [look for look in self.looks if look.group == group]

    @property
    def undone(self) -> int | None:
        times = [fault.undone for fault in self.faults]
        return (
            None if None in times or not times else max(time for time in times if time is not None)
        )

    @property
    def undoing(self) -> int | None:
        return min((f.undoing for f in self.faults if f.undoing is not None), default=None)


# What was acknowledged against what was read.


def defects(flow: Flow) -> dict[str, list[tuple[int, int]]]:
    """The rows that break a promise, and `recovered`, which does not."""
    assert flow.read is not None
    times = Counter(flow.read)
    mine = {(flow.number, n): op for n, op in enumerate(flow.ops)}
    found: dict[str, list[tuple[int, int]]] = {
        "lost": [],
        "recovered": [],
        "resurrected": [],
        "duplicate": [],
        "phantom": sorted(row for row in times if row not in mine),
    }
    for row, op in mine.items():
        if op.acked and not times[row]:
            found["lost"].append(row)
        if op.outcome in {None, Outcome.UNKNOWN} and times[row]:
            found["recovered"].append(row)
        if op.outcome in {Outcome.FAILED, Outcome.UNSENT} and times[row]:
            found["resurrected"].append(row)
        if times[row] > 1:
            found["duplicate"].append(row)
    return found


def lost_acks(flow: Flow) -> list[int]:
    return [flow.ops[sequence].done for _, sequence in defects(flow)["lost"]]


def rpo(story: Story, flow: Flow) -> int:
    """Ticks from the oldest lost ack to the fault, or to the newest lost one if that is later."""
    acks = lost_acks(flow)
    if not acks:
        return 0
    until = [*acks, story.fault.at] if story.fault else acks
    return max(until) - min(acks)


def unprotected(story: Story, flow: Flow, tick: int) -> bool:
    """Is it certain that no synchronous standby was attached in this tick?"""
    looks = story.seen(flow.group)
    for number, look in enumerate(looks):
        later = [other.began for other in looks[number + 1 :] if other.protected is not False]
        end = later[0] if later else flow.until
        if look.protected is False and look.ended <= tick < end:
            return True
    return False


def relieved(story: Story, flow: Flow, tick: int) -> bool:
    """Did an unprotected time end just as this tick began, though another may begin with it?"""
    looks = story.seen(flow.group)
    return any(look.began == tick and look.protected is not False for look in looks)


def unprotected_acks(story: Story, flow: Flow) -> list[int]:
    return sorted(op.done for op in flow.ops if op.acked and unprotected(story, flow, op.done))


def unprotected_ticks(story: Story, flow: Flow) -> int:
    """From the beginning of each unprotected time to the last ack in it."""
    acks = unprotected_acks(story, flow)
    total = 0
    for number, ack in enumerate(acks):
        following = acks[number + 1] if number + 1 < len(acks) else None
        if following is None or not all(
            unprotected(story, flow, tick) and not relieved(story, flow, tick + 1)
            for tick in range(ack, following)
        ):
            begun = ack
            while unprotected(story, flow, begun - 1) and not relieved(story, flow, begun):
                begun -= 1
            total += ack - begun
    return total


# When it was down.


def origin(story: Story, flow: Flow) -> int | None:
    if flow.promise.availability is Availability.RESTORED_AFTER_UNDO:
        return story.undone
    return story.fault.at if story.fault else None


def outages(story: Story, flow: Flow) -> list[Down]:
    since = origin(story, flow)
    if since is None:
        return []
    untouched = flow.promise.availability is Availability.UNTOUCHED
    window = TOUCHED_WINDOW if untouched else WINDOW
    percent = TOUCHED_PERCENT if untouched else PERCENT

    def holds(at: int) -> bool:
        ops = [op for op in flow.ops if at <= op.due < at + window]
        return bool(ops) and 100 * sum(op.good for op in ops) >= percent * len(ops)

    if since + window > flow.until:
        return [(since, None)]
    found: list[Down] = []
    down = None if holds(since) else since
    for op in flow.ops:
        if op.due < since or op.due + window > flow.until:
            continue
        if down is None and not holds(op.due):
            down = next(bad.due for bad in flow.ops if bad.due >= op.due and not bad.good)
        elif down is not None and holds(op.due) and op.good:
            found.append((down, op.due))
            down = None
    return [*found, (down, None)] if down is not None else found


def first_success(story: Story, flow: Flow) -> int | None:
    since = origin(story, flow)
    if since is None:
        return None
    return min((op.done for op in flow.ops if op.acked and op.sent >= since), default=None)


def split_at_origin(story: Story, flow: Flow) -> tuple[list[Down], list[Down]]:
    """The outages that the fault caused, and those that came after the recovery."""
    since = origin(story, flow)
    assert since is not None
    voted = elected(story) if flow.group == story.group else None
    limit = since if voted is None else max(since, voted)
    found = outages(story, flow)
    return [o for o in found if o[0] <= limit], [o for o in found if o[0] > limit]


def sustained(story: Story, flow: Flow) -> int | None:
    since = origin(story, flow)
    if since is None:
        return None
    caused, _ = split_at_origin(story, flow)
    back = caused[-1][1] if caused else since
    first = first_success(story, flow)
    return back if back is None or first is None else max(back, first)


def baseline(story: Story, flow: Flow) -> tuple[int, int]:
    assert story.fault
    end = story.fault.began - GOOD_WITHIN
    ops = [op for op in flow.ops if end - BEFORE <= op.due < end]
    return len(ops), sum(op.good for op in ops)


def acked_in_vain(story: Story, flow: Flow) -> int:
    if story.fault is None:
        return 0
    end = flow.until if story.undoing is None else story.undoing
    return sum(op.acked and story.fault.at <= op.sent < end for op in flow.ops)


# Who led.


def before_fault(story: Story) -> Look | None:
    assert story.fault
    looks = [look for look in story.seen(story.group) if look.ended <= story.fault.began]
    return looks[-1] if looks else None


def elected(story: Story) -> int | None:
    if story.fault is None:
        return None
    before = before_fault(story)
    if before is None or not before.leaders or before.epoch is None:
        return None
    for look in story.seen(story.group):
        new = [node for node in look.leaders if node not in before.leaders]
        later = look.epoch is not None and look.epoch > before.epoch
        if look.began >= story.fault.began and new and later:
            return look.ended
    return None


def detected(story: Story) -> int | None:
    if story.fault is None:
        return None
    for look in story.seen(story.group):
        if look.began >= story.fault.began and look.detected:
            return look.ended
    return elected(story)


def had_effect(story: Story) -> bool:
    assert story.fault
    before = before_fault(story)
    if story.effect is Effect.ANY:
        return True
    if before is None or not before.leaders:
        return False
    if story.effect is Effect.NEW_LEADER:
        return elected(story) is not None
    return all(
        (look.leaders, look.epoch) == (before.leaders, before.epoch)
        for look in story.seen(story.group)
        if look.began >= story.fault.began and look.leaders
    )


def sightings(looks: Sequence[Look]) -> list[tuple[int, tuple[str, ...], bool]]:
    """When two led at once, who at last, and whether two samples running saw the same two."""
    chains: list[list[Look]] = []
    for look in looks:
        if chains and len(set(look.leaders) & set(chains[-1][-1].leaders)) > 1:
            chains[-1].append(look)
        else:
            chains.append([look])
    return [
        (chain[0].ended, tuple(sorted(chain[-1].leaders)), len(chain) > 1)
        for chain in chains
        if len(chain[0].leaders) > 1
    ]
