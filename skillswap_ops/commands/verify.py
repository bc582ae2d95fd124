"""`verify`: the TP3 requirements, one line each."""

from collections import Counter

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster

MARKS = {"passed": ("✔", "green"), "failed": ("✘", "red"), "skipped": ("-", "yellow")}


@click.command("verify")
@click.option("-k", "keyword", metavar="EXPRESSION", help="Only checks whose name matches.")
@selects_cluster
def command(selection: Selection, *, keyword: str | None) -> None:
    """Assert the TP3 requirements on the live cluster, one line each.

    Exit code 1 where one does not hold.

    \b
    Examples:
      skillswap-ops verify
      skillswap-ops verify -k synchronous
    """
    from rich.text import Text

    from skillswap_ops.verification import verify
    from skillswap_ops.wiring import context_of

    found = verify(context_of(selection, must_exist=True), keyword)
    counts = Counter(row.outcome for row in found)
    if selection.json:
        console.print_json(found)
    else:
        for row in found:
            mark, style = MARKS[row.outcome]
            line = Text.assemble((mark, style), " ", row.requirement)
            if row.reason:
                line.append(f"\n    {row.reason}", style)
            console.out().print(line)
        console.say(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    if counts["failed"]:
        raise SystemExit(1)
