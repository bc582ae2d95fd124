"""`lint`: what would break the SLA, before anything is deployed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from skillswap_ops.linting import Finding


@click.command("lint")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Exit with 1 where there are warnings, too.")
@selects_cluster
def command(selection: Selection, *, file: Path | None, strict: bool) -> None:
    """Say what is wrong with a topology FILE, and what it would do to the SLA.

    Default: the cluster's own topology, else the shipped one. Every finding says where it is,
    what it is and what to do. Beside the rules, each failover is simulated from the timings alone.

    \b
    Exit codes: 0 nothing or warnings, 1 the SLA would be broken (with --strict: or warnings),
    2 no cluster can be built from the file.

    \b
    Examples:
      skillswap-ops lint my.yaml
      skillswap-ops lint my.yaml --strict --output json
    """
    from cluster.topology_file import examine_file
    from skillswap_ops.linting import exit_code, lint
    from skillswap_ops.wiring import home_folder, topology_path

    path = file or topology_path(selection, home_folder(selection.home))
    found = lint(examine_file(path))
    code = exit_code(found, strict=strict)
    if selection.json:
        console.print_json({"file": str(path), "exit_code": code, "findings": found})
    else:
        _print(path, found)
    if code:
        raise SystemExit(code)


def _print(path: Path, found: "Sequence[Finding]") -> None:
    from rich.text import Text

    styles = {"invalid": "bold red", "breaks the SLA": "red", "warning": "yellow"}
    for each in found:
        console.out().print(
            Text.assemble(
                (f"{each.severity}", styles[each.severity]), f"  {path}:{each.line}: {each.field}"
            ),
            soft_wrap=True,
        )
        console.out().print(Text(f"  {each.what}"))
        console.out().print(Text(f"  → {each.remedy}", "dim"))
    kinds = {kind: sum(each.severity == kind for each in found) for kind in styles}
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    console.say(f"{path}: {told or 'nothing to say against it'}.")
