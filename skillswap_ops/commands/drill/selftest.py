"""`drill selftest`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster.drill.selftest.suite import Planted


@click.command("selftest")
@click.option(
    "--run",
    metavar="RUN",
    help="Plant into a copy of this run: a folder, or any part of a run's name. The run itself is "
    "only read. Default: a run made for it.",
)
@selects_cluster
def selftest(selection: Selection, *, run: str | None) -> None:
    """Plant every defect that a checker must find, and see it found.

    A lost write, one applied twice, two primaries, a torn ledger, an orphan of the write chain, and
    the rest: one at a time, each into a copy of a run's evidence. The finding it must raise has to
    appear, and no other. Needs no cluster. Exit codes: 0 all caught, and the run without a defect
    judged right; 1 not so.

    \b
    Examples:
      skillswap-ops drill selftest
      skillswap-ops drill selftest --run 20260301T120000Z
    """
    from cluster.drill.selftest.suite import all_caught, on_genuine
    from skillswap_ops.catalogue import all_checks
    from skillswap_ops.traffic.selftest import CHAIN_DEFECTS, furnish

    if run is None:
        planted = on_genuine(all_checks(), CHAIN_DEFECTS, furnish)
    else:
        planted = _on_copy(selection, run)
    if selection.json:
        console.print_json(planted)
    else:
        _print(planted)
    if not all_caught(planted):
        raise SystemExit(1)


def _on_copy(selection: Selection, run: str) -> "tuple[Planted, ...]":
    from cluster.drill.evidence import CONFIG
    from cluster.drill.selftest.suite import on_copy
    from skillswap_ops.catalogue import all_checks
    from skillswap_ops.drilling import find_run
    from skillswap_ops.traffic.selftest import CHAIN_DEFECTS
    from skillswap_ops.wiring import context_of

    if Path(run, CONFIG).is_file():
        folder = Path(run)
    else:
        folder = find_run(context_of(selection, must_exist=True), run)
    return on_copy(folder, all_checks(), CHAIN_DEFECTS)


def _print(planted: "Sequence[Planted]") -> None:
    console.print_table(
        ("planted", "must be found", "was said", "caught?"),
        [(one.defect, one.expected, _said(one), _caught(one)) for one in planted],
    )
    defects = [one for one in planted[1:] if not one.skipped]
    caught = sum(one.caught for one in defects)
    skipped = len(planted) - 1 - len(defects)
    console.say(
        f"{len(defects)} defects planted, {caught} caught"
        + (f"; {skipped} have no place in this run." if skipped else ".")
    )


def _said(one: "Planted") -> str:
    return f"({one.skipped})" if one.skipped else "; ".join(one.said) or "-"


def _caught(one: "Planted") -> str:
    if one.skipped:
        return "skipped"
    return "yes" if one.caught else "NOT CAUGHT"
