"""`render`: the Kubernetes objects as files."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skillswap_ops import console

if TYPE_CHECKING:
    from manifests.kubernetes.render import Difference


@click.command("render")
@click.option(
    "--topology",
    "-f",
    type=click.Path(path_type=Path),
    help="Topology file, or `tp3` or `large`. Default: the cluster's own, else TP3's.",
)
@click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="As everywhere.")
@click.option("--cluster", metavar="NAME", help="Which cluster, where --home has several.")
@click.option(
    "--target", type=click.Choice(["kubernetes"]), default="kubernetes", show_default=True
)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, file_okay=False), help="Folder to write."
)
@click.option(
    "--check",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder to compare; nothing is written, exit code 1 where it differs.",
)
@click.option(
    "--with-secrets",
    is_flag=True,
    help="Also write the cluster's generated passwords, in clear, in files of mode 0600.",
)
def command(
    topology: Path | None,
    home: Path | None,
    cluster: str | None,
    target: str,
    output: Path | None,
    check: Path | None,
    *,
    with_secrets: bool,
) -> None:
    """Write the objects of a topology as YAML for GitOps, or say what differs from them.

    One file a component, in the order in which they are applied; `dr/` holds what belongs to a DR
    cluster of its own. Secrets are left out: `provision` makes them, or External Secrets does.

    \b
    Examples:
      skillswap-ops render --target kubernetes -o gitops/
      skillswap-ops render --check gitops/
      skillswap-ops render -f large -o gitops/
    """
    from skillswap_ops.kubernetes.rendering import certificates_to_give, check_folder, write_folder
    from skillswap_ops.options import Selection
    from skillswap_ops.wiring import home_folder, selected_topology

    if (output is None) == (check is None):
        raise click.UsageError("give either --output DIR or --check DIR")
    selection = Selection(topology, home, cluster, target, "table")
    folder = home_folder(home)
    chosen = selected_topology(selection, folder)
    if output is not None:
        written, missing = write_folder(chosen, folder, output, secrets=with_secrets)
        console.say(f"{written} files in {output}")
        if missing:
            console.say(
                f"{len(missing)} secrets are left out: `provision` makes them, "
                "--with-secrets writes them"
            )
        _tell_given(certificates_to_give(chosen))
    if check is not None:
        rows = check_folder(chosen, folder, check, secrets=with_secrets)
        _print(rows, check)


def _tell_given(secrets: dict[str, tuple[str, ...]]) -> None:
    if secrets:
        console.say(
            f"{len(secrets)} secrets with certificates are yours to make (docs/kubernetes.md), for:"
        )
    for secret, names in secrets.items():
        console.say(f"  {secret}: {', '.join(names)}")


def _print(rows: "tuple[Difference, ...]", folder: Path) -> None:
    for row in rows:
        place = ": ".join(filter(None, (row.file, row.object, row.field)))
        console.out().print(f"{place}: {row.what}", markup=False, soft_wrap=True)
    if rows:
        console.say(f"{folder} differs in {len(rows)} places; `render -o {folder}` writes it anew")
        raise SystemExit(1)
    console.say(f"{folder} is as rendered")
