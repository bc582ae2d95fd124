"""From a selection to a context: which home, which cluster, which target."""

import os
from dataclasses import dataclass
from pathlib import Path

from cluster.clock import SYSTEM_CLOCK
from cluster.context import Context, trust
from cluster.errors import InvalidInputError
from cluster.inventory import inventory
from cluster.layout import Layout
from cluster.local.target import LocalTarget
from cluster.local.users import run_as
from cluster.programs import Programs, newest_postgres
from cluster.secrets import SecretStore
from cluster.topology import Topology
from cluster.topology_file import SHIPPED, load_topology
from mongo.releases import installed_server, server_homes
from skillswap_ops.options import Selection

ROOT_HOME = Path("/var/lib/skillswap-ops")


@dataclass(frozen=True)
class LocalContext(Context):
    """A context whose target is this machine."""

    target: LocalTarget


def home_folder(given: Path | None) -> Path:
    """--home, SKILLSWAP_OPS_HOME, /var/lib/skillswap-ops for root, else the XDG state folder."""
    if given or os.environ.get("SKILLSWAP_OPS_HOME"):
        return (given or Path(os.environ["SKILLSWAP_OPS_HOME"])).absolute()
    if os.geteuid() == 0:
        return ROOT_HOME
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "skillswap-ops"


def clusters(home: Path) -> tuple[str, ...]:
    """Names of the clusters that were provisioned in a home."""
    return tuple(sorted(path.parent.name for path in home.glob("*/topology.yaml")))


def local_context(selection: Selection, *, must_exist: bool = False) -> LocalContext:
    """The selected cluster.

    Raises InvalidInputError where the selection is ambiguous or (`must_exist`) was never
    provisioned, and where another target is asked for.
    """
    if selection.target != "local":
        raise InvalidInputError(
            f"this command does not know --target {selection.target}",
            "docs/kubernetes.md says which commands do",
        )
    home = home_folder(selection.home)
    topology = selected_topology(selection, home)
    layout = Layout(home / topology.name)
    topology = with_postgres_version(topology, layout)
    if must_exist and not layout.topology.exists():
        raise InvalidInputError(
            f"there is no cluster {topology.name} in {home}", "run `skillswap-ops provision`"
        )
    extra = installed_server(server_homes(os.environ, root=os.geteuid() == 0))
    programs = Programs((extra,) if extra else ())
    user = run_as(topology.local.run_as)
    return LocalContext(
        topology=topology,
        inventory=inventory(topology, trust(topology, layout)),
        layout=layout,
        secrets=SecretStore(layout.secrets),
        target=LocalTarget(layout, user, programs.script("supervisord"), SYSTEM_CLOCK),
        programs=programs,
    )


def context_of(selection: Selection, *, must_exist: bool = False) -> Context:
    """The selected cluster, on whichever target; on Kubernetes only from inside of it.

    Raises as `local_context`.
    """
    if selection.target == "local":
        return local_context(selection, must_exist=must_exist)
    from skillswap_ops.kubernetes.context import in_cluster_context
    from skillswap_ops.kubernetes.in_cluster import TOPOLOGY

    return in_cluster_context(load_topology(selection.topology or TOPOLOGY))


def selected_topology(selection: Selection, home: Path) -> Topology:
    """The file that is named, else the cluster's own, else the shipped TP3 topology."""
    topology = load_topology(topology_path(selection, home))
    if selection.topology and selection.cluster not in {None, topology.name}:
        raise InvalidInputError(
            f"--cluster {selection.cluster}: {selection.topology} is of {topology.name}",
            "give one of the two",
        )
    return topology


def topology_path(selection: Selection, home: Path) -> Path:
    """Where the selected topology is; the file may be wrong.

    Raises InvalidInputError where the selection is ambiguous, or names no cluster.
    """
    if selection.topology:
        return selection.topology
    known = clusters(home)
    if selection.cluster:
        if selection.cluster not in known:
            raise InvalidInputError(
                f"there is no cluster {selection.cluster} in {home}",
                f"there are: {', '.join(known) or 'none'}",
            )
        return Layout(home / selection.cluster).topology
    if len(known) > 1:
        raise InvalidInputError(
            f"{home} has several clusters: {', '.join(known)}", "name one with --cluster"
        )
    return Layout(home / known[0]).topology if known else SHIPPED


def with_postgres_version(topology: Topology, layout: Layout) -> Topology:
    """The topology with PostgreSQL's version, where it names none: the cluster's own, else the
    newest that is installed. A cluster keeps the version that it began with.
    """
    if "version" in topology.postgres.model_fields_set:
        return topology
    version = newest_postgres()
    if layout.topology.exists():
        version = load_topology(layout.topology).postgres.version
    postgres = topology.postgres.model_copy(update={"version": version})
    return topology.model_copy(update={"postgres": postgres})
