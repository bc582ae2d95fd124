"""`plan --cost`: what a topology costs a month on Kubernetes."""

from pathlib import Path

from manifests.kubernetes.build import components
from manifests.prices import Line, bill, load_prices, total
from skillswap_ops import console
from skillswap_ops.kubernetes.context import blueprint
from skillswap_ops.options import Selection
from skillswap_ops.wiring import home_folder, selected_topology


def print_cost(selection: Selection, prices: Path | None) -> None:
    """The bill, by component. Raises InvalidInputError for a price table that is wrong."""
    table = load_prices(prices)
    topology = selected_topology(selection, home_folder(selection.home))
    lines = bill(topology, components(blueprint(topology, None)), table)
    everything = total(lines)
    if selection.json:
        document = {"currency": table.currency, "lines": lines, "total": everything}
        console.print_json(document)
        return
    console.print_table(
        ("part", ">pods", ">cores", ">GiB memory", ">GiB disk", f">{table.currency} a month"),
        [_row(line) for line in (*lines, everything)],
        title=f"Cluster {topology.name}",
    )


def _row(line: Line) -> tuple[str, ...]:
    amount = line.amount
    disk = amount.volumes + amount.shared
    return (
        line.name,
        f"{amount.pods:,}" if amount.pods else "",
        f"{amount.cores:,.1f}" if amount.cores else "",
        f"{amount.memory:,.1f}" if amount.memory else "",
        f"{disk:,.0f}" if disk else "",
        f"{line.cost:,.0f}",
    )
