"""Options that many commands share, and the cluster that they select."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Selection:
    """Which cluster a command is about, and how it answers."""

    topology: Path | None
    home: Path | None
    cluster: str | None
    target: str
    output: str

    @property
    def json(self) -> bool:
        """Whether stdout is for a program."""
        return self.output == "json"


def _chain(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


_SELECTION = _chain(
    click.option(
        "--topology",
        "-f",
        type=click.Path(path_type=Path),
        help="Topology file, `tp3` or `large`. Default: the cluster's own, else the shipped `tp3`.",
    ),
    click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of all clusters' state. Default: /var/lib/skillswap-ops for root, else "
        "the XDG state folder.",
    ),
    click.option("--cluster", metavar="NAME", help="Which cluster, where --home has several."),
    click.option(
        "--target",
        type=click.Choice(["local", "kubernetes"]),
        default="local",
        show_default=True,
        help="Where the servers run.",
    ),
    click.option(
        "--output",
        "-o",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="What stdout is; messages go to stderr.",
    ),
)


def selects_cluster(function: Callable[Concatenate[Selection, P], R]) -> Callable[..., R]:
    """Give a command the shared options, as one `Selection` before its own arguments."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        names = ("topology", "home", "cluster", "target", "output")
        selection = Selection(**{name: kwargs.pop(name) for name in names})  # type: ignore[arg-type]
        if selection.target != "local":
            _go_inside(selection)
        return function(selection, *args, **kwargs)

    wrapped: Callable[..., R] = _SELECTION(wrapper)
    return wrapped


# Commands that need the servers' network: on Kubernetes they run in the tool's pod there.
INSIDE = frozenset({"status", "verify", "endpoints", "schema", "drill", "backup"})


def _go_inside(selection: Selection) -> None:
    """Run such a command in the cluster, and end with its exit code."""
    import sys

    from skillswap_ops.kubernetes.in_cluster import inside

    words = click.get_current_context().command_path.split()[1:]
    if words[:1] and words[0] in INSIDE and not inside():
        from skillswap_ops.kubernetes.remote import delegate

        raise SystemExit(delegate(selection, sys.argv[1:]))


def state_option(function: Callable[P, R]) -> Callable[P, R]:
    """`--state` for what drives Pulumi."""
    return click.option(
        "--state",
        envvar="PULUMI_BACKEND_URL",
        show_envvar=True,
        metavar="URL",
        help="Kubernetes: where Pulumi keeps its state (file://, s3://, …). Default: in --home.",
    )(function)


def yes_option(function: Callable[P, R]) -> Callable[P, R]:
    """`--yes` for commands that destroy or break."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask.")(function)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before destroying or breaking; without a terminal only --yes will do."""
    if yes:
        return
    import sys

    if not sys.stdin.isatty():
        raise click.UsageError(f"{question}\nThis asks first; without a terminal add --yes.")
    click.confirm(question, abort=True, err=True)
