"""Cluster time: the instants that all shards of a cluster agree on.

A cluster time is a second since 1970 and a number in it. Servers pass it on with every message, so
what came after something anywhere in the cluster has a later one. Its seconds are those of the
clock of the node that is furthest ahead, so an instant of the clock is a cluster time only where a
second begins: all of earlier seconds lies before it, and nothing else.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from bson.timestamp import Timestamp

TEXT_LENGTH = 16


class Stamp(NamedTuple):
    """A cluster time: `optime.ts` of MongoDB."""

    seconds: int
    number: int

    @property
    def text(self) -> str:
        """16 hexadecimal digits, whose order as text is their order in time."""
        return f"{self.seconds:08x}{self.number:08x}"

    @property
    def bson(self) -> Timestamp:
        """As MongoDB takes it."""
        return Timestamp(self.seconds, self.number)

    @property
    def instant(self) -> datetime:
        """The beginning of its second."""
        return datetime.fromtimestamp(self.seconds, UTC)


def of(timestamp: Timestamp) -> Stamp:
    """As MongoDB gives it."""
    return Stamp(timestamp.time, timestamp.inc)


def parse(text: str) -> Stamp:
    """What `text` made. Raises ValueError for anything else."""
    if len(text) != TEXT_LENGTH:
        raise ValueError(f"no cluster time: {text!r}")
    return Stamp(int(text[:8], 16), int(text[8:], 16))


def cut(instant: datetime) -> Stamp:
    """What a restore to `instant` keeps is before this, on every shard: whole seconds alone."""
    return Stamp(int(instant.timestamp()), 0)


def reachable(last: Stamp) -> datetime:
    """The latest instant to which everything is there, where `last` is the newest that is there.

    More may come in its own second.
    """
    return datetime.fromtimestamp(last.seconds, UTC)


def first_reachable(last: Stamp) -> datetime:
    """The earliest instant that a snapshot, whose newest write is `last`, can be restored to."""
    return datetime.fromtimestamp(last.seconds + 1, UTC)
