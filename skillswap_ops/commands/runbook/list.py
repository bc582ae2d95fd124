"""`runbook list`."""

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster


@click.command("list")
@selects_cluster
def list_runbooks(selection: Selection) -> None:
    """List every runbook: what it is for, how bad that is, and whether it was proved.

    Proved: a test made the condition on real servers, `doctor` named this runbook, and its run
    left the cluster healthy. Of what no test can make on this machine, the reason is said. Needs
    no cluster.
    """
    from runbooks.catalogue import catalogue
    from runbooks.proofs import proofs

    known, proved = catalogue(), proofs()
    if selection.json:
        console.print_json(
            [
                {
                    "id": one.id,
                    "title": one.front.title,
                    "severity": one.front.severity,
                    "alerts": one.front.alerts,
                    "sla": one.front.sla,
                    "arguments": sorted(one.front.arguments),
                    "proof": proved.of(one).state,
                    "not_local": one.front.not_local,
                    "seconds": proved.of(one).seconds,
                }
                for one in known.values()
            ]
        )
        return
    console.print_table(
        ("runbook", "severity", "what for", "proved"),
        [
            (one.id, one.front.severity, one.front.title, proved.of(one).words)
            for one in sorted(known.values(), key=lambda one: (one.front.severity.rank, one.id))
        ],
    )
