"""A run in words that need no knowledge of the tool."""

from collections.abc import Iterator

from cluster.drill.contracts import Availability, Promise
from cluster.drill.report import RunSummary, StreamSummary
from cluster.drill.verdict import Conclusion

TITLES = {
    Conclusion.PASS: "Passed",
    Conclusion.FAIL: "Failed",
    Conclusion.INCONCLUSIVE: "Inconclusive",
}


def headline(summary: RunSummary) -> str:
    """The verdict in one sentence."""
    if summary.conclusion is Conclusion.FAIL:
        return "A promise was broken."
    if summary.conclusion is Conclusion.INCONCLUSIVE:
        why = "it was stopped" if summary.interrupted else "see why below"
        return f"This run proves nothing, neither good nor bad: {why}."
    if any(stream.promise.must_lose for stream in summary.streams):
        return "The control did what it must: it lost writes, and the loss was seen."
    return "Every promise held."


def outcome(summary: RunSummary) -> str:
    """What became of the writes, and of the service."""
    parts = [_writes(summary), _service(summary)]
    return " ".join(part for part in parts if part)


def _writes(summary: RunSummary) -> str:
    acked = sum(stream.acked for stream in summary.streams)
    if not acked:
        return "Nothing was written."
    if any(stream.compared is None for stream in summary.streams):
        return f"{acked:,} writes were acknowledged; they were not all read back."
    lost = sum(stream.compared.lost for stream in summary.streams if stream.compared)
    if not lost:
        return f"{acked:,} writes were acknowledged, and every one of them was read back."
    noun = "one was" if lost == 1 else f"{lost:,} were"
    return f"Of {acked:,} acknowledged writes {noun} lost."


def _service(summary: RunSummary) -> str:
    sustained = summary.stamps.sustained
    if not summary.faults:
        return "No fault was injected."
    if sustained is not None:
        limits = [stream.promise.rto for stream in restored(summary)]
        return (
            f"Service was back {measured(sustained)} after the fault; "
            f"{duration(min(limits))} were promised."
        )
    return "Service was not restored while the run lasted." if restored(summary) else ""


def restored(summary: RunSummary) -> list[StreamSummary]:
    """The streams that the fault takes down, and that must come back by themselves."""
    return [
        stream for stream in summary.streams if stream.promise.availability is Availability.RESTORED
    ]


def promise(promised: Promise) -> str:
    """What a stream is held to."""
    return "; ".join(_promised(promised))


def _promised(promised: Promise) -> Iterator[str]:
    rto = duration(promised.rto)
    yield {
        Availability.RESTORED: f"served again within {rto} of the fault",
        Availability.RESTORED_AFTER_UNDO: f"served again within {rto} of the undo",
        Availability.UNTOUCHED: f"never down for longer than {rto}",
        Availability.REFUSED: "refuses every write while the fault is in place",
        Availability.UNJUDGED: "measured, not judged",
    }[promised.availability]
    if promised.must_lose:
        yield "a control: it must lose acknowledged writes"
    elif promised.rpo:
        yield f"loses acknowledged writes of the last {duration(promised.rpo)} at most"
    else:
        yield "loses no acknowledged write"
    if promised.election is not None:
        yield f"another leader within {duration(promised.election)}"
    if promised.refuses:
        yield "acknowledges nothing that was sent during the fault"
    if promised.flawless:
        yield "no error at all"


def down(stream: StreamSummary) -> str:
    """How long a stream was down."""
    if any(outage.until is None for outage in stream.outages):
        return "until the end"
    seconds = sum((outage.until or 0.0) - outage.since for outage in stream.outages)
    return measured(seconds) if seconds else "never"


def duration(seconds: float) -> str:
    """Seconds for people: "5.1 s", "10 min"."""
    if seconds >= 120:
        return f"{_short(seconds / 60)}\u00a0min"
    return f"{_short(seconds)}\u00a0s"


def measured(seconds: float) -> str:
    """The same of what was measured: to a tenth, always."""
    return duration(seconds) if seconds >= 120 else f"{seconds:.1f}\u00a0s"


def _short(value: float) -> str:
    """To a tenth, where that is needed."""
    return f"{value:.0f}" if value and value == round(value) else f"{value:.1f}"


def size(count: int) -> str:
    """Bytes for people."""
    if count < 1024:
        return f"{count} B"
    kilo = count / 1024
    return f"{kilo:.0f} KiB" if kilo < 1024 else f"{kilo / 1024:.1f} MiB"
