"""The report for people: one HTML file that asks nothing of any network."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from cluster.drill.eventlog import read_events
from cluster.drill.evidence import CONFIG, EVENTS, LEDGER, READ_BACK
from cluster.drill.measures import Measures
from cluster.drill.publish import configuration as texts
from cluster.drill.publish import words
from cluster.drill.publish.excerpts import Shown, shown
from cluster.drill.publish.losses import Defect, defects
from cluster.drill.publish.paths import number
from cluster.drill.publish.plot import NARROW, WIDE, Plot, origin, plot
from cluster.drill.publish.series import Span
from cluster.drill.publish.stamps import STAMPS, StampRow, promised, stamp_rows
from cluster.drill.report import RunSummary
from cluster.drill.verdict import Conclusion, Finding, Validity

ZOOM_BEFORE, ZOOM_AFTER = 10.0, 20.0  # seconds around the outage
ZOOM_WORTH = 3.0  # times longer than that must the run be
WORST = (Validity.INVALID, Validity.UNKNOWN, Validity.VALID)
HASHED = 256 * 1024 * 1024  # bytes: a larger file's checksum is left to others


@dataclass(frozen=True)
class SettingRow:
    """An effective setting; `changed` if a reading during the run differs from the first."""

    name: str
    values: tuple[str, ...]
    changed: bool


@dataclass(frozen=True)
class Evidence:
    """A file of the folder that everything was computed from."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Tile:
    """A number that a manager looks for."""

    value: str
    label: str
    bad: bool = False


@dataclass(frozen=True)
class View:
    """All that the template prints."""

    run: RunSummary
    cluster: str
    node: str
    platform: str
    began: datetime
    seconds: float
    origin: datetime | None
    plots: tuple[tuple[Plot, ...], ...]
    stamps: tuple[StampRow, ...]
    settings: tuple[SettingRow, ...]
    settings_when: tuple[str, ...]
    defects: tuple[Defect, ...]
    defects_in_all: int
    configuration: tuple[str, ...]
    changes: tuple[texts.Change, ...]
    logs: tuple[Shown, ...]
    evidence: tuple[Evidence, ...]
    tiles: tuple[Tile, ...]
    findings: tuple[Finding, ...]  # the worst first
    written: bool  # anything at all
    compared: bool
    window: float
    percent: int


def render(measures: Measures, summary: RunSummary) -> str:
    """The whole file."""
    return _environment().get_template("report.html.j2").render(view=view(measures, summary))


FILTERS: Mapping[str, Callable[..., str]] = {
    "n": lambda value: f"{value:,}",
    "px": number,
    "seconds": lambda value: "–" if value is None else words.measured(value),
    "duration": words.duration,
    "size": words.size,
    "promise": words.promise,
}


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("cluster.drill.publish"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    made.globals.update(words=words, title=words.TITLES)
    return made


def view(measures: Measures, summary: RunSummary) -> View:
    """Compute what the page shows."""
    config = measures.run.config
    origin_ns = origin(measures)
    origin_utc = _utc(measures, origin_ns) if origin_ns else None
    return View(
        run=summary,
        cluster=config.cluster,
        node=config.node,
        platform=config.platform,
        began=config.began.astimezone(UTC),
        seconds=summary.phases[-1].began if summary.phases else 0.0,
        origin=origin_utc,
        plots=tuple(_plots(measures, summary)),
        stamps=tuple(stamp_rows(summary)),
        settings=_settings(measures),
        settings_when=tuple(reading.when for reading in measures.run.timeline.settings),
        defects=defects(measures, origin_ns, origin_utc) if origin_utc else (),
        defects_in_all=_defects_in_all(summary),
        configuration=texts.names(summary.folder),
        changes=texts.changes(summary.folder),
        logs=shown(summary.folder),
        evidence=tuple(_evidence(measures)),
        tiles=tuple(_tiles(measures, summary)),
        findings=tuple(sorted(summary.findings, key=lambda each: WORST.index(each.validity))),
        written=any(stream.intended for stream in summary.streams),
        compared=bool(summary.streams) and all(stream.compared for stream in summary.streams),
        window=config.rules.window,
        percent=config.rules.percent,
    )


def _tiles(measures: Measures, summary: RunSummary) -> Iterator[Tile]:
    """The numbers that matter; none where nothing was written."""
    acked = sum(stream.acked for stream in summary.streams)
    if not acked:
        return
    known = [stream.compared.lost for stream in summary.streams if stream.compared]
    lost = f"{sum(known):,}" if len(known) == len(summary.streams) else "?"
    control = any(stream.promise.must_lose for stream in summary.streams)
    yield Tile(lost, f"of {acked:,} acknowledged writes lost", bad=bool(sum(known)) and not control)
    unknown = sum(stream.unknown for stream in summary.streams)
    yield Tile(f"{unknown:,}", "writes whose outcome the client never learned")
    if summary.faults:
        yield from _stamp_tiles(summary)
    if _standbys(measures):
        seconds = max((stream.unprotected for stream in summary.streams), default=0.0)
        yield Tile(words.measured(seconds), "without a synchronous standby")


def _stamp_tiles(summary: RunSummary) -> Iterator[Tile]:
    limits = promised(summary)
    labels = {"elected": "until another leader", "sustained": "until service was back"}
    for stamp, label in labels.items():
        seconds: float | None = getattr(summary.stamps, stamp)
        limit = limits.get(stamp)
        suffix = "" if limit is None else f", {words.duration(limit)} promised"
        if seconds is not None:
            late = limit is not None and seconds > limit
            yield Tile(words.measured(seconds), label + suffix, bad=late)
        elif limit is not None:
            yield Tile("not seen", label + suffix, bad=summary.conclusion is Conclusion.FAIL)


def _standbys(measures: Measures) -> bool:
    samples = (s for found in measures.run.timeline.samples.values() for s in found)
    return any(sample.observation.protected is not None for sample in samples)


def _utc(measures: Measures, ns: int) -> datetime:
    """A monotonic instant in UTC, by the pair that every event carries."""
    first = read_events(measures.run.folder / EVENTS)[0]
    return first.utc.astimezone(UTC) + timedelta(microseconds=(ns - first.ns) // 1000)


def _plots(measures: Measures, summary: RunSummary) -> Iterator[tuple[Plot, ...]]:
    """Each in both shapes; around the outage, where that is a small part of the run."""
    began = measures.run.timeline.load_began_ns
    if began is None:
        return
    end = max((stream.until_ns for stream in measures.streams), default=0)
    whole = Span(began, max(end, began + 1))
    zoom = _zoom(measures, summary, whole)
    if zoom:
        yield _both(measures, summary, zoom, "Around the fault")
    yield _both(measures, summary, whole, "The whole run")


def _both(measures: Measures, summary: RunSummary, span: Span, title: str) -> tuple[Plot, ...]:
    return tuple(plot(measures, summary.stamps, span, shape, title) for shape in (WIDE, NARROW))


def _zoom(measures: Measures, summary: RunSummary, whole: Span) -> Span | None:
    fault, stamps = measures.fault, summary.stamps
    known = [getattr(stamps, name.replace(" ", "_")) for name in STAMPS]
    last = max((stamp for stamp in known if stamp is not None), default=None)
    if fault is None or last is None:
        return None
    start = max(whole.start_ns, fault.at_ns - round(ZOOM_BEFORE * 1e9))
    end = min(whole.end_ns, fault.at_ns + round((last + ZOOM_AFTER) * 1e9))
    span = Span(start, end)
    return span if 0 < span.seconds * ZOOM_WORTH <= whole.seconds else None


def _settings(measures: Measures) -> tuple[SettingRow, ...]:
    readings = measures.run.timeline.settings
    names = dict.fromkeys(name for reading in readings for name in reading.values)
    rows = []
    for name in names:
        values = tuple(reading.values.get(name, "absent") for reading in readings)
        rows.append(SettingRow(name, values, changed=len(set(values)) > 1))
    return tuple(rows)


def _defects_in_all(summary: RunSummary) -> int:
    compared = [stream.compared for stream in summary.streams if stream.compared]
    return sum(c.lost + c.phantom + c.duplicate + c.resurrected for c in compared)


def _evidence(measures: Measures) -> Iterator[Evidence]:
    folder = measures.run.folder
    numbers = (READ_BACK.format(number=each.number) for each in measures.run.config.streams)
    for name in (CONFIG, EVENTS, LEDGER, *numbers):
        path = folder / name
        if path.is_file():
            yield Evidence(name, path.stat().st_size, _sha256(path))


def _sha256(path: Path) -> str:
    if path.stat().st_size > HASHED:
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
