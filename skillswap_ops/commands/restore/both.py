"""`restore all`."""

from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.commands.restore.showing import record, show_line
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option

if TYPE_CHECKING:
    from skillswap_ops.integrity import Integrity


@click.command("all")
@click.option("--to", required=True, metavar="TIME", help="Where the restored data ends.")
@selects_cluster
@yes_option
def both(selection: Selection, *, to: str, yes: bool) -> None:
    """Put both stores back to one instant, in place, and look up every reference between them.

    A TIME is as in 2026-11-26T14:03:20Z (UTC where no offset is given), `now`, or `90s ago`, and
    is taken down to its second. Nothing is touched before it is known that both archives reach it.

    Exit code 1 where a reference leads nowhere afterwards.

    \b
    Examples:
      skillswap-ops restore all --to '10m ago'
      skillswap-ops restore all --to 2026-11-26T14:03:20Z --yes
    """
    from skillswap_ops import restoring
    from skillswap_ops.backups import parse_target
    from skillswap_ops.wiring import local_context

    target = restoring.whole_second(parse_target(to))
    context = local_context(selection, must_exist=True)
    confirm(
        f"This puts MongoDB and PostgreSQL of cluster {context.topology.name} back to {target}: "
        "what was written since is gone from them. Go on?",
        yes=yes,
    )
    done, integrity = restoring.all_in_place(context, target, console.say)
    if selection.json:
        console.print_json(
            {
                "to": str(target),
                "restored": [record(one) for one in done],
                "orphans": None if integrity is None else _orphans(integrity),
            }
        )
    else:
        for one in done:
            show_line(one)
        click.echo(_verdict(integrity))
    if integrity is not None and not integrity.clean:
        raise SystemExit(1)


def _orphans(integrity: "Integrity") -> dict[str, int]:
    return {one.name: one.rows for one in integrity.found if one.rows}


def _verdict(integrity: "Integrity | None") -> str:
    if integrity is None:
        return "the references were not looked up: the schema was not applied at that instant"
    found = _orphans(integrity)
    if not found:
        return f"{len(integrity.found)} references looked up: none leads nowhere"
    shown = ", ".join(f"{name}: {count:,}" for name, count in found.items())
    return f"orphans: {shown} (`data check` shows them)"
