"""What a topology file must not change of a cluster that is there, and which command does instead.

Addresses are in replica set configurations and in data folders: they do not follow by themselves. A
member that is dropped from the file would go on running unseen.
"""

from collections.abc import Iterator, Sequence

from cluster.errors import RefusedError
from cluster.files import write_atomic
from cluster.inventory import Inventory, Kind, Node, inventory, moved
from cluster.layout import Layout
from cluster.topology import Topology
from cluster.topology_file import load_topology
from mongo import former as mongo
from postgres import former as postgres
from postgres import regions, restore_state
from skillswap_ops.rotating import refuse_half_rotated
from skillswap_ops.wiring import LocalContext

LEAVES = {
    Kind.SHARD: "mongo member remove",
    Kind.ARBITER: "mongo member remove",
    Kind.CONFIG: "mongo member remove",
    Kind.POSTGRES: "pg member remove",
}
OF_SHARDS = frozenset({Kind.SHARD, Kind.ARBITER})
FORMER_SHARDS = "former-shards"  # in the cluster's folder


def check_change(context: LocalContext, *, leaving: bool = False) -> None:
    """Raises RefusedError where the topology would move or drop a node that has data, or add one
    to an etcd, or where a restore, a change of the leading region, or of a secret of servers that
    run is half done.

    `leaving`: what a command takes out may be dropped.
    """
    regions.refuse_half_done(context.layout)
    restore_state.refuse_half_done(context.layout)
    refuse_half_rotated(context)
    before = _before(context)
    with_data = [node for node in before.nodes if context.layout.data(node).exists()]
    dropped = {node.name: node for node in (*with_data, *former(context))}
    lost = [node for name, node in dropped.items() if name not in _names(context.inventory)]
    commands = leave_with(lost, context.inventory)
    problems = [
        f"{old.name} would move from {old.address} to {new.address}"
        for old, new in moved(Inventory(tuple(with_data)), context.inventory)
    ]
    if context.layout.topology.exists():
        old_topology = load_topology(context.layout.topology)
        problems += _for_good(old_topology, context.topology, with_data)
    problems += _second_etcds(before, with_data, context.inventory)
    problems += _names_again(context, before)
    if gone := [node.name for node in lost if not leaving or node.name not in commands]:
        problems.append(f"not in the topology any more: {', '.join(gone)}")
    if not problems:
        return
    if len(problems) == 1 and gone and commands.keys() >= {*gone}:
        told = ", ".join(dict.fromkeys(f"`{commands[name]}`" for name in gone))
        raise RefusedError(problems[0], f"to take out what goes, with the same file: {told}")
    raise RefusedError(
        "\n".join(problems),
        "put new shards and members at the end, and keep those that have data, `local.network`, "
        "`tls.enabled`, `postgres.wal_volume`, `postgres.version` and the size of each etcd; "
        "members and shards leave by commands of `mongo` and `pg`; to begin anew, `destroy` first",
    )


def former_shards(layout: Layout) -> frozenset[str]:
    """The names of the shards that have left."""
    try:
        return frozenset((layout.root / FORMER_SHARDS).read_text("utf-8").split())
    except FileNotFoundError:
        return frozenset()


def remember_shard(layout: Layout, name: str) -> None:
    """A shard leaves: what is archived under its name is its own."""
    names = sorted(former_shards(layout) | {name})
    write_atomic(layout.root / FORMER_SHARDS, "\n".join(names) + "\n")


def former(context: LocalContext) -> tuple[Node, ...]:
    """The members of both engines that are here still, and that the topology has no more."""
    return (*mongo.former(context), *postgres.former(context))


def leave_with(nodes: Sequence[Node], wanted: Inventory) -> dict[str, str]:
    """The command that takes each of these nodes out; none for what none does. Pure."""
    groups = {node.group for node in wanted.nodes}
    found = {}
    for node in nodes:
        if node.group in groups and node.kind in LEAVES:
            found[node.name] = f"{LEAVES[node.kind]} {node.name}"
        elif node.kind in OF_SHARDS:
            found[node.name] = f"mongo shard remove {node.group}"
    return found


def _before(context: LocalContext) -> Inventory:
    """The nodes of the topology that was last provisioned; none where there was none."""
    path = context.layout.topology
    return inventory(load_topology(path)) if path.exists() else Inventory(())


def _names(found: Inventory) -> frozenset[str]:
    return frozenset(node.name for node in found.nodes)


def _for_good(old: Topology, new: Topology, with_data: Sequence[Node]) -> Iterator[str]:
    """The settings that a cluster keeps as it began with them."""
    volumes = (old.postgres.wal_volume, new.postgres.wal_volume)
    if volumes[0] != volumes[1] and any(node.kind is Kind.POSTGRES for node in with_data):
        yield f"postgres.wal_volume would change from {volumes[0]} to {volumes[1]} MiB"
    versions = (old.postgres.version, new.postgres.version)
    if versions[0] != versions[1] and any(node.kind is Kind.POSTGRES for node in with_data):
        change = f"from {versions[0]} to {versions[1]}"
        yield f"postgres.version would change {change} under its data (runbook pg-major-upgrade)"
    if old.tls.enabled != new.tls.enabled and with_data:
        yield f"tls.enabled would change to {str(new.tls.enabled).lower()}"


def _names_again(context: LocalContext, before: Inventory) -> Iterator[str]:
    """New shards by the name of one that has left: the archive of its oplog goes by that."""
    there = {node.group for node in before.nodes}
    for shard in context.topology.mongo.shards:
        if shard.name in former_shards(context.layout) and shard.name not in there:
            yield f"{shard.name} was a shard that has left: a new one needs another name"


def _second_etcds(before: Inventory, with_data: Sequence[Node], wanted: Inventory) -> Iterator[str]:
    """The etcds that exist and would get members.

    A member that starts with a list that the others have not been told of founds a cluster of its
    own: two of three make a quorum there, and Patroni would find no leader in it. (etcd: Runtime
    reconfiguration: `member add` comes first.)
    """
    for group in dict.fromkeys(node.group for node in with_data if node.kind is Kind.ETCD):
        there = [node.name for node in before.of(Kind.ETCD, group=group)]
        names = [node.name for node in wanted.of(Kind.ETCD, group=group)]
        if new := ", ".join(name for name in names if name not in there):
            yield f"{new} would found a second etcd beside {', '.join(there)}"
