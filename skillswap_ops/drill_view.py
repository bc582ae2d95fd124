"""What a person sees of a drill: lines while it runs, a report when it is over."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from cluster.drill.contracts import Availability, Range
from cluster.drill.events import (
    AlertChanged,
    Converged,
    Event,
    Injected,
    Interrupted,
    Note,
    Observed,
    Overload,
    Phase,
    PhaseBegan,
    RoundBegan,
    RoundMissed,
    Stall,
    Trouble,
    UndoFailed,
    Undone,
    Unmet,
)
from cluster.drill.report import RunSummary, StreamSummary, as_json
from cluster.drill.verdict import Conclusion, Validity
from skillswap_ops import console
from skillswap_ops.drill_repeats import STAMPS, Repeated, Spread, repeated
from skillswap_ops.drill_series import End, Skipped

if TYPE_CHECKING:
    from rich.table import Table

STYLES = {
    Conclusion.PASS: "green",
    Conclusion.FAIL: "red",
    Conclusion.INCONCLUSIVE: "yellow",
}
MARKS = {Validity.VALID: "✔", Validity.INVALID: "✘", Validity.UNKNOWN: "?"}
MARK_STYLES = {Validity.VALID: "green", Validity.INVALID: "red", Validity.UNKNOWN: "yellow"}


def line(event: Event) -> str | None:
    """One event as a line, or None where it is not worth one."""
    words = _WORDS.get(type(event.what))
    return words(event.what) if words else None


def _phase(what: PhaseBegan) -> str | None:
    return None if what.phase is Phase.END else f"{what.phase} …"


def _observed(what: Observed) -> str:
    seen = what.observation
    epoch = "" if seen.epoch is None else f", epoch {seen.epoch}"
    noticed = ", its loss is noticed" if seen.detected_down else ""
    bare = ", no synchronous standby" if seen.protected is False else ""
    return f"{what.group}: led by {' and '.join(seen.leaders) or 'nobody'}{epoch}{noticed}{bare}"


# An event of another kind is kept in the run's folder, and not worth a line.
_WORDS: Mapping[type, Callable[[Any], str | None]] = {
    PhaseBegan: _phase,
    Unmet: lambda what: f"precondition not met: {what.precondition}",
    RoundBegan: lambda what: f"round {what.number}: {what.name}, for {what.hold:.0f} s",
    RoundMissed: lambda what: f"no fault: {what.why}",
    Injected: lambda what: f"FAULT {what.fault} — {what.proof}",
    Undone: lambda what: f"undone: {what.fault}",
    UndoFailed: lambda what: f"NOT UNDONE: {what.fault}: {what.error}",
    Observed: _observed,
    Converged: lambda what: f"not whole: {what.missing}" if what.missing else "whole again",
    AlertChanged: lambda what: f"alert {what.alert} {'fires' if what.firing else 'is clear'}",
    Overload: lambda what: f"this machine is overloaded ({what.share:.0%})",
    Stall: lambda what: f"the harness stalled {what.seconds:.1f} s ({what.source})",
    Interrupted: lambda what: f"interrupted by {what.by}: undoing",
    Trouble: lambda what: what.what,
    Note: lambda what: what.text,
}


def print_report(summary: RunSummary) -> None:
    """Verdict first, then the stamps, the streams and every finding."""
    from rich.text import Text

    out = console.out()
    style = STYLES[summary.conclusion]
    out.print(
        Text.assemble(
            (f"{summary.conclusion.value.upper()}", f"bold {style}"),
            f"  {summary.drill}  ({summary.folder.name})",
        )
    )
    for reason in summary.reasons:
        out.print(Text(f"  {reason}", style))
    out.print(Text(f"  {summary.hypothesis}", "dim"))
    for fault, proof in summary.faults:
        out.print(Text(f"  fault: {fault} — {proof}"))
    out.print(_stamps(summary))
    if summary.prediction.basis:
        out.print(Text(f"  predicted from {summary.prediction.basis}", "dim"))
    out.print(_streams(summary.streams))
    for finding in summary.findings:
        out.print(
            Text.assemble(
                (MARKS[finding.validity], MARK_STYLES[finding.validity]),
                f" {finding.check}: ",
                f"{finding.subject}: " if finding.subject else "",
                finding.message,
            )
        )
    for note in summary.notes:
        out.print(Text(f"  note: {note}"), soft_wrap=True)
    out.print(Text(f"Evidence: {summary.folder}", "dim"), soft_wrap=True)


def print_brief(summary: RunSummary) -> None:
    """One line, for a run that passed among others."""
    from rich.text import Text

    stamps = [
        f"{name.replace('_', ' ')} {seconds(value)}"
        for name in STAMPS
        if (value := getattr(summary.stamps, name)) is not None
    ]
    acked = sum(stream.acked for stream in summary.streams)
    lost = _total(each.compared.lost if each.compared else None for each in summary.streams)
    facts = ", ".join([*stamps, f"{lost} of {acked:,} acknowledged writes lost"])
    word = summary.conclusion.value.upper()
    style = f"bold {STYLES[summary.conclusion]}"
    console.out().print(
        Text.assemble((word, style), f"  {summary.drill}: {facts}; `drill report {summary.run}`")
    )


def print_verdicts(ends: Sequence[End]) -> None:
    """A line a run, and below it why some were no pass."""
    from rich.text import Text

    made = console.table(
        "drill", "verdict", ">lost", ">unknown", ">elected", ">sustained", ">SLA RTO", ">took"
    )
    for end in ends:
        style = _style(end)
        if isinstance(end, RunSummary):
            made.add_row(end.drill, Text(end.conclusion.value, style), *_measured(end))
        else:
            made.add_row(end.drill, Text(_word(end), style))
    out = console.out()
    out.print(made)
    for end in ends:
        why = "; ".join(end.reasons) if isinstance(end, RunSummary) else end.why
        if why:
            text = Text.assemble((f"{_word(end)} ", _style(end)), f"{end.drill}: {why}")
            out.print(text)


def print_repeats(found: Iterable[Repeated]) -> None:
    """The middle and the worst of each stamp and of what was lost, a table a drill."""
    for each in found:
        runs = sum(each.verdicts.values())
        counts = ", ".join(f"{count} {verdict}" for verdict, count in each.verdicts.items())
        made = console.table(
            "", ">median", ">maximum", ">seen in", title=f"{each.drill}: {runs} runs, {counts}"
        )
        for name, spread in each.stamps.items():
            made.add_row(name.replace("_", " "), *_spread(spread, runs, "s"))
        made.add_row("acknowledged and lost", *_spread(each.lost, runs, ""))
        made.add_row("RPO", *_spread(each.rpo, runs, "s"))
        console.out().print(made)


def _spread(spread: Spread | None, runs: int, unit: str) -> tuple[str, str, str]:
    if spread is None:
        return "–", "–", f"0 of {runs}"
    digits = 1 if unit else 0
    values = (f"{value:,.{digits}f} {unit}".strip() for value in (spread.median, spread.maximum))
    return (*values, f"{spread.seen} of {runs}")  # type: ignore[return-value]  # two of them


def _word(end: End) -> str:
    if isinstance(end, RunSummary):
        return end.conclusion.value
    return "skipped" if isinstance(end, Skipped) else "not run"


def _style(end: End) -> str:
    return STYLES[end.conclusion] if isinstance(end, RunSummary) else "yellow"


def _measured(end: RunSummary) -> tuple[str, ...]:
    hurt = [
        stream for stream in end.streams if stream.promise.availability is Availability.RESTORED
    ]
    return (
        _total(stream.compared.lost if stream.compared else None for stream in end.streams),
        _total(stream.unknown for stream in end.streams),
        seconds(end.stamps.elected),
        seconds(end.stamps.sustained),
        seconds(min((stream.promise.rto for stream in hurt), default=None), digits=0),
        seconds(end.phases[-1].began if end.phases else None, digits=0),
    )


def seconds(value: float | None, digits: int = 1) -> str:
    """Seconds for a table; a dash for none."""
    return "–" if value is None else f"{value:.{digits}f} s"


def _stamps(summary: RunSummary) -> "Table":
    made = console.table("RTO stamp", ">measured", ">predicted")
    for name in STAMPS:
        made.add_row(
            name.replace("_", " "),
            seconds(getattr(summary.stamps, name)),
            expected(getattr(summary.prediction, name)),
        )
    return made


def expected(found: Range | None) -> str:
    """A predicted range for a table."""
    return "–" if found is None else f"{found.low:.1f} to {found.high:.1f} s"


def length(found: float) -> str:
    """A time for people: "75 s", "12 min"."""
    whole = round(found)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60:02d} s"


def _streams(streams: Iterable[StreamSummary]) -> "Table":
    made = console.table(
        "stream", ">intended", ">acked", ">failed", ">unknown", ">unsent", ">read", ">lost", ">down"
    )
    for stream in streams:
        compared = stream.compared
        down = sum((outage.until or 0.0) - outage.since for outage in stream.outages)
        made.add_row(
            stream.name,
            str(stream.intended),
            str(stream.acked),
            str(stream.failed),
            str(stream.unknown),
            str(stream.unsent),
            "not read" if compared is None else str(compared.read),
            "?" if compared is None else str(compared.lost),
            "until the end" if any(o.until is None for o in stream.outages) else f"{down:.1f} s",
        )
    return made


def _total(counts: Iterable[int | None]) -> str:
    known = list(counts)
    return "?" if None in known else str(sum(count for count in known if count is not None))


def record(end: End) -> dict[str, object]:
    """What `--output json` prints of a drill's end."""
    if isinstance(end, RunSummary):
        whole: dict[str, object] = json.loads(as_json(end))
        return whole
    return {"drill": end.drill, "conclusion": _word(end), "why": end.why}


def records(ends: Sequence[End]) -> list[dict[str, object]]:
    """What `drill run --output json` prints: a run each; repeated ones, as one with their runs."""
    repeats = {each.drill: each for each in repeated(ends)}
    found: dict[str, dict[str, object]] = {}
    for number, end in enumerate(ends):
        again = repeats.get(end.drill)
        if again is None:
            found[f"{end.drill} {number}"] = record(end)
            continue
        whole = found.setdefault(end.drill, {**asdict(again), "runs": []})
        cast("list[object]", whole["runs"]).append(record(end))
    return list(found.values())
