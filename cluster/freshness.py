"""How old an answer can be that a replica gave: one rule for both engines.

How far the primary is is asked before the replica is read, and dates are the primary's own: each
write carries the time at which the primary took it. A replica that has all that the primary had
when it was asked is not behind, however long ago the last write was; one that lacks anything is as
old as the newest write that it has. Both are upper bounds, for it goes on while it is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

PRIMARY = "primary"  # a role
SETTLE_SECONDS = 0.5  # how long a replica may take to get where the primary was when it was asked


@dataclass(frozen=True)
class Asked:
    """Where the primary was, and the time by its clock. `place` grows with every write."""

    place: int
    at: datetime


@dataclass(frozen=True)
class Reached:
    """How far a member is. `newest`: when the primary took the newest write that it has."""

    place: int
    newest: datetime | None


@dataclass(frozen=True)
class Answered:
    """Who answered, and how old the answer can be at most.

    It holds every write until `as_of`, `staleness_seconds` before the primary was asked; None
    where the primary did not say how far it is (then `as_of` is of the newest write in it).
    `staleness_bytes` is WAL not replayed, where the engine counts it.
    """

    store: str
    member: str
    role: str
    as_of: datetime | None
    staleness_seconds: float | None
    staleness_bytes: int | None = None

    @property
    def text(self) -> str:
        """For people: who, and how far behind."""
        who = f"{self.store}: {self.member} ({self.role})"
        if self.role == PRIMARY:
            return who
        if self.staleness_seconds is None:
            return f"{who}, behind by nobody knows what: the primary does not answer"
        if not self.staleness_seconds:
            return f"{who}, not behind the primary"
        size = f" and {self.staleness_bytes:,} bytes" if self.staleness_bytes else ""
        return f"{who}, at most {self.staleness_seconds:.1f} s{size} behind the primary"


def answered(store: str, member: str, role: str, asked: Asked | None, reached: Reached) -> Answered:
    """What is to be said of a member's answer; `asked` is None where no primary answered."""
    if asked is None:
        return Answered(store, member, role, reached.newest, None)
    if reached.place >= asked.place:
        return Answered(store, member, role, asked.at, 0.0)
    if reached.newest is None:
        return Answered(store, member, role, None, None)
    behind = (asked.at - reached.newest).total_seconds()
    return Answered(store, member, role, reached.newest, max(0.0, behind))


def staleness(sources: Sequence[Answered]) -> float | None:
    """Of an answer put together from several: the oldest part's, None where one is unknown."""
    known = [one.staleness_seconds for one in sources]
    return None if None in known else max((value for value in known if value), default=0.0)


def as_of(sources: Sequence[Answered]) -> datetime | None:
    """Until when an answer from several holds every write."""
    known = [one.as_of for one in sources]
    return None if None in known else min((value for value in known if value), default=None)
