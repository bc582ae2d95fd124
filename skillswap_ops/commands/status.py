"""`status`: every node by engine and zone."""

import time
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from skillswap_ops.overview import Overview, Row

MEGABYTE = 1024**2
STYLES = {"ok": "green", "degraded": "yellow", "down": "red"}


@click.command("status")
@click.option("--watch", is_flag=True, help="Keep drawing until Ctrl-C.")
@click.option("--every", default=2.0, show_default=True, help="Seconds between two looks.")
@selects_cluster
def command(selection: Selection, *, watch: bool, every: float) -> None:
    """Show every node by engine and zone: role, lag, term or timeline, memory.

    Works while half of the cluster is down. Exit code 1 where a node is not healthy.

    \b
    Examples:
      skillswap-ops status
      skillswap-ops status --watch
      skillswap-ops status --output json | jq .healthy
    """
    from skillswap_ops.overview import overview
    from skillswap_ops.wiring import context_of

    context = context_of(selection, must_exist=True)
    if watch:
        from rich.live import Live

        with Live(console=console.out(), screen=console.out().is_terminal) as live:
            while True:
                live.update(draw(overview(context)), refresh=True)
                time.sleep(every)
    seen = overview(context)
    if selection.json:
        console.print_json(_record(seen))
    else:
        console.out().print(draw(seen))
    if not seen.healthy:
        raise SystemExit(1)


def draw(seen: "Overview") -> "Table":
    """The tree as a table."""
    from rich.text import Text

    from skillswap_ops.overview import by_zone

    made = console.table(
        "node", "role", ">lag", ">epoch", ">memory", "", title=f"Cluster {seen.cluster}"
    )
    for engine, zones in by_zone(seen.rows):
        made.add_row(Text(engine, "bold"))
        for zone, rows in zones:
            made.add_row(Text(f"  {zone}", "dim"))
            for row in rows:
                made.add_row(*_cells(row))
    made.caption = f"{_size(seen.memory_bytes)} resident in all"
    made.caption_justify = "left"
    return made


def _cells(row: "Row") -> tuple["str | Text", ...]:
    from rich.text import Text

    status = row.status
    style = STYLES[status.health.value]
    return (
        Text.assemble("    ", ("● ", style), row.node.name),
        Text(status.role, style if status.health.value != "ok" else ""),
        "" if status.lag_seconds is None else f"{status.lag_seconds:.1f} s",
        status.epoch,
        _size(row.memory_bytes) if row.memory_bytes else "",
        Text(status.detail, "dim"),
    )


def _size(size: int) -> str:
    return f"{size / MEGABYTE:,.0f} MB"


def _record(seen: "Overview") -> dict[str, object]:
    return {
        "cluster": seen.cluster,
        "healthy": seen.healthy,
        "memory_bytes": seen.memory_bytes,
        "nodes": [
            {
                "engine": row.engine,
                "node": row.node.name,
                "kind": row.node.kind,
                "group": row.node.group,
                "region": row.node.region,
                "zone": row.node.zone,
                "address": row.node.address,
                "health": row.status.health,
                "role": row.status.role,
                "lag_seconds": row.status.lag_seconds,
                "epoch": row.status.epoch,
                "detail": row.status.detail,
                "memory_bytes": row.memory_bytes,
            }
            for row in seen.rows
        ],
    }
