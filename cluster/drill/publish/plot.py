"""The timeline of a run as values that a template draws: streams, leaders, fault, stamps.

Times are seconds since the fault. Everything is computed here; the template only places it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cluster.drill.measures import Measures, StreamMeasures
from cluster.drill.publish.paths import Scale, line, number, steps, ticks
from cluster.drill.publish.series import Bins, Floats, Span, bins
from cluster.drill.publish.stamps import STAMPS
from cluster.drill.publish.strips import Strip, strips
from cluster.drill.report import Stamps

RATE_HEIGHT, LATENCY_HEIGHT = 58.0, 40.0
TITLE, GAP, BIG_GAP = 17.0, 7.0, 12.0
AXIS_HEIGHT, MARK_ROW = 34.0, 17.0
BADGE = 16.0  # a stamp's number takes so much of the row
LATENCY_TICKS = ((0.001, "1 ms"), (0.01, "10 ms"), (0.1, "0.1 s"), (1.0, "1 s"), (10.0, "10 s"))
LAYERS = ("lost", "good", "late", "unknown", "failed", "unsent")


@dataclass(frozen=True)
class Shape:
    """How wide a plot is drawn, and into how many bins it may divide the time."""

    name: str
    width: float
    left: float
    bins: int
    ticks: int

    @property
    def right(self) -> float:
        """Where the time ends."""
        return self.width - 10


WIDE = Shape("wide", 1000, 64, 220, 12)
NARROW = Shape("narrow", 380, 46, 90, 5)


@dataclass(frozen=True)
class Tick:
    """A place on an axis with its label."""

    at: float
    label: str


@dataclass(frozen=True)
class Band:
    """A stretch of time that is shaded."""

    kind: str
    x: float
    width: float


@dataclass(frozen=True)
class Mark:
    """One of the four stamps: a numbered line."""

    number: int
    x: float
    badge: float  # where its number stands, beside its neighbours
    label: str


@dataclass(frozen=True)
class Flow:
    """A stream's two panels: what became of its operations, and how long they took."""

    title: str
    note: str
    title_y: float
    rate_top: float
    rate_bottom: float
    layers: tuple[tuple[str, str], ...]  # kind, path
    rate_tick: Tick
    latency_top: float
    latency_bottom: float
    median: str
    longest: str
    latency_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Plot:
    """A whole timeline."""

    shape: Shape
    title: str
    origin: str
    height: float
    top: float
    strips_end: float
    bottom: float
    bands: tuple[Band, ...]
    marks: tuple[Mark, ...]
    strips: tuple[Strip, ...]
    flows: tuple[Flow, ...]
    ticks: tuple[Tick, ...]


def plot(measures: Measures, stamps: Stamps, span: Span, shape: Shape, title: str) -> Plot:
    """Draw what happened in a span."""
    since = (span.start_ns - origin(measures)) / 1e9
    x = Scale(0, span.seconds, shape.left, shape.right)
    top = MARK_ROW + 6
    rows = strips(measures, span, x, top + 4)
    strips_end = top + 4 + sum(row.height for row in rows)
    y = strips_end + BIG_GAP
    flows = []
    for stream in measures.streams:
        if len(stream.history):
            flows.append(_flow(stream, span, shape, x, y))
            y = flows[-1].latency_bottom + BIG_GAP
    bottom = y - BIG_GAP + 4
    return Plot(
        shape=shape,
        title=title,
        origin="seconds since the fault" if measures.fault else "seconds since the load began",
        height=bottom + AXIS_HEIGHT,
        top=top,
        strips_end=strips_end,
        bottom=bottom,
        bands=tuple(_bands(measures, span, x)),
        marks=tuple(_marks(stamps, since, span, x)),
        strips=rows,
        flows=tuple(flows),
        ticks=tuple(
            Tick(x(at - since), _signed(at))
            for at in ticks(since, since + span.seconds, shape.ticks)
        ),
    )


def origin(measures: Measures) -> int:
    """The instant that times count from: the fault, else the beginning of the load."""
    if measures.fault:
        return measures.fault.at_ns
    return measures.run.timeline.load_began_ns or 0


def _flow(stream: StreamMeasures, span: Span, shape: Shape, x: Scale, top: float) -> Flow:
    data = bins(stream, span, shape.bins)
    rate_top = top + TITLE
    rate_bottom = rate_top + RATE_HEIGHT
    latency_top = rate_bottom + GAP
    latency_bottom = latency_top + LATENCY_HEIGHT
    stacked = _stacked(data)
    most = max(stream.config.rate, float(stacked[-1].max(initial=0.0))) * 1.08
    y = Scale(0, most, rate_bottom, rate_top)
    slow = Scale(0.001, 10.0, latency_bottom, latency_top, log=True)
    return Flow(
        title=stream.config.name,
        note=f"{stream.config.rate:g} writes/s intended",
        title_y=top + TITLE - 5,
        rate_top=rate_top,
        rate_bottom=rate_bottom,
        layers=tuple(
            (kind, path)
            for kind, lower, upper in zip(LAYERS, stacked[:-1], stacked[1:], strict=True)
            if (path := steps(data.edges, lower, upper, x, y))
        ),
        rate_tick=Tick(y(stream.config.rate), f"{stream.config.rate:g}/s"),
        latency_top=latency_top,
        latency_bottom=latency_bottom,
        median=line(data.edges, data.median, x, slow),
        longest=line(data.edges, data.longest, x, slow),
        latency_ticks=tuple(Tick(slow(at), label) for at, label in LATENCY_TICKS[::2]),
    )


def _stacked(data: Bins) -> list[Floats]:
    """The layers' borders, one above another."""
    sums: list[Floats] = [np.zeros(len(data.good))]
    for kind in LAYERS:
        sums.append(sums[-1] + getattr(data, kind))
    return sums


def _bands(measures: Measures, span: Span, x: Scale) -> Iterator[Band]:
    for injection in measures.run.timeline.injections:
        end = injection.undone_ns or span.end_ns
        yield from _band("fault", injection.began_ns, end, span, x)
    for stall in measures.stalls:
        yield from _band("stall", stall.from_ns, stall.until_ns, span, x)


def _band(kind: str, start_ns: int, end_ns: int, span: Span, x: Scale) -> Iterator[Band]:
    start, end = max(start_ns, span.start_ns), min(end_ns, span.end_ns)
    if start < end:
        left = x((start - span.start_ns) / 1e9)
        yield Band(kind, left, max(1.0, x((end - span.start_ns) / 1e9) - left))


def _marks(stamps: Stamps, since: float, span: Span, x: Scale) -> Iterator[Mark]:
    """The four stamps, their numbers beside one another where their lines are too close."""
    times = [
        (seconds, place, label)
        for place, label in enumerate(STAMPS, start=1)
        if (seconds := getattr(stamps, label.replace(" ", "_"))) is not None
    ]
    free = x.start
    for seconds, place, label in sorted(times):
        if since <= seconds <= since + span.seconds:
            at = x(seconds - since)
            badge = max(at, free)
            free = badge + BADGE
            yield Mark(place, at, badge, label)


def _signed(seconds: float) -> str:
    return "0" if abs(seconds) < 1e-9 else f"{'+' if seconds > 0 else '−'}{number(abs(seconds))}"
