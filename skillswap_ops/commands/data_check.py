"""`data check`: references that lead nowhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.answering import PRIMARY, freshness_record, freshness_text, from_option
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from cluster.references import Checked
    from skillswap_ops.integrity import Integrity, Link, Observer


@click.command("check")
@click.argument("entities", nargs=-1, metavar="[ENTITY]…")
@from_option
@selects_cluster
def check(selection: Selection, *, entities: tuple[str, ...], origin: str) -> None:
    """Look up every declared reference: in a collection, across shards, across both stores.

    Replicas are read, so that the application is not disturbed, and it may write meanwhile. What
    seems to lead nowhere is asked of the primaries before it is called an orphan. With ENTITY only
    the references of those are looked up.

    Exit code 1 where there are orphans.

    \b
    Examples:
      skillswap-ops data check
      skillswap-ops data check MESSAGE AVIS
      skillswap-ops data check --output json
    """
    from skillswap_ops.integrity import check_references, links
    from skillswap_ops.wiring import local_context

    wanted = links(entities)
    context = local_context(selection, must_exist=True)
    with _progress(len(wanted)) as observer:
        result = check_references(context, wanted, observer, primary=origin == PRIMARY)
    if selection.json:
        console.print_json(_record(result))
    else:
        _show(result)
    if not result.clean:
        raise SystemExit(1)


def _show(result: "Integrity") -> None:
    console.print_table(
        ("reference", ">ids looked up", ">ids missing", ">orphans"),
        [
            (one.name, f"{one.values:,}", f"{one.missing:,}" if one.missing else "none", _rows(one))
            for one in result.found
        ],
    )
    for one in result.found:
        for example in one.examples:
            click.echo(f"{one.entity} {example.row}\n  {one.field} = {example.value}")
        if one.missing > len(one.examples):
            click.echo(f"  and {one.missing - len(one.examples):,} more ids")
    orphans = sum(one.rows for one in result.found)
    looked_up = sum(one.values for one in result.found)
    click.echo(
        f"{len(result.found)} references, {looked_up:,} ids looked up: "
        + (f"{orphans:,} orphans" if orphans else "none leads nowhere")
    )
    click.echo(freshness_text(result.sources))


def _rows(one: "Checked") -> str:
    return f"{one.rows:,}" if one.rows else "none"


def _record(result: "Integrity") -> dict[str, object]:
    return {
        "clean": result.clean,
        "orphans": sum(one.rows for one in result.found),
        **freshness_record(result.sources),
        "references": [
            {
                "entity": one.entity,
                "field": one.field,
                "refers_to": one.refers_to,
                "ids_looked_up": one.values,
                "ids_missing": one.missing,
                "orphans": one.rows,
                "examples": one.examples,
            }
            for one in result.found
        ],
    }


@contextmanager
def _progress(total: int) -> Iterator["Observer"]:
    """A bar on a terminal; elsewhere nothing, for the table says it all."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from skillswap_ops.integrity import Observer

    class Bar(Observer):
        def begins(self, link: "Link") -> None:
            bar.update(task, description=link.name)

        def ends(self, found: "Checked") -> None:
            del found
            bar.advance(task)

    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        console=console.err(),
        transient=True,
        disable=not console.err().is_terminal,
    )
    with bar:
        task = bar.add_task("", total=total)
        yield Bar()
