"""`doctor`: what is wrong, and which runbook applies."""

from typing import TYPE_CHECKING

import click

from cluster.errors import InconclusiveError
from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from rich.text import Text

    from runbooks.facts.records import Facts
    from runbooks.findings import Finding

STYLES = {"critical": "bold red", "major": "red", "minor": "yellow"}


@click.command("doctor")
@selects_cluster
def command(selection: Selection) -> None:
    """Say what is wrong, the worst first, with evidence, and name the runbook that applies.

    Reads both engines, the edge, the archive, disks, clocks, certificates, backups and services,
    all at once, each with a deadline: it works while half of the cluster is down, and changes
    nothing. A cause hides its consequences, which are listed below it.

    Exit codes: 0 nothing is wrong, 1 something is, 3 nothing was found, but not all could be read.

    \b
    Examples:
      skillswap-ops doctor
      skillswap-ops doctor --output json | jq -r '.findings[0].command'
    """
    from runbooks.catalogue import catalogue
    from runbooks.facts.reading import look
    from runbooks.findings import findings
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    runbooks = catalogue()
    seen = look(context)
    found = findings(seen, runbooks.values())
    if selection.json:
        console.print_json(_record(context.topology.name, seen, found))
    else:
        _show(seen, found)
    if found:
        raise SystemExit(1)
    if seen.unread:
        missed = ", ".join(one.what for one in seen.unread)
        raise InconclusiveError(f"nothing was found, but this could not be read: {missed}")


def _show(seen: "Facts", found: "tuple[Finding, ...]") -> None:
    for finding in found:
        console.out().print(_shown(finding), soft_wrap=True)
    for one in seen.unread:
        console.say(f"not read: {one.what}: {one.reason}")
    if not found and not seen.unread:
        console.out().print(f"Nothing is wrong: {len(seen.seen)} facts were read.")


def _shown(finding: "Finding") -> "Text":
    from rich.text import Text

    style = STYLES.get(finding.severity, "")
    text = Text.assemble((f"{finding.severity:<9}", style), (finding.title, "bold"))
    for line in finding.evidence:
        text.append(f"\n         {line}")
    text.append(f"\n         {finding.command}", "cyan")
    if finding.explains:
        text.append(f"\n         explains: {'; '.join(finding.explains)}", "dim")
    return text


def _record(cluster: str, seen: "Facts", found: "tuple[Finding, ...]") -> dict[str, object]:
    return {
        "cluster": cluster,
        "healthy": not found and not seen.unread,
        "facts": len(seen.seen),
        "findings": [
            {
                "severity": one.severity,
                "runbook": one.runbook,
                "title": one.title,
                "group": one.group,
                "evidence": list(one.evidence),
                "arguments": dict(one.arguments),
                "command": one.command,
                "explains": list(one.explains),
            }
            for one in found
        ],
        "unread": [{"what": one.what, "reason": one.reason} for one in seen.unread],
    }
