"""Prometheus textfile for node_exporter's textfile collector: a run's numbers, by drill.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from cluster.drill.contracts import Range
from cluster.drill.measures import Measures
from cluster.drill.publish.junit import duration
from cluster.drill.report import RunSummary, StreamSummary
from cluster.drill.verdict import Conclusion

PREFIX = "skillswap_drill_"
STAMPS = ("detected", "elected", "first_success", "sustained")
HELP = {
    "verdict": "1 for the verdict of the last run, 0 for the others.",
    "fault_in_place": "Faults of the last run that could not be undone.",
    "start_timestamp_seconds": "When the last run began, Unix time.",
    "end_timestamp_seconds": "When the last run ended, Unix time.",
    "duration_seconds": "How long the last run took.",
    "rto_seconds": "From the proved fault to each stamp of the recovery; absent if it never came.",
    "rto_predicted_seconds": "What the live configuration made one expect of each stamp.",
    "rto_promised_seconds": "The recovery time that a stream is held to.",
    "alert_seconds": "From the proved fault to the alert that tells of it.",
    "rpo_seconds": "From the oldest lost acknowledged write to the fault.",
    "lost_writes": "Acknowledged writes that were not read back.",
    "acknowledged_writes": "Writes that were acknowledged.",
    "unknown_writes": "Writes that may have been executed: connection lost, timeout.",
    "failed_writes": "Writes that provably were not executed.",
    "unsent_writes": "Writes that were due and could not be sent.",
    "down_seconds": "How long a stream was not served after the fault.",
    "unprotected_seconds": "How long no synchronous standby was attached.",
}


@dataclass(frozen=True)
class Sample:
    """A value of a metric, with its own labels."""

    metric: str
    value: float
    labels: Mapping[str, str]


def render(measures: Measures, summary: RunSummary) -> str:
    """The whole file: gauges, each with its help, in the order of `HELP`."""
    common = {"drill": summary.drill, "cluster": measures.run.config.cluster}
    samples = [*_of_run(summary), *(s for stream in summary.streams for s in _of_stream(stream))]
    lines = []
    for name, text in HELP.items():
        own = [sample for sample in samples if sample.metric == name]
        if own:
            lines += [f"# HELP {PREFIX}{name} {text}", f"# TYPE {PREFIX}{name} gauge"]
            lines += [_line(sample, common) for sample in own]
    return "\n".join(lines) + "\n"


def _of_run(summary: RunSummary) -> Iterator[Sample]:
    for conclusion in Conclusion:
        yield Sample("verdict", conclusion is summary.conclusion, {"verdict": conclusion.value})
    seconds = duration(summary)
    yield Sample("fault_in_place", len(summary.not_undone), {})
    yield Sample("start_timestamp_seconds", summary.began.timestamp(), {})
    end = summary.began + timedelta(seconds=seconds)
    yield Sample("end_timestamp_seconds", end.timestamp(), {})
    yield Sample("duration_seconds", seconds, {})
    for stamp in STAMPS:
        measured: float | None = getattr(summary.stamps, stamp)
        if measured is not None:
            yield Sample("rto_seconds", measured, {"stamp": stamp})
        yield from _predicted(stamp, getattr(summary.prediction, stamp))
    for each in summary.alerts:
        if each.fired is not None:
            yield Sample("alert_seconds", each.fired, {"alert": each.alert})


def _predicted(stamp: str, expected: Range | None) -> Iterator[Sample]:
    if expected is None:
        return
    for bound in ("low", "median", "high"):
        value: float | None = getattr(expected, bound)
        if value is not None:
            yield Sample("rto_predicted_seconds", value, {"stamp": stamp, "bound": bound})


def _of_stream(stream: StreamSummary) -> Iterator[Sample]:
    labels = {"stream": stream.name, "group": stream.group}
    yield Sample("rto_promised_seconds", stream.promise.rto, labels)
    yield Sample("acknowledged_writes", stream.acked, labels)
    yield Sample("unknown_writes", stream.unknown, labels)
    yield Sample("failed_writes", stream.failed, labels)
    yield Sample("unsent_writes", stream.unsent, labels)
    yield Sample("unprotected_seconds", stream.unprotected, labels)
    if all(outage.until is not None for outage in stream.outages):
        down = sum((outage.until or 0.0) - outage.since for outage in stream.outages)
        yield Sample("down_seconds", down, labels)
    if stream.compared:
        yield Sample("lost_writes", stream.compared.lost, labels)
        yield Sample("rpo_seconds", stream.compared.rpo, labels)


def _line(sample: Sample, common: Mapping[str, str]) -> str:
    every = {**common, **sample.labels}
    labels = ",".join(f'{key}="{_escape(value)}"' for key, value in every.items())
    return f"{PREFIX}{sample.metric}{{{labels}}} {float(sample.value):.15g}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
