"""What a person sees of predictions, of past runs, and of what is due: tables of 100 columns."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from cluster.drill.compare import Comparison, Pair
from cluster.drill.contracts import Range
from cluster.drill.due import Due
from cluster.drill.past_run import PastRun
from cluster.drill.publish.paths import Scale
from cluster.drill.verdict import Conclusion
from skillswap_ops import console
from skillswap_ops.drill_predictions import Foretold
from skillswap_ops.drill_view import STYLES, seconds

BAR = 46  # characters
MARKS = {Conclusion.PASS: "✔", Conclusion.FAIL: "✘", Conclusion.INCONCLUSIVE: "?"}


def print_predictions(found: Sequence[Foretold]) -> None:
    """A line a drill: where 98 of 100 runs should lie, and how likely the SLA is broken."""
    foretold = [each for each in found if each.prediction is not None]
    if foretold:
        console.print_table(
            ("drill", ">detected", ">elected", ">first success", ">sustained", ">SLA", ">broken"),
            [(each.drill, *_ranges(each), _sla(each), _risk(each)) for each in foretold],
        )
        console.say("Seconds: 98 of 100 runs. SLA: RTO / MongoDB's election; broken: how likely.")
    for source in dict.fromkeys(each.source for each in foretold):
        parts = dict.fromkeys(each.drill.split("-")[0] for each in found if each.source == source)
        console.say(f"Predicted from {source}: {', '.join(parts)}.")
    for why in dict.fromkeys(each.why for each in found if each.why):
        console.say(f"{why}: {', '.join(each.drill for each in found if each.why == why)}.")


def _ranges(each: Foretold) -> tuple[str, str, str, str]:
    if each.prediction is None:
        return "–", "–", "–", "–"
    wanted = each.prediction
    return (
        span(wanted.detected),
        span(wanted.elected),
        span(wanted.first_success),
        span(wanted.sustained),
    )


def span(found: Range | None) -> str:
    """`5.1–7.8`, in seconds; a dash for none."""
    return "–" if found is None else f"{found.low:.1f}–{found.high:.1f}"


def _sla(each: Foretold) -> str:
    return f"{each.rto:g} s" if each.election is None else f"{each.rto:g} / {each.election:g} s"


def _risk(each: Foretold) -> str:
    known = [risk for risk in (each.late, each.slow) if risk is not None]
    return chance(max(known)) if known else "–"


def chance(risk: float) -> str:
    """A probability in percent; what was never drawn is not called impossible."""
    if risk == 0:
        return "< 0.1 %"
    return f"{risk * 100:.1f} %" if risk < 0.995 else f"{risk * 100:.0f} %"


def plain(value: PastRun | Comparison | Due) -> Any:
    """A record as JSON has it; times in ISO 8601."""
    return TypeAdapter(type(value)).dump_python(value, mode="json")


def print_history(runs: Sequence[PastRun]) -> None:
    """A line a run, the newest below."""
    from rich.text import Text

    made = console.table("run", "drill", "verdict", ">sustained", ">RPO", ">lost", ">unknown")
    for run in runs:
        made.add_row(
            began(run),
            run.drill,
            Text(run.verdict.value, STYLES[run.verdict]),
            seconds(run.stamps.sustained),
            seconds(run.rpo),
            "?" if run.lost is None else str(run.lost),
            str(run.unknown),
        )
    for column in made.columns:
        column.no_wrap = True
    console.out().print(made)


def began(run: PastRun) -> str:
    """A run's beginning in UTC, as its folder's name has it: a name for `report` and `compare`."""
    return run.folder.partition("-")[0]


def print_plot(runs: Sequence[PastRun]) -> None:
    """A bar a run: its sustained RTO, over what was predicted for it."""
    from rich.text import Text

    timed = [run for run in runs if run.rto is not None]
    if not timed:
        console.say("In none of these runs had service to come back by itself.")
    for drill in dict.fromkeys(run.drill for run in timed):
        some = [run for run in timed if run.drill == drill]
        title = f"{drill}: sustained RTO, SLA {some[-1].rto:g} s"
        made = console.table("began (UTC)", "", ">sustained", "░ predicted", title=title)
        scale = Scale(0, _highest(some), 0, BAR)
        for run in some:
            made.add_row(
                f"{run.began:%Y-%m-%d %H:%M}",
                Text(MARKS[run.verdict], STYLES[run.verdict]),
                seconds(run.stamps.sustained),
                Text(bar(run, scale), STYLES[run.verdict]),
            )
        console.out().print(made)


def bar(run: PastRun, scale: Scale) -> str:
    """`━━━━━●░░`: up to the sustained RTO, and the cells in which it was predicted to end."""
    sustained, expected = run.stamps.sustained, run.prediction.sustained
    end = -1 if sustained is None else min(BAR - 1, int(scale(sustained)))
    low, high = (BAR, -1) if expected is None else (int(scale(expected.low)), scale(expected.high))
    cells = (
        "●" if cell == end else "━" if cell < end else "░" if low <= cell <= high else " "
        for cell in range(BAR)
    )
    return "".join(cells).rstrip() if sustained is not None else run.lasting


def _highest(runs: Iterable[PastRun]) -> float:
    ends = [run.stamps.sustained or 0.0 for run in runs]
    ends += [each.high for run in runs if (each := run.prediction.sustained) is not None]
    return max(ends) or 1.0


def print_comparison(found: Comparison) -> None:
    """Both runs side by side, and what got worse."""
    from rich.text import Text

    made = console.table("", ">before", ">after", ">change", ">predicted", title=found.after.drill)
    for name, before, after in (
        ("run", began(found.before), began(found.after)),
        ("verdict", found.before.verdict.value, found.after.verdict.value),
        ("tool", found.before.tool, found.after.tool),
    ):
        made.add_row(name, before, after, "" if before == after or name == "run" else "changed", "")
    for pair in found.pairs:
        made.add_row(
            pair.name,
            _measure(pair, pair.before),
            _measure(pair, pair.after),
            "" if pair.growth is None else f"{pair.growth:+.0%}",
            span(pair.predicted) if pair.unit and pair.predicted else "",
        )
    changed = {
        name: (found.before.versions.get(name, "–"), found.after.versions.get(name, "–"))
        for name in {**found.before.versions, **found.after.versions}
    }
    for name, (before, after) in changed.items():
        if before != after:
            made.add_row(name, before, after, "changed", "")
    console.out().print(made)
    for text in found.regressions:
        console.out().print(Text(f"Regression: {text}.", "red"))
    if not found.regressions:
        console.out().print(Text("No regression.", "green"))


def _measure(pair: Pair, value: float | None) -> str:
    if not pair.unit:
        return "?" if value is None else f"{value:g}"
    return seconds(value, digits=3 if pair.name.startswith("latency") else 1)


def print_due(found: Sequence[Due], now: datetime) -> None:
    """A line a drill, the most urgent first."""
    from rich.text import Text

    made = console.table("drill", "last run (UTC)", "verdict", "due until", "", "")
    for each in found:
        left = (each.due - now.date()).days
        state = "never run" if each.last is None else f"overdue by {-left} days"
        made.add_row(
            each.drill,
            "–" if each.last is None else f"{each.last:%Y-%m-%d %H:%M}",
            "" if each.verdict is None else Text(each.verdict.value, STYLES[each.verdict]),
            "now" if each.last is None else f"{each.due:%Y-%m-%d}",
            Text(state, "red") if each.overdue else Text(f"in {left} days", "green"),
            _remarks(each),
        )
    for column in made.columns[:-1]:  # only the remarks may take several lines
        column.no_wrap = True
    console.out().print(made)


def _remarks(each: Due) -> str:
    inconclusive = f"{each.inconclusive} inconclusive since" if each.inconclusive else ""
    note = f"cannot be run here: {each.note}" if each.note else ""
    return "; ".join(filter(None, (inconclusive, note)))
