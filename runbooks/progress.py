"""Where a run stands, from its journal alone, and what comes next. Pure.

A step that was begun and not ended is *interrupted*: it is next again, and whoever does it must
look first whether it was done.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runbooks.journal import Begun, Closed, Ended, Entry, Spawned
from runbooks.model import GO_ON, STOP, Runbook

MOST_VISITS = 20  # of one step: a page whose steps lead back would else never end


@dataclass(frozen=True)
class Position:
    """The step that is next; `interrupted`: it was begun before, `spawned`: its command ran."""

    step: str
    interrupted: bool = False
    spawned: Spawned | None = None


@dataclass(frozen=True)
class Over:
    """Nothing is next. `done`: the last step ended well."""

    done: bool
    why: str = ""


def position(runbook: Runbook, entries: Iterable[Entry]) -> Position | Over:
    """What comes next."""
    ids = [each.step.id for each in runbook.steps]
    at = Position(ids[0])
    visits: Mapping[str, int] = {}
    for entry in entries:
        match entry:
            case Begun(step=step):
                at = Position(step, interrupted=True)
            case Spawned(step=step):
                at = Position(step, interrupted=True, spawned=entry)
            case Closed():
                return Over(entry.outcome == "done", entry.why)
            case Ended(step=step):
                visits = {**visits, step: visits.get(step, 0) + 1}
                following = after(ids, entry)
                if following is None:
                    return Over(done=True)
                at = Position(following)
    if visits.get(at.step, 0) >= MOST_VISITS:
        return Over(done=False, why=f"{at.step} was done {MOST_VISITS} times")
    return at


def after(ids: list[str], ended: Ended) -> str | None:
    """The step that follows; the same one where the run stopped; None at the end."""
    if ended.then == STOP:
        return ended.step
    if ended.then != GO_ON:
        return ended.then
    place = ids.index(ended.step) + 1
    return ids[place] if place < len(ids) else None


def stopped(entries: Iterable[Entry]) -> bool:
    """Whether the last step that ended said to stop."""
    last = [entry for entry in entries if isinstance(entry, Ended)][-1:]
    return bool(last) and last[0].then == STOP
