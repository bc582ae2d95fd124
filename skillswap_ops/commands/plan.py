"""`plan`: what would change, and why not the rest."""

from pathlib import Path

import click

from cluster.plan import Finished, Outcome
from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster, state_option


@click.command("plan")
@click.option("--all", "show_all", is_flag=True, help="Also list what would not change, and why.")
@click.option("--cost", is_flag=True, help="What the topology costs a month on Kubernetes instead.")
@click.option(
    "--prices",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Price table for --cost. Default: the shipped one, which --show-prices prints.",
)
@click.option("--show-prices", is_flag=True, help="Print the shipped price table, to edit.")
@state_option
@selects_cluster
def command(
    selection: Selection,
    *,
    show_all: bool,
    cost: bool,
    prices: Path | None,
    show_prices: bool,
    state: str | None,
) -> None:
    """Say what `provision` would change, and why not the rest. Changes nothing.

    \b
    Examples:
      skillswap-ops plan
      skillswap-ops plan --all --topology my.yaml
      skillswap-ops plan --target kubernetes
      skillswap-ops plan --cost --topology large
      skillswap-ops plan --show-prices > prices.yaml
      skillswap-ops plan --cost --prices prices.yaml
    """
    if show_prices:
        from manifests.prices import SHIPPED

        click.echo(SHIPPED.read_text("utf-8"), nl=False)
    elif cost or prices:
        from skillswap_ops.costs import print_cost

        print_cost(selection, prices)
    elif selection.target == "kubernetes":
        from skillswap_ops.kubernetes.provisioning import plan as plan_objects

        print_rows(plan_objects(selection, state), selection, show_all=show_all)
    else:
        print_plan(selection, show_all=show_all)


def print_plan(selection: Selection, *, show_all: bool) -> None:
    """Observe the cluster and print the plan."""
    from cluster.topology_rules import lint_topology
    from skillswap_ops.provisioning import plan
    from skillswap_ops.wiring import local_context

    context = local_context(selection)
    rows = plan(context)
    for warning in lint_topology(context.topology):
        console.say(f"warning: {warning}")
    print_rows(rows, selection, show_all=show_all)


def print_rows(rows: list[Finished], selection: Selection, *, show_all: bool) -> None:
    """A preview, by component."""
    components = list(dict.fromkeys(row.step.component for row in rows))
    rows.sort(key=lambda row: components.index(row.step.component))
    if selection.json:
        console.print_json([_record(row) for row in rows])
        return
    changing = [row for row in rows if row.outcome is Outcome.WOULD_CHANGE]
    shown = rows if show_all else changing
    if shown:
        console.print_table(
            ("", "component", "what", "why"),
            [(_sign(row), row.step.component, row.step.what, row.why) for row in shown],
        )
    same = len(rows) - len(changing)
    console.say(
        f"{len(changing)} steps would change, {same} would not"
        + ("." if show_all or not same else "; --all says why.")
    )


def _sign(row: Finished) -> str:
    return "~" if row.outcome is Outcome.WOULD_CHANGE else "="


def _record(row: Finished) -> dict[str, str | bool]:
    return {
        "step": row.step.name,
        "component": row.step.component,
        "what": row.step.what,
        "changes": row.outcome is Outcome.WOULD_CHANGE,
        "why": row.why,
    }
