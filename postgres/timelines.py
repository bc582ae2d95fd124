"""What a repository's WAL can be replayed to: timelines, where they fork, and where WAL is missing.

Everything here is decided from names of segments, timeline histories and commit records that were
read before; nothing is fetched. A *chain* is the way that replay takes to a timeline: its ancestors
up to where each was left. The segment of a fork is there under the child's name, and holds the
parent's last records too: https://www.postgresql.org/docs/15/continuous-archiving.html
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from postgres import wal

COMMIT = re.compile(
    r"lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+),.*desc: COMMIT(?:_PREPARED)? "
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC"
)


@dataclass(frozen=True)
class Commit:
    """A commit record: where it begins, and when the transaction committed."""

    place: int
    at: datetime


@dataclass(frozen=True)
class Fork:
    """A timeline's beginning: which one it left, and where."""

    parent: int
    place: int


@dataclass(frozen=True)
class Stretch:
    """A part of a chain: a timeline from one place to another; the last one has no `end`."""

    timeline: int
    begin: int
    end: int | None


@dataclass(frozen=True)
class Run:
    """Segments that follow each other, to the byte `end`; `missing` is the one before newer ones.

    `missing` is "" where the WAL ends there, without a gap.
    """

    names: tuple[str, ...]
    end: int
    missing: str


@dataclass(frozen=True)
class Reach:
    """How far replay gets: to the byte `end`; the last commit before it; as `Run`, why there."""

    end: int
    last: Commit | None
    missing: str


Look = Callable[[str], tuple[Commit, ...]]  # a segment's commits, in order


@dataclass(frozen=True)
class Archive:
    """The WAL of one repository."""

    segments: frozenset[str]
    forks: Mapping[int, Fork]
    look: Look

    @property
    def timelines(self) -> tuple[int, ...]:
        """Every timeline that has WAL here, oldest first."""
        return tuple(sorted({wal.timeline_of(name) for name in self.segments}))

    def chain(self, timeline: int) -> tuple[Stretch, ...]:
        """The way to a timeline, oldest part first."""
        parts = [Stretch(timeline, self._begin(timeline), None)]
        while (fork := self.forks.get(parts[0].timeline)) is not None:
            parts.insert(0, Stretch(fork.parent, self._begin(fork.parent), fork.place))
        return tuple(parts)

    def follows(self, timeline: int, ancestor: int, place: int) -> bool:
        """Whether the way to `timeline` passes this place of `ancestor`."""
        return any(
            part.timeline == ancestor and (part.end is None or place <= part.end)
            for part in self.chain(timeline)
        )

    def reach(self, timeline: int, start: str) -> Reach:
        """How far replay gets from segment `start` along the way to a timeline."""
        run = self.run(timeline, start)
        return Reach(run.end, self._last(list(run.names)), run.missing)

    def run(self, timeline: int, start: str) -> Run:
        """The segments from `start` on along the way to a timeline; reads none of them."""
        number = wal.begins_at(start) // wal.SEGMENT_BYTES
        got: list[str] = []
        while True:
            name = self._name(timeline, number)
            if name not in self.segments:
                break
            got.append(name)
            number += 1
        end = number * wal.SEGMENT_BYTES
        return Run(tuple(got), end, "" if self._is_end(timeline, number) else name)

    def first(self, timeline: int) -> Commit | None:
        """The first commit that was made on a timeline itself."""
        begin = self._begin(timeline)
        for name in self._own(timeline):
            found = [commit for commit in self.look(name) if commit.place >= begin]
            if found:
                return found[0]
        return None

    def last(self, timeline: int) -> tuple[Commit, int] | None:
        """The last commit of a timeline, and on which timeline's way its record is to be found.

        The end of a timeline is in the first segment of the one that followed it.
        """
        begin = self._begin(timeline)
        own = self._last(self._own(timeline))
        found = [(own, timeline)] if own and own.place >= begin else []
        for child, fork in self.forks.items():
            name = wal.segment_at(child, fork.place)
            if fork.parent == timeline and name in self.segments:
                tail = [c for c in self.look(name) if begin <= c.place < fork.place]
                found += [(commit, child) for commit in tail[-1:]]
        # A segment may be there under both names: what went on after the fork is the parent's own.
        return max(found, key=lambda each: (each[0].place, each[1] == timeline), default=None)

    def _own(self, timeline: int) -> list[str]:
        return sorted(name for name in self.segments if wal.timeline_of(name) == timeline)

    def _begin(self, timeline: int) -> int:
        fork = self.forks.get(timeline)
        return fork.place if fork else 0

    def _name(self, timeline: int, number: int) -> str:
        """The segment of that number on the way to a timeline: the newest that has it."""
        place = number * wal.SEGMENT_BYTES
        for part in reversed(self.chain(timeline)):
            if part.begin // wal.SEGMENT_BYTES <= number:
                return wal.segment_at(part.timeline, place)
        return wal.segment_at(timeline, place)

    def _is_end(self, timeline: int, number: int) -> bool:
        """Whether nothing of the way is there from this segment on: it ends, without a gap."""
        place = number * wal.SEGMENT_BYTES
        return all(
            wal.begins_at(name) < place
            for part in self.chain(timeline)
            for name in self._own(part.timeline)
            if part.end is None or wal.begins_at(name) < part.end
        )

    def _last(self, names: list[str]) -> Commit | None:
        for name in reversed(names):
            commits = self.look(name)
            if commits:
                return commits[-1]
        return None


def parse_commits(text: str) -> tuple[Commit, ...]:
    """What `pg_waldump --rmgr=Transaction` prints of a segment, with TZ=UTC."""
    return tuple(
        Commit(wal.lsn(found["lsn"]), datetime.fromisoformat(found["at"]).replace(tzinfo=UTC))
        for line in text.splitlines()
        if (found := COMMIT.search(line))
    )


def parse_history(text: str, timeline: int) -> dict[int, Fork]:
    """A timeline's history file: a line an ancestor, oldest first; where each one was left."""
    words = [line.split() for line in text.splitlines()]
    rows = [(int(row[0]), wal.lsn(row[1])) for row in words if len(row) > 1 and row[0].isdigit()]
    children = [number for number, _ in rows[1:]] + [timeline]
    return {
        child: Fork(parent, place) for child, (parent, place) in zip(children, rows, strict=False)
    }
