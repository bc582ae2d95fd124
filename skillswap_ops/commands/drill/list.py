"""`drill list`."""

import click

from skillswap_ops import console
from skillswap_ops.commands.drill.names import tag_option
from skillswap_ops.options import Selection, selects_cluster


@click.command("list")
@tag_option
@selects_cluster
def list_drills(selection: Selection, *, tags: tuple[str, ...]) -> None:
    """List the catalogue: what is broken, what must hold, how long it takes.

    A drill that this topology, this machine or this user cannot do says why. Needs no cluster.
    """
    from skillswap_ops.drill_card_view import print_catalogue
    from skillswap_ops.drilling import tagged, why_skipped
    from skillswap_ops.wiring import context_of

    context = context_of(selection)
    found = [(spec, why_skipped(context, spec)) for spec in tagged(tags)]
    if not selection.json:
        print_catalogue(found)
        return
    console.print_json(
        [
            {
                "name": spec.name,
                "hypothesis": spec.hypothesis,
                "fault": spec.fault,
                "must_hold": spec.must_hold,
                "seconds": spec.seconds,
                "tags": sorted(spec.tags),
                "skipped": why,
            }
            for spec, why in found
        ]
    )
