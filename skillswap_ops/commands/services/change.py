"""`services deploy`, `rollout`, `rollback` and `scale`: what changes the deployed services."""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.commands.services.catalogue import STAGES
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from cluster.plan import Event, Step
    from manifests.services.releases import Releases, Value
    from skillswap_ops.deploying import Intent
    from skillswap_ops.wiring import LocalContext

MOST_REPLICAS = 16
IMAGE = click.option(
    "--image",
    type=click.Path(path_type=Path, exists=True),
    help="A checkout, a virtual environment or its Python. Default: this very installation.",
)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Print what would change, change nothing.")


@click.command("deploy")
@click.option("--stage", type=click.Choice(STAGES), required=True, help="How far in the roadmap.")
@IMAGE
@click.option(
    "--replicas",
    metavar="SERVICE=N",
    multiple=True,
    help="How many instances of a service; may be given several times.",
)
@DRY_RUN
@selects_cluster
def deploy(
    selection: Selection,
    *,
    stage: str,
    image: Path | None,
    replicas: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Deploy the services of a stage behind their proxies, with the data model that they need.

    Idempotent: what is deployed stays as it is, unless --image names another version, which is
    then rolled out. A stage contains those before it; nothing is taken away.

    \b
    Examples:
      skillswap-ops services deploy --stage mvp
      skillswap-ops services deploy --stage mvp --replicas chat=3 --dry-run
      skillswap-ops services deploy --stage v1.1 --image /srv/skillswap-ops-0.2
    """
    from manifests.services.model import Stage
    from skillswap_ops.deploying import deployment
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    counts = _counts(replicas)
    do(selection, deployment(context, Stage(stage), image, counts), dry_run=dry_run)


@click.command("rollout")
@click.argument("service", required=False)
@click.option("--all", "everything", is_flag=True, help="Every deployed service.")
@IMAGE
@click.option(
    "--set",
    "changes",
    metavar="PATH=VALUE",
    multiple=True,
    help="A setting that differs from the default, such as limits.user_per_minute=60.",
)
@DRY_RUN
@selects_cluster
def rollout(
    selection: Selection,
    *,
    service: str | None,
    everything: bool,
    image: Path | None,
    changes: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Replace the instances of SERVICE one after the other, by a new version or new settings.

    A canary tries the new revision before any instance is touched. Each instance drains, is
    replaced, and has to be ready and in the proxies' rotation before the next one's turn. Where
    one fails, everything goes back by itself (exit code 1).

    \b
    Examples:
      skillswap-ops services rollout auth
      skillswap-ops services rollout --all --image /srv/skillswap-ops-0.2
      skillswap-ops services rollout gateway --set limits.user_per_minute=60
      skillswap-ops services rollout auth --image skillswap-ops:0.2.0 --target kubernetes
    """
    from skillswap_ops import deploying
    from skillswap_ops.wiring import local_context

    if bool(service) == everything:
        raise click.UsageError("name a SERVICE, or --all")
    if selection.target == "kubernetes":
        _roll_out_on_kubernetes(selection, service, image, changes, dry_run=dry_run)
        return
    context = local_context(selection, must_exist=True)
    intent = deploying.rollout(context, service, image, _values(changes))
    do(selection, intent, dry_run=dry_run)


def _roll_out_on_kubernetes(
    selection: Selection,
    service: str | None,
    image: Path | None,
    changes: tuple[str, ...],
    *,
    dry_run: bool,
) -> None:
    from manifests.services.catalogue import CATALOGUE
    from skillswap_ops.kubernetes.client import cluster_api
    from skillswap_ops.kubernetes.rollout import rollout as roll_out
    from skillswap_ops.wiring import home_folder, selected_topology

    if image is None or changes or dry_run:
        raise click.UsageError("on Kubernetes a rollout takes an --image, and nothing else")
    topology = selected_topology(selection, home_folder(selection.home))
    names = (service,) if service else CATALOGUE.names
    roll_out(cluster_api(topology), names, str(image), console.say)
    console.say(f"To keep it: kubernetes.images.tool: {image} in the topology file.")


@click.command("rollback")
@click.argument("service")
@click.option("--to", type=int, metavar="REVISION", help="Default: the one before the live one.")
@DRY_RUN
@selects_cluster
def rollback(selection: Selection, *, service: str, to: int | None, dry_run: bool) -> None:
    """Roll SERVICE back to an earlier revision: its code and its settings.

    \b
    Examples:
      skillswap-ops services rollback auth
      skillswap-ops services rollback auth --to 3
    """
    from skillswap_ops import deploying

    do(selection, deploying.rollback(service, to), dry_run=dry_run)


@click.command("scale")
@click.argument("replicas", nargs=-1, required=True, metavar="SERVICE=N...")
@DRY_RUN
@selects_cluster
def scale(selection: Selection, *, replicas: tuple[str, ...], dry_run: bool) -> None:
    """Run N instances of each SERVICE that is named.

    \b
    Examples:
      skillswap-ops services scale chat=3
      skillswap-ops services scale chat=2 auth=3 --dry-run
    """
    from skillswap_ops import deploying

    do(selection, deploying.scaling(_counts(replicas)), dry_run=dry_run)


def do(selection: Selection, intent: "Intent", *, dry_run: bool = False) -> None:
    """Carry a change out and show it, or what it would do."""
    from skillswap_ops import deploying
    from skillswap_ops.commands.plan import print_rows
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    if dry_run:
        print_rows(deploying.plan(context, intent), selection, show_all=False)
        return
    found = run_change(context, intent)
    if selection.json:
        console.print_json(_record(found))


def run_change(context: "LocalContext", intent: "Intent") -> "Releases":
    """Carry a change out with progress; what is deployed then. Raises OpsError where one failed."""
    from skillswap_ops import deploying

    with _Shown() as shown:
        found = deploying.carry_out(deploying.Work(context, console.note, shown.on_steps), intent)
    console.say(f"Done: {shown.changed} of {shown.steps} steps changed something.")
    return found


class _Shown:
    """Progress of one list of steps after another."""

    def __init__(self) -> None:
        self.steps = 0
        self.changed = 0
        self._stack = ExitStack()

    def __enter__(self) -> "_Shown":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def on_steps(self, steps: "Sequence[Step]") -> "Callable[[Event], None]":
        """Draw these from now on."""
        from cluster.plan import Finished, Outcome
        from skillswap_ops.progress import Progress

        self._stack.close()
        self._stack = ExitStack()
        self.steps, self.changed = len(steps), 0
        progress = Progress(steps)
        self._stack.enter_context(progress.shown())

        def on_event(event: "Event") -> None:
            if isinstance(event, Finished) and event.outcome is Outcome.CHANGED:
                self.changed += 1
            progress.on_event(event)

        return on_event


def _record(found: "Releases") -> list[dict[str, object]]:
    return [
        {
            "service": name,
            "replicas": release.replicas,
            "revision": release.current,
            "version": live.version if (live := release.revision(release.current)) else None,
            "outcome": release.revisions[-1].outcome.value if release.revisions else None,
        }
        for name, release in found.services.items()
    ]


def _counts(words: Sequence[str]) -> dict[str, int]:
    counts = {}
    for word in words:
        name, equals, number = word.partition("=")
        if not (name and equals and number.isdigit() and 1 <= int(number) <= MOST_REPLICAS):
            raise click.UsageError(f"{word}: must be SERVICE=N, N from 1 to {MOST_REPLICAS}")
        counts[name] = int(number)
    return counts


def _values(words: Sequence[str]) -> "dict[str, Value]":
    """Values as JSON has them; what is no JSON is text."""
    found: dict[str, Value] = {}
    for word in words:
        path, equals, text = word.partition("=")
        if not (path and equals):
            raise click.UsageError(f"--set {word}: must be PATH=VALUE")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if isinstance(value, dict):
            raise click.UsageError(f"--set {word}: set each value by its own path")
        found[path] = tuple(map(str, value)) if isinstance(value, list) else value
    return found
