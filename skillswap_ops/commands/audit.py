"""`audit`: the book of changing commands."""

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from cluster.audit import Checked, Entry


@click.group("audit")
def command() -> None:
    """Who changed what and when: every command that changes the cluster is in its audit log.

    \b
    Examples:
      skillswap-ops audit show --last 10
      skillswap-ops audit verify
    """


@command.command("show")
@click.option(
    "--last", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="How many."
)
@selects_cluster
def show(selection: Selection, *, last: int) -> None:
    """Show the newest commands: when, who, what with which arguments, and what became of it.

    One without an end is at work still, or was killed. Secrets are masked.

    \b
    Examples:
      skillswap-ops audit show
      skillswap-ops audit show --last 100 --output json
    """
    from cluster.audit import read
    from skillswap_ops.wiring import local_context

    book = read(local_context(selection, must_exist=True).layout.audit)
    ends = {entry.of: entry for entry in book.entries if entry.event == "ended"}
    begun = [entry for entry in book.entries if entry.event == "begun"][-last:]
    if selection.json:
        console.print_json([_record(entry, ends.get(entry.number)) for entry in begun])
    else:
        console.print_table(
            ("when (UTC)", "who", "command", "arguments", "result", ">took"),
            [_row(entry, ends.get(entry.number)) for entry in begun],
        )
    if book.broken:
        console.say(_broken(book))


@command.command("verify")
@click.option("--head", metavar="HASH", help="One that an earlier `verify` printed.")
@selects_cluster
def verify(selection: Selection, *, head: str | None) -> None:
    """Follow the chain of hashes from the first line to the last; name the line that breaks it.

    A line that was changed, removed or put in breaks the chain. That the end was cut off shows only
    against a HASH that was kept elsewhere: it must still be in the book.

    Exit codes: 0 whole, 1 broken.

    \b
    Examples:
      skillswap-ops audit verify
      skillswap-ops audit verify --head 5f0c…
    """
    from cluster.audit import GENESIS, read
    from cluster.errors import OpsError
    from skillswap_ops.wiring import local_context

    path = local_context(selection, must_exist=True).layout.audit
    book = read(path)
    missing = head is not None and head not in {GENESIS, *(one.hash for one in book.entries)}
    if selection.json:
        line, why = book.broken or (None, None)
        console.print_json(
            {
                "whole": book.broken is None and not missing,
                "entries": len(book.entries),
                "head": book.head,
                "broken_line": line,
                "reason": why or ("the given head is not in it" if missing else None),
            }
        )
    if book.broken:
        raise OpsError(f"{path}: {_broken(book)}", "what is behind that line is not vouched for")
    if missing:
        raise OpsError(f"{path} holds no line with the hash {head}", "its end was cut off")
    if not selection.json:
        click.echo(f"{len(book.entries)} lines, whole; head {book.head}")


def _broken(book: "Checked") -> str:
    line, why = book.broken or (0, "")
    return f"line {line} {why}"


def _row(entry: "Entry", end: "Entry | None") -> tuple[str, ...]:
    took = "" if end is None or end.seconds is None else f"{end.seconds:.1f} s"
    return (
        entry.at.strftime("%F %T"),
        entry.who,
        entry.command,
        " ".join(entry.arguments),
        end.result if end else "no end",
        took,
    )


def _record(entry: "Entry", end: "Entry | None") -> dict[str, object]:
    ended = entry.at + timedelta(seconds=end.seconds) if end and end.seconds is not None else None
    return {
        "number": entry.number,
        "at": entry.at,
        "ended": ended,
        "who": entry.who,
        "host": entry.host,
        "pid": entry.pid,
        "command": entry.command,
        "arguments": entry.arguments,
        "result": end.result if end else None,
        "seconds": end.seconds if end else None,
    }
