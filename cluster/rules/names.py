"""Names: what a word means must be clear to every program that reads it."""

from collections.abc import Iterable, Iterator

from cluster.inventory import CONFIG_SET, fleet_names, member_names
from cluster.problems import Path, Problem, dotted
from cluster.rules.base import CONFIG_SERVERS, repeated, replica_sets, rule
from cluster.topology import Topology

# MongoDB's own databases; `config` and `admin` live on the config servers whatever a shard says.
MONGO_DATABASES = frozenset({"admin", "config", "local"})

# initdb makes the first three (a database of that name would be shared with them), pgbouncer's
# console is the fourth, and pg_hba.conf gives the rest a meaning of their own.
SQL_DATABASES = frozenset(
    {"postgres", "template0", "template1", "pgbouncer"}
    | {"all", "replication", "samegroup", "samerole", "sameuser"}
)


def segment_not_reserved(topology: Topology) -> Iterable[Problem]:
    """MongoDB keeps `admin`, `config` and `local` for itself: they cannot be placed."""
    for index, shard in enumerate(topology.mongo.shards):
        if shard.segment in MONGO_DATABASES:
            path: Path = ("mongo", "shards", index, "segment")
            yield Problem(path, "is a database of MongoDB's own", shard.segment)


def database_not_reserved(topology: Topology) -> Iterable[Problem]:
    """The payments have a database to themselves, with a name that means nothing else."""
    name = topology.postgres.database
    if name in SQL_DATABASES:
        yield Problem(("postgres", "database"), "means something else to PostgreSQL", name)


def unique_groups(topology: Topology) -> Iterable[Problem]:
    """A group is a replica set, a Patroni scope or a fleet, and names a Kubernetes object.

    MongoDB moreover refuses `config` as a shard's name, and two scopes of one name in reach of
    each other would be one Patroni cluster.
    """
    fleets = {CONFIG_SET, "router", "archiver", "etcd", "etcd-dr", "haproxy", "redis", "objects"}
    named = [(path, name) for path, name in _groups(topology) if path != CONFIG_SERVERS]
    for path, name in named:
        if name in fleets:
            yield Problem(path, "is the name of a group that every topology has", name)
    yield from repeated(named)


def unique_nodes(topology: Topology) -> Iterable[Problem]:
    """A node's name is its folder, what `logs` takes, Patroni's member and its replication slot.

    A name that is also a scope's would moreover let Patroni drop the scope's slot: it ignores
    permanent slots that are named like a member. A pooler is a server of its own, named for its
    node.
    """
    first = {name: path for path, name in _groups(topology)}
    told = {problem.path for problem in unique_groups(topology)}
    for path, name in _nodes(topology):
        if first.setdefault(name, path) != path and path not in told:
            told.add(path)
            yield Problem(path, f"would name {name} a second time: {dotted(first[name])} does")


def _groups(topology: Topology) -> Iterator[tuple[Path, str]]:
    for path, name, _ in replica_sets(topology):
        yield (path if path == CONFIG_SERVERS else (*path, "name")), name
    yield ("postgres", "scope"), topology.postgres.scope
    if topology.postgres.dr:
        yield ("postgres", "dr", "scope"), topology.postgres.dr.scope


def _nodes(topology: Topology) -> Iterator[tuple[Path, str]]:
    """Every server's name and the field that gives it, first the ones that are fixed."""
    yield from _fleets(topology)
    for path, name, members in replica_sets(topology):
        given = path if path == CONFIG_SERVERS else (*path, "name")
        yield from ((given, node) for node in member_names(name, members))
    for place, member in _postgres_members(topology):
        yield (*place, "name"), member
        yield (*place, "name"), f"{member}-pgbouncer"


def _fleets(topology: Topology) -> Iterator[tuple[Path, str]]:
    postgres = topology.postgres
    fleets: list[tuple[Path, str, int]] = [
        (("mongo", "routers"), "router", topology.mongo.routers),
        (("mongo", "backup", "enabled"), "archiver", int(topology.mongo.backup.enabled)),
        (("postgres", "etcd"), "etcd", postgres.etcd),
        (("edge", "haproxies"), "haproxy", topology.edge.haproxies),
        (("redis", "members"), "redis", topology.redis.members),
        (("objects", "members"), "objects", topology.objects.members),
    ]
    if postgres.dr:
        fleets.append((("postgres", "dr", "etcd"), "etcd-dr", postgres.dr.etcd))
    for path, group, count in fleets:
        yield from ((path, node) for node in fleet_names(group, count))
    for node in fleet_names("objects", topology.objects.members):
        yield ("objects", "members"), f"{node}-haproxy"


def _postgres_members(topology: Topology) -> Iterator[tuple[Path, str]]:
    for index, member in enumerate(topology.postgres.members):
        yield ("postgres", "members", index), member.name
    if topology.postgres.dr:
        for index, standby in enumerate(topology.postgres.dr.members):
            yield ("postgres", "dr", "members", index), standby.name


RULES = (
    rule(segment_not_reserved, "mongo"),
    rule(database_not_reserved, "postgres"),
    rule(unique_groups, "mongo", "postgres"),
    rule(unique_nodes, "mongo", "postgres", "edge", "redis", "objects"),
)
