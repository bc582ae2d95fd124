"""Which instants can be restored to, and from what: pure, from what is in the repository.

An instant means the data as it was *then*: in the history that was being written at that time. So
what was written after a restore in place, and what was written before it and put away by it, can
both be reached by the clock alone, as with PostgreSQL's timelines.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cluster.backup.contracts import Window
from cluster.errors import InvalidInputError
from mongo.backup import stamps
from mongo.backup.manifest import FIRST_HISTORY, History, Manifest, ancestry
from mongo.backup.slices import Gap, Piece, Reach, Slice, reach
from mongo.backup.stamps import Stamp

REPOSITORY = 1
NAMED_WINDOWS = 4  # in a message
SECOND = timedelta(seconds=1)
ALWAYS, FOR_EVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
Slices = Mapping[tuple[int, str], Sequence[Slice]]  # by history and set


@dataclass(frozen=True)
class Catalogue:
    """What the repository holds, of all histories, seen from one: `current` goes on."""

    current: int
    histories: Mapping[int, History]
    manifests: tuple[Manifest, ...]
    slices: Slices
    gaps: tuple[Gap, ...] = ()

    @property
    def line(self) -> tuple[int, ...]:
        """The current history and what it came from, the oldest first."""
        return ancestry(self.histories, self.current)

    def limit(self, history: int, replica_set: str) -> Stamp | None:
        """The last entry of a history that the current one has taken over; None: all of them."""
        line = self.line
        place = line.index(history) + 1
        if place == len(line):
            return None
        branch = self.histories[line[place]].sets.get(replica_set)
        return branch.last if branch else None


@dataclass(frozen=True)
class Source:
    """A snapshot, and how far each set's archive goes on from it."""

    manifest: Manifest
    reaches: Mapping[str, Reach]

    @property
    def first(self) -> datetime:
        """The earliest instant."""
        return max(stamps.first_reachable(part.last) for part in self.manifest.sets.values())

    @property
    def last(self) -> datetime:
        """The latest one."""
        return min(stamps.reachable(one.last) for one in self.reaches.values())


@dataclass(frozen=True)
class SetPlan:
    """What a set is restored from: its part of the snapshot, then these pieces."""

    replica_set: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Plan:
    """A restore to before `cut`, on all sets, of the data as it was in `history`."""

    manifest: Manifest
    cut: Stamp
    sets: tuple[SetPlan, ...]
    history: int

    @property
    def instant(self) -> datetime:
        """What everything was before."""
        return self.cut.instant


def source(catalogue: Catalogue, manifest: Manifest) -> Source | None:
    """How far a snapshot's sets can be brought; None where it is of a history that was left."""
    line = catalogue.line
    if manifest.history not in line:
        return None
    reaches = {}
    for name, part in manifest.sets.items():
        limit = catalogue.limit(manifest.history, name)
        if limit is not None and part.last > limit:
            return None
        reaches[name] = _reach(catalogue, line[line.index(manifest.history) :], name, part.last)
    return Source(manifest, reaches)


def _reach(catalogue: Catalogue, line: Sequence[int], name: str, start: Stamp) -> Reach:
    """Through a history, and those that followed from it, each from where it left the other."""
    found = Reach(start, ())
    for history in line:
        limit = catalogue.limit(history, name)
        own = reach(catalogue.slices.get((history, name), ()), found.last, limit)
        found = replace(own, pieces=(*found.pieces, *own.pieces))
        if limit is not None and own.last < limit:
            return found  # what the next history builds on is missing
    return found


def every_source(catalogue: Catalogue) -> tuple[Source, ...]:
    """Every snapshot of the current history and of those that it came from, oldest first."""
    found = (source(catalogue, one) for one in catalogue.manifests)
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.first))


def sources(catalogue: Catalogue) -> tuple[Source, ...]:
    """Those from which an instant can be reached."""
    return tuple(one for one in every_source(catalogue) if one.first <= one.last)


@dataclass(frozen=True)
class Era:
    """When a history was the one that is written: whole seconds, both counted."""

    then: Catalogue
    first: datetime
    last: datetime

    def sources(self) -> tuple[Source, ...]:
        """The snapshots from which an instant of the era can be reached."""
        return tuple(
            one for one in sources(self.then) if one.first <= self.last and one.last >= self.first
        )


def eras(catalogue: Catalogue) -> Iterator[Era]:
    """The histories one after another, up to the current one, which has not ended."""
    numbers = [FIRST_HISTORY, *sorted(catalogue.histories)]
    begins = [ALWAYS, *(_whole(catalogue.histories[one].made) for one in numbers[1:])]
    ends = [*(begun - SECOND for begun in begins[1:]), FOR_EVER]
    for number, first, last in zip(numbers, begins, ends, strict=True):
        yield Era(replace(catalogue, current=number), first, last)


def _whole(at: datetime) -> datetime:
    """The first second that begins then or later."""
    begun = at.replace(microsecond=0)
    return begun if begun == at else begun + SECOND


def windows(catalogue: Catalogue) -> tuple[Window, ...]:
    """The instants that can be restored to, without those in a gap."""
    spans: list[tuple[datetime, datetime]] = []
    for era in eras(catalogue):
        for one in era.sources():
            first, last = max(one.first, era.first), min(one.last, era.last)
            if spans and first <= spans[-1][1]:
                spans[-1] = spans[-1][0], max(spans[-1][1], last)
            else:
                spans.append((first, last))
    return tuple(Window(REPOSITORY, first, last) for first, last in spans)


def plan(catalogue: Catalogue, instant: datetime) -> Plan:
    """What to restore from. Raises InvalidInputError that names the possible range."""
    cut = stamps.cut(instant)
    era = next(one for one in eras(catalogue) if one.first <= cut.instant <= one.last)
    chosen = [one for one in era.sources() if one.first <= cut.instant <= one.last]
    if not chosen:
        raise InvalidInputError(
            f"MongoDB cannot be restored to {_text(instant)}: {_why(era, cut.instant)}",
            _possible(windows(catalogue)),
        )
    best = chosen[-1]
    sets = (
        SetPlan(name, tuple(_before(best.reaches[name].pieces, cut)))
        for name in sorted(best.manifest.sets)
    )
    return Plan(best.manifest, cut, tuple(sets), era.then.current)


def _before(pieces: Iterable[Piece], cut: Stamp) -> Iterable[Piece]:
    """The pieces of which something lies before `cut`."""
    last = Stamp(cut.seconds - 1, 0xFFFFFFFF)
    return (replace(one, upto=min(one.upto, last)) for one in pieces if one.after < last)


def _why(era: Era, instant: datetime) -> str:
    found = sources(era.then)
    if not found:
        return "there is no snapshot from which anything can be restored"
    if instant < found[0].first:
        return "that is before the first snapshot"
    earlier = [one for one in found if one.first <= instant]
    for name, reached in earlier[-1].reaches.items():
        if stamps.reachable(reached.last) < instant and reached.missing is not None:
            return (
                f"{name}'s archive lacks what happened from {_text(reached.last.instant)} "
                f"to {_text(reached.missing.instant)}"
            )
    if era.last != FOR_EVER:
        return f"that is past the end of history {era.then.current}, which a restore in place ended"
    return "that is past the end of the archive"


def _possible(found: Sequence[Window]) -> str:
    if not found:
        return "take one with `backup run`"
    shown = [f"{_text(one.first)} to {_text(one.last)}" for one in found[-NAMED_WINDOWS:]]
    return f"possible: {', '.join(shown)}"


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def superfluous(catalogue: Catalogue, keep: int) -> tuple[tuple[str, ...], tuple[Slice, ...]]:
    """What retention no longer keeps: labels of snapshots, and slices.

    The newest `keep` snapshots that can be restored from stay, with all that follows the oldest.
    """
    usable = sorted(sources(catalogue), key=lambda one: one.manifest.label)
    kept = [one.manifest for one in usable[-keep:]]
    if len(kept) < keep:
        return (), ()
    oldest, kept_labels = kept[0], {one.label for one in kept}
    old = [
        one.label
        for one in catalogue.manifests
        if one.label not in kept_labels and one.label < oldest.label
    ]
    gone = [
        one
        for (history, name), slices in catalogue.slices.items()
        for one in slices
        if history < oldest.history or (history == oldest.history and _ends(one, oldest, name))
    ]
    return tuple(old), tuple(gone)


def _ends(one: Slice, oldest: Manifest, name: str) -> bool:
    """Whether a slice ends before the snapshot that is kept."""
    return name in oldest.sets and one.last <= oldest.sets[name].last
