"""A drill at another rate than its own."""

from dataclasses import replace
from math import ceil

from cluster.drill.contracts import Drill, Stream
from cluster.errors import InvalidInputError

MOST_WORKERS = 255  # the ledger has a byte for them


def at_rate(drill: Drill, rate: float) -> Drill:
    """The same drill with `rate` operations a second over all of its streams together.

    Each stream keeps its share. Its workers grow with it, up to 255: where those are too few for
    the store's latency, operations go unsent and count as down. They never shrink, for fewer
    operations need no fewer connections while some of them hang. Raises InvalidInputError.
    """
    own = sum(stream.rate for stream in drill.streams)
    if not 0 < rate < float("inf"):
        raise InvalidInputError(f"rate: must be more than 0 operations a second (got {rate:g})")
    return replace(drill, streams=tuple(_scaled(stream, rate / own) for stream in drill.streams))


def _scaled(stream: Stream, factor: float) -> Stream:
    grown = ceil(round(stream.workers * factor, 6))  # rounded first: 8 * 3.0000000000000004 is 24
    workers = max(stream.workers, min(MOST_WORKERS, grown))
    return replace(stream, rate=stream.rate * factor, workers=workers)
