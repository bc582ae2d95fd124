"""PatroniCluster: the members of a scope, which elect their leader through Kubernetes itself.

A member is a stateful set of its own, pinned to its zone: the primary and its synchronous standby
never share one, and no change of a file reaches both at once. The tool replaces them one by one,
standbys first (`updateStrategy: OnDelete`).
"""

from collections.abc import Sequence

from lightkube.models.core_v1 import EnvVar, ExecAction, Lifecycle, LifecycleHandler, VolumeMount

from cluster.inventory import Kind, Node
from cluster.kubernetes.labels import JOINED, PEERS
from cluster.server import Server
from cluster.topology import Topology
from manifests.kubernetes import archive, foundation, names, placement, pods, probes, workloads
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.files import Files, files
from manifests.kubernetes.inventory import stateful_set_name
from manifests.kubernetes.objects import Typed, manifests
from manifests.kubernetes.rbac import patroni_account

PATRONI, POSTGRES, PGBOUNCER = 8008, 5432, 6432
PORTS = {"postgres": POSTGRES, "pgbouncer": PGBOUNCER, "patroni": PATRONI}
SHARED_MEMORY = "512Mi"  # of parallel queries
POOL_STOP_SECONDS = 10
ONE_MEMBER = "skillswap.io/member"


def component(blueprint: Blueprint, scope: str, *, away: bool = False) -> Component:
    """The members of a scope. Drains take one at a time; the synchronous standby then leads."""
    topology = blueprint.topology
    nodes = blueprint.inventory.of(Kind.POSTGRES, group=scope)
    servers = [server for node in nodes for server in blueprint.on(node)]
    rows: list[Typed] = [
        *patroni_account(topology, scope),
        workloads.headless(topology, scope, names.POSTGRES, PORTS, scope),
    ]
    held = []
    for node in nodes:
        own = [server for server in servers if server.node.name == node.name]
        held.append(files(topology, blueprint.secrets, node.name, names.POSTGRES, own, scope))
        rows += [_address(topology, node), _member(blueprint, node, own, held[-1])]
    rows.append(workloads.budget(topology, scope, names.POSTGRES, away=1))
    first = [each for files_ in held for each in files_.objects]
    return Component(
        Idea.PATRONI_CLUSTER,
        scope,
        (*first, *manifests(rows)),
        (f"{foundation.NAME}-dr", f"{archive.NAME}-dr")
        if away
        else (foundation.NAME, archive.NAME),
        nodes[0].region,
        away,
    )


def _address(topology: Topology, node: Node) -> Typed:
    """A fixed address: HAProxy resolves its servers' names once, when it starts."""
    return workloads.service(
        topology,
        node.name,
        names.POSTGRES,
        PORTS,
        instance=node.group,
        more={ONE_MEMBER: node.name},
        not_ready_too=True,
    )


def _member(blueprint: Blueprint, node: Node, servers: Sequence[Server], held: Files) -> Typed:
    topology = blueprint.topology
    sizes = topology.kubernetes.sizes
    shared = archive.of_postgres(topology)
    wal = [volume for server in servers for volume in server.volumes]
    labels = names.labels(topology, names.POSTGRES, node.group)
    claims = [pods.claim(topology, "data", sizes.postgres.volume, labels)]
    claims += [pods.claim(topology, one.name, -(-one.mebibytes // 1024), labels) for one in wal]
    room = pods.Room(
        component=names.POSTGRES,
        instance=node.group,
        node=node.name,
        account=node.group,
        affinity=placement.affinity(
            node.region,
            [node.zone],
            names.selector(names.POSTGRES, node.group),
            strictly=True,
        ),
        claims=tuple(
            claim.metadata.name for claim in claims if claim.metadata and claim.metadata.name
        ),
        volumes=(
            pods.memory("shm", SHARED_MEMORY),
            *([shared.volume] if shared else []),
        ),
        labels={ONE_MEMBER: node.name, PEERS: JOINED},
    )
    return workloads.stateful_set(
        topology,
        stateful_set_name(node),
        names.POSTGRES,
        node.group,
        pods.template(topology, room, [_box(blueprint, server) for server in servers], held),
        claims,
        replicas=1,
        first=0,
        service=node.group,
        by_hand=True,
        more={ONE_MEMBER: node.name},
    )


def _box(blueprint: Blueprint, server: Server) -> pods.Box:
    settings, tls = blueprint.topology.kubernetes, blueprint.topology.tls.enabled
    if PGBOUNCER in server.ports:
        alive = probes.tcp(PGBOUNCER)
        return pods.Box(
            server=server,
            image=settings.images.postgres,
            size=settings.sizes.pgbouncer,
            ready=alive,
            alive=alive,
            start=probes.started(alive),
            lifecycle=_interrupted(),
        )
    mounts = [VolumeMount(name="shm", mountPath="/dev/shm")]  # noqa: S108 - the pod's own
    if shared := archive.of_postgres(blueprint.topology):
        mounts.append(shared.mount)
    return pods.Box(
        server=server,
        image=settings.images.postgres,
        size=settings.sizes.postgres,
        # A leader, or a standby that streams; one that copies its data is alive, and not ready.
        ready=probes.http("/readiness", PATRONI, failures=2, tls=tls),
        alive=probes.http("/liveness", PATRONI, tls=tls),
        start=probes.started(probes.http("/liveness", PATRONI, tls=tls)),
        env=(
            pods.from_pod("PATRONI_KUBERNETES_NAMESPACE", "metadata.namespace"),
            pods.from_pod("PATRONI_KUBERNETES_POD_IP", "status.podIP"),
            EnvVar(name="HOME", value="/tmp"),  # noqa: S108
        ),
        mounts=tuple(mounts),
    )


def _interrupted() -> Lifecycle:
    """pgbouncer lets transactions finish on INT, and drops every client on TERM."""
    command = ["sh", "-c", f"pkill -INT -x pgbouncer; sleep {POOL_STOP_SECONDS}"]
    return Lifecycle(preStop=LifecycleHandler(exec=ExecAction(command=command)))
