"""How runs of runbooks look: steps as they are done, the clock, lists."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import click

from runbooks.journal import Ended, Run
from runbooks.model import Decide, Do, Runbook, Titled
from runbooks.runner import described
from runbooks.timeline import clock_text, took_seconds
from skillswap_ops import console
from skillswap_ops.options import Selection

STYLES = {"ok": "green", "found done": "green", "failed": "red", "skipped": "yellow"}


class Lines:
    """The screen of a run: plain lines on stderr, each step with the clock against the SLA."""

    def __init__(self, runbook: Runbook, incident: datetime, promised: float | None) -> None:
        self._runbook, self._incident, self._promised = runbook, incident, promised
        self._ids = [each.step.id for each in runbook.steps]
        console.say(f"{runbook.front.title}: {runbook.front.severity}")

    def step(self, titled: Titled, what: str, *, again: bool) -> None:
        """A step begins."""
        click.secho(
            f"\n[{self._clock()}] {titled.title} (of {len(self._ids)})", err=True, bold=True
        )
        if titled.prose:
            click.echo(titled.prose, err=True)
        mark = " (was begun before)" if again else ""
        click.secho(f"  {titled.step.step}: {what}{mark}", err=True, fg="cyan")

    def output(self, text: str) -> None:
        """A line of a command's, or what is waited for."""
        click.echo(f"  | {text}", err=True)

    def ended(self, ended: Ended) -> None:
        """A step is over."""
        said = f" ({ended.answer})" if ended.answer else ""
        seconds = f"{ended.seconds:.1f} s"
        click.secho(f"  {ended.outcome}{said}, {seconds}", err=True, fg=STYLES[ended.outcome])
        if ended.outcome == "failed" and ended.code is None:
            click.echo(f"  | {ended.output}", err=True)

    def close(self, run: Run) -> None:
        """The run is done."""
        click.secho(f"\nDone after {self._clock(took_seconds(run))}.", err=True, fg="green")
        click.echo(f"skillswap-ops runbook history {run.name} --export timeline.md", err=True)

    def _clock(self, seconds: float | None = None) -> str:
        if seconds is None:
            seconds = (datetime.now(UTC) - self._incident).total_seconds()
        against = f" of {clock_text(self._promised)}" if self._promised else ""
        late = ", TOO LATE" if self._promised and seconds > self._promised else ""
        return f"{clock_text(seconds)}{against}{late}"


def print_steps(runbook: Runbook, arguments: Mapping[str, str], selection: Selection) -> None:
    """What a run would do."""
    rows = [
        {
            "id": each.step.id,
            "title": each.title,
            "step": each.step.step,
            "what": described(each).format(**arguments),
            "asks": _asks(each),
            "if_it_fails": f"{each.step.if_it_fails.then}: {each.step.if_it_fails.say}",
        }
        for each in runbook.steps
    ]
    if selection.json:
        console.print_json(rows)
        return
    for row in rows:
        click.secho(row["title"], bold=True)
        click.echo(
            f"   {row['step']}: {row['what']}" + (f"  [{row['asks']}]" if row["asks"] else "")
        )
        click.echo(f"   if it fails, {row['if_it_fails']}")


def print_runs(runs: Iterable[Run]) -> None:
    """A table of runs."""
    console.print_table(
        ("run", "who", "arguments", "outcome", ">took"),
        [
            (
                run.name,
                run.opened.who,
                " ".join(f"{key}={said}" for key, said in run.opened.arguments.items()),
                run.closed.outcome if run.closed else "not finished",
                clock_text(took_seconds(run)),
            )
            for run in runs
        ],
    )


def record(run: Run, promised: float | None) -> dict[str, object]:
    """A run for programs."""
    return {
        "run": run.name,
        "runbook": run.opened.runbook,
        "arguments": run.opened.arguments,
        "who": run.opened.who,
        "incident": run.opened.incident,
        "outcome": run.closed.outcome if run.closed else "not finished",
        "seconds": took_seconds(run),
        "sla_seconds": promised,
        "steps": [
            {
                "id": each.step,
                "outcome": each.outcome,
                "answer": each.answer,
                "seconds": each.seconds,
                "code": each.code,
            }
            for each in run.entries
            if isinstance(each, Ended)
        ],
    }


def _asks(titled: Titled) -> str:
    match titled.step:
        case Do(safe=safe):
            return "asks; --yes does not" if safe else "always asks"
        case Decide(answers=answers):
            return " or ".join(answers)
    return ""
