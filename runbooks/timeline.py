"""What happened, as Markdown for a post-incident review. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime

from runbooks.journal import Begun, Closed, Ended, Entry, Opened, Resumed, Run
from runbooks.model import Runbook

SHOWN_OUTPUT = 1500


def timeline(run: Run, runbook: Runbook, sla_seconds: float | None) -> str:
    """The run from its first entry to its last; times in UTC."""
    opened = run.opened
    arguments = ", ".join(f"{name} {value}" for name, value in opened.arguments.items())
    lines = [
        f"# {runbook.front.title}",
        "",
        f"- runbook: {opened.runbook}" + (f" ({arguments})" if arguments else ""),
        f"- severity: {runbook.front.severity}",
        f"- the clock began: {_time(opened.incident)}",
        f"- run: {run.name}",
        f"- outcome: {_outcome(run)}",
        f"- took: {_took(run)}{_against(sla_seconds)}",
        "",
        "| time (UTC) | after | who | what | result |",
        "|---|---|---|---|---|",
        *(_row(entry, opened.incident) for entry in run.entries if not _silent(entry)),
        "",
        *_outputs(run),
    ]
    return "\n".join(lines).rstrip() + "\n"


def took_seconds(run: Run) -> float:
    """From the clock's beginning to the last entry."""
    return (run.entries[-1].at - run.opened.incident).total_seconds()


def clock_text(seconds: float) -> str:
    """`2:05`, or `1:02:05`."""
    whole = max(0, int(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _row(entry: Entry, since: datetime) -> str:
    after = clock_text((entry.at - since).total_seconds())
    what, result = _words(entry)
    cells = (_time(entry.at)[11:], f"+{after}", entry.who, what, result)
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _words(entry: Entry) -> tuple[str, str]:
    match entry:
        case Opened():
            return "run opened", "unattended" if entry.unattended else ""
        case Begun():
            return f"{entry.step}: {entry.what}", "…"
        case Ended():
            said = [entry.outcome, entry.answer, f"exit {entry.code}" if entry.code else ""]
            return entry.step, f"{', '.join(filter(None, said))} ({entry.seconds:.1f} s)"
        case Resumed():
            return "gone on with", ""
        case Closed():
            return f"run {entry.outcome}", entry.why
    return "", ""


def _silent(entry: Entry) -> bool:
    return entry.entry == "spawned"


def _outputs(run: Run) -> Iterator[str]:
    found = [entry for entry in run.entries if isinstance(entry, Ended) and entry.output.strip()]
    if found:
        yield "## What was seen"
    for entry in found:
        text = entry.output.strip()
        if len(text) > SHOWN_OUTPUT:
            text = "…" + text[-SHOWN_OUTPUT:]
        # Indented, so that nothing in it can end the block.
        yield f"\n{entry.step}, {_time(entry.at)[11:]}:\n"
        yield from (f"    {line}" for line in text.splitlines())


def _outcome(run: Run) -> str:
    if run.closed is None:
        return "not finished"
    return f"{run.closed.outcome}" + (f": {run.closed.why}" if run.closed.why else "")


def _took(run: Run) -> str:
    return clock_text(took_seconds(run))


def _against(sla_seconds: float | None) -> str:
    return f" of {clock_text(sla_seconds)} that the SLA gives" if sla_seconds else ""


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
