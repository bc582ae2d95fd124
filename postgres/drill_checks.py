"""Checkers that PostgreSQL's drills add: each reads a run's folder alone."""

from collections.abc import Iterable, Iterator

from cluster.drill.checkers.availability import acked_between
from cluster.drill.events import Record
from cluster.drill.evidence import COLLECTED
from cluster.drill.judge import Check
from cluster.drill.measures import Measures, StreamMeasures
from cluster.drill.verdict import Finding, invalid, unknown, valid
from postgres import restore_checks
from postgres.wal import following, missing_between

DEMOTED_FIRST = "demoted first"
OLD_SIDE_SILENT = "old side silent"
FAILSAFE = "failsafe"
CAUGHT_UP = "archive caught up"
POOLED_AS_FRESH = "pooled as fresh"
NO_CORRUPTION = "no corruption"
EXPOSURE = "exposure"
WHILE_FULL = "while full"

STRAIGHT = "straight"  # how the streams' names end
FRESH = "fresh"
MARGIN = 3.0  # seconds: a health check's fall, and a new connection

FAILSAFE_FILE = "failsafe.json"
OUTAGE_FILE = "archive-outage.json"
ARCHIVE_FILE = "archive-after.json"
COPIES_FILE = "copies.json"


class FailsafeSeen(Record):
    """What was asked just before etcd came back."""

    leader: str
    active: bool
    etcd_answering: int


class ArchiveOutage(Record):
    """PostgreSQL's account just before the archive came back: names of WAL segments.

    `waiting` are to be archived, `present` is what pg_wal holds, `last` the newest finished one.
    """

    waiting: tuple[str, ...]
    present: tuple[str, ...]
    last: str


class ArchiveAfter(Record):
    """The repository's segments of the leader's timeline, after convergence."""

    archived: tuple[str, ...]


class Copy(Record):
    """What a member holds: of each table the number and the sum of its rows."""

    tables: dict[str, str]
    checksum_failures: int


class Copies(Record):
    """Every member's copy, by its name."""

    members: dict[str, Copy]


def demoted_first(measures: Measures) -> Iterator[Finding]:
    """The old primary took no writes any more when the other was promoted."""
    group = measures.run.config.group
    if measures.fault is None:
        return
    since = measures.fault.began_ns
    both = [
        sample
        for sample in measures.samples(group)
        if sample.began_ns >= since
        and (sample.observation.stale or _two(sample.observation.leaders))
    ]
    if measures.elected_ns is None:
        yield unknown(DEMOTED_FIRST, "no other leader was seen", group)
    elif both:
        seconds = measures.since_fault(both[0].ended_ns) or 0.0
        who = " and ".join([*both[0].observation.stale, *both[0].observation.leaders])
        yield invalid(DEMOTED_FIRST, f"{who} took writes at once, {seconds:.1f} s after", group)
    else:
        yield valid(DEMOTED_FIRST, "never two that take writes", group)


def old_side_silent(measures: Measures) -> Iterator[Finding]:
    """Nothing sent to the old primary after the other was elected was acknowledged, ever."""
    elected = measures.elected_ns
    for stream in _ending(measures, STRAIGHT):
        name = stream.config.name
        if elected is None:
            yield unknown(OLD_SIDE_SILENT, "no other leader was seen", name)
            continue
        sent = int((stream.history.sent >= elected).sum())
        acked = acked_between(stream.history, elected, stream.until_ns)
        if acked:
            text = f"{acked:,} writes acknowledged by the old primary after the election"
            yield invalid(OLD_SIDE_SILENT, text, name)
        elif not sent:
            yield unknown(OLD_SIDE_SILENT, "nothing was sent to the old primary", name)
        else:
            yield valid(OLD_SIDE_SILENT, f"none of {sent:,} sent after the election", name)


def failsafe(measures: Measures) -> Iterator[Finding]:
    """Etcd was gone, and it was failsafe mode that kept the leader."""
    if measures.fault is None:
        return
    seen = FailsafeSeen.model_validate_json(_collected(measures, FAILSAFE_FILE))
    if seen.etcd_answering:
        yield unknown(FAILSAFE, f"{seen.etcd_answering} members of etcd still had a leader")
    elif not seen.active:
        yield unknown(FAILSAFE, f"{seen.leader} did not say that failsafe mode was active")
    else:
        yield valid(FAILSAFE, f"{seen.leader} led in failsafe mode, without any etcd")


def caught_up(measures: Measures) -> Iterator[Finding]:
    """No segment was removed before it was archived, and the archive has no gap."""
    if measures.fault is None:
        return
    during = ArchiveOutage.model_validate_json(_collected(measures, OUTAGE_FILE))
    after = ArchiveAfter.model_validate_json(_collected(measures, ARCHIVE_FILE))
    # Segments of older timelines, which pg_rewind brought along, may come up for archiving again.
    first = min((name for name in during.waiting if name[:8] == during.last[:8]), default=None)
    if first is None:
        yield unknown(CAUGHT_UP, "nothing waited for the archive: the outage was not felt")
        return
    removed = missing_between(first, during.last, during.present)
    older = [name for name in during.waiting if name[:8] < during.last[:8]]
    gaps = [
        *(name for name in older if name not in after.archived),
        *missing_between(first, during.last, after.archived),
    ]
    if removed:
        yield invalid(CAUGHT_UP, f"removed before it was archived: {_few(removed)}")
    if gaps:
        yield invalid(CAUGHT_UP, f"the archive lacks {_few(gaps)}")
    if not removed and not gaps:
        count = len(following(first, during.last))
        yield valid(CAUGHT_UP, f"{count} segments waited, all were kept and are in the archive")


def pooled_as_fresh(measures: Measures) -> Iterator[Finding]:
    """Sessions that were open before the change serve as soon as new ones do."""
    if measures.fault is None:
        return
    fresh = [stream.sustained_ns for stream in _ending(measures, FRESH)]
    if not fresh or fresh[0] is None:
        yield unknown(POOLED_AS_FRESH, "new connections were not served again")
        return
    for stream in measures.streams:
        if stream.config.name.endswith(FRESH):
            continue
        if stream.sustained_ns is None:
            yield invalid(POOLED_AS_FRESH, "not served again, new ones were", stream.config.name)
            continue
        behind = (stream.sustained_ns - fresh[0]) / 1e9
        # A session that the proxies have ended costs its client one failure, when it is used next.
        allowed = MARGIN + stream.config.workers / stream.config.rate
        text = f"served {behind:+.1f} s after new connections (allowed {allowed:.1f} s)"
        found = valid if behind <= allowed else invalid
        yield found(POOLED_AS_FRESH, text, stream.config.name)


def exposure(measures: Measures) -> Iterator[Finding]:
    """How long writes were acknowledged that no standby had, and that this has ended."""
    group = measures.run.config.group
    samples = measures.samples(group)
    if measures.fault is None or not samples:
        return
    seconds = max((stream.exposure.seconds for stream in measures.streams), default=0.0)
    acked = sum(stream.exposure.acked for stream in measures.streams)
    text = f"{seconds:.1f} s without a synchronous standby, {acked:,} writes acknowledged meanwhile"
    if not seconds:
        yield unknown(EXPOSURE, "the synchronous standby was never seen to be away", group)
    elif samples[-1].observation.protected:
        yield valid(EXPOSURE, text, group)
    else:
        yield invalid(EXPOSURE, f"{text}; it did not come back", group)


def no_corruption(measures: Measures) -> Iterator[Finding]:
    """Every page could be read on every member, and all hold the same rows."""
    if measures.fault is None:
        return
    copies = Copies.model_validate_json(_collected(measures, COPIES_FILE)).members
    tables = {table for copy in copies.values() for table in copy.tables}
    failed = [name for name, copy in copies.items() if copy.checksum_failures]
    differ = [
        table for table in sorted(tables) if len({c.tables.get(table) for c in copies.values()}) > 1
    ]
    if failed:
        yield invalid(NO_CORRUPTION, f"pages with a wrong checksum on {', '.join(failed)}")
    if differ:
        yield invalid(NO_CORRUPTION, f"the members differ in {_few(differ)}")
    if len(copies) < 2 or not tables:
        yield unknown(NO_CORRUPTION, f"{len(tables)} tables on {len(copies)} members compared")
    elif not failed and not differ:
        members = " and ".join(copies)
        yield valid(NO_CORRUPTION, f"{len(tables)} tables read whole and equal on {members}")


def while_full(measures: Measures) -> Iterator[Finding]:
    """Who served while the volume was full: nothing is promised of it, and people want to know."""
    if measures.fault is None:
        return
    seconds, undoing = measures.since_fault(measures.elected_ns), measures.undoing_ns
    taken_over = measures.elected_ns is not None and (undoing or 0) > measures.elected_ns
    yield valid(
        WHILE_FULL,
        f"a standby took over after {seconds:.1f} s"
        if taken_over
        else "no standby took over: Patroni kept the key and tried to start the primary again",
        measures.run.config.group,
    )


def _two(leaders: tuple[str, ...]) -> bool:
    return len(leaders) > 1


def _ending(measures: Measures, word: str) -> list[StreamMeasures]:
    return [stream for stream in measures.streams if stream.config.name.endswith(word)]


def _collected(measures: Measures, name: str) -> bytes:
    return (measures.run.folder / COLLECTED / name).read_bytes()


def _few(names: Iterable[str]) -> str:
    first, *others = list(names)
    return f"{first} and {len(others)} more" if others else first


CHECKS: dict[str, Check] = {
    DEMOTED_FIRST: demoted_first,
    OLD_SIDE_SILENT: old_side_silent,
    FAILSAFE: failsafe,
    CAUGHT_UP: caught_up,
    POOLED_AS_FRESH: pooled_as_fresh,
    NO_CORRUPTION: no_corruption,
    EXPOSURE: exposure,
    WHILE_FULL: while_full,
    **restore_checks.CHECKS,
}
