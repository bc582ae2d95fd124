"""RTO over time as one HTML file that asks nothing of any network: a chart for each drill."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from cluster.drill.past_run import PastRun
from cluster.drill.publish.paths import Scale, number, ticks
from cluster.drill.publish.plot import Tick
from cluster.drill.verdict import Conclusion

WIDTH, HEIGHT = 1000.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 54.0, 14.0, 16.0, 34.0
HALF_BAND = 9.0  # of a prediction's bar
LABELS = 12  # dates below a chart, at most
ROOM = 1.15  # above the highest value


@dataclass(frozen=True)
class Band:
    """What was predicted for a run."""

    y: float
    height: float


@dataclass(frozen=True)
class Dot:
    """A run; `y` is where its sustained RTO is, the top where there is none."""

    x: float
    y: float
    verdict: Conclusion
    restored: bool
    band: Band | None
    title: str


@dataclass(frozen=True)
class Chart:
    """A drill's runs, in order; `sla_y` is None where the SLA is far above them all."""

    drill: str
    dots: tuple[Dot, ...]
    line: str
    seconds: tuple[Tick, ...]
    dates: tuple[Tick, ...]
    sla: float | None
    sla_y: float | None
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    bottom: float = HEIGHT - BOTTOM
    half_band: float = HALF_BAND


def history_page(runs: Sequence[PastRun], cluster: str, made: datetime) -> str:
    """The page. `runs` are in order, oldest first; `made` is when, in UTC."""
    timed = [run for run in runs if run.rto is not None]
    drills = dict.fromkeys(run.drill for run in timed)
    charts = [chart([run for run in timed if run.drill == drill]) for drill in drills]
    page = _environment().get_template("history.html.j2")
    return page.render(charts=charts, runs=list(reversed(runs)), cluster=cluster, made=made)


def chart(runs: Sequence[PastRun]) -> Chart:
    """The chart of one drill's runs, of which there is at least one."""
    y = Scale(0, _highest(runs), HEIGHT - BOTTOM, TOP)
    step = (WIDTH - LEFT - RIGHT) / len(runs)
    xs = [LEFT + step * (place + 0.5) for place in range(len(runs))]
    dots = tuple(_dot(run, x, y) for run, x in zip(runs, xs, strict=True))
    every = -(-len(runs) // LABELS)
    sla = runs[-1].rto
    return Chart(
        drill=runs[0].drill,
        dots=dots,
        line="".join(_to(dots, place) for place in range(len(dots)) if dots[place].restored),
        seconds=tuple(Tick(y(value), f"{value:g} s") for value in ticks(0, y.high, 5)),
        dates=tuple(
            Tick(x, f"{run.began:%Y-%m-%d}")
            for place, (x, run) in enumerate(zip(xs, runs, strict=True))
            if place % every == 0
        ),
        sla=sla,
        sla_y=None if sla is None or sla > y.high else y(sla),
    )


def _highest(runs: Sequence[PastRun]) -> float:
    """The end of the scale: the SLA too, unless it would press everything else flat."""
    predicted = [run.prediction.sustained for run in runs]
    values = [run.stamps.sustained for run in runs if run.stamps.sustained is not None]
    values += [each.high for each in predicted if each is not None]
    highest = max(values, default=1.0) or 1.0
    sla = runs[-1].rto
    return max(highest, sla) * ROOM if sla is not None and sla <= 3 * highest else highest * ROOM


def _dot(run: PastRun, x: float, y: Scale) -> Dot:
    sustained, expected = run.stamps.sustained, run.prediction.sustained
    told = (
        "service did not come back" if sustained is None else f"sustained after {sustained:.1f} s"
    )
    band = None
    if expected is not None:
        told += f", predicted {expected.low:.1f} to {expected.high:.1f} s"
        band = Band(y(expected.high), max(1.0, y(expected.low) - y(expected.high)))
    return Dot(
        x=x,
        y=TOP if sustained is None else y(sustained),
        verdict=run.verdict,
        restored=sustained is not None,
        band=band,
        title=f"{run.began:%Y-%m-%d %H:%M} UTC: {run.verdict}, {told} ({run.folder})",
    )


def _to(dots: Sequence[Dot], place: int) -> str:
    """A step of the line; it breaks where service did not come back."""
    joined = place > 0 and dots[place - 1].restored
    return f"{'L' if joined else 'M'}{number(dots[place].x)} {number(dots[place].y)}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cluster.drill.publish"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["at"] = number
    return environment
