"""The topology file's model: validated once at the edge, frozen, taken by everything else.

Times are in seconds unless a field's name says otherwise. Defaults are SkillSwap's TP3 topology.
"""

from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WrapValidator
from pydantic_core import PydanticCustomError

from cluster.kubernetes_settings import PATTERNS as KUBERNETES_PATTERNS
from cluster.kubernetes_settings import Kubernetes

_NAME = r"^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$"
_SQL_NAME = r"^[a-z][a-z0-9_]{0,40}$"
_ABSOLUTE_PATH = r"^/[^\x00-\x1f\x7f]*$"
_USER = r"^[a-z_][a-z0-9_-]{0,31}$"
_HOST = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
_BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
_S3_REGION = r"^[a-z0-9-]{1,63}$"

# What each pattern asks for, after "must be".
PATTERNS = {
    **KUBERNETES_PATTERNS,
    _NAME: "1 to 31 lower-case letters, digits and inner hyphens, a letter first",
    _SQL_NAME: "1 to 41 lower-case letters, digits and underscores, a letter first",
    _ABSOLUTE_PATH: "an absolute path",
    _USER: "a user name of 1 to 32 lower-case letters, digits, hyphens and underscores",
    _HOST: "a host name alone, in lower case: no scheme, port or path",
    _BUCKET: "a bucket name of 3 to 63 lower-case letters, digits, dots and hyphens",
    _S3_REGION: "a region of lower-case letters, digits and hyphens",
}

# A Kubernetes object's name (RFC 1123 label), with room for what is put behind it.
Name = Annotated[str, StringConstraints(pattern=_NAME)]
SqlName = Annotated[str, StringConstraints(pattern=_SQL_NAME)]
AbsolutePath = Annotated[str, StringConstraints(pattern=_ABSOLUTE_PATH, max_length=4096)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Interval = Annotated[float, Field(ge=0.1, le=3600)]


def _network(value: object, read: Callable[[object], IPv4Network]) -> IPv4Network:
    try:
        return read(value)
    except ValueError:
        reason = "must be an IPv4 network with only zeros after its prefix, such as 127.77.0.0/16"
        raise PydanticCustomError("network", reason) from None


class Model(BaseModel):
    """Frozen, and no field that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Region(Model):
    """A region and its availability zones."""

    name: Name = Field(description="unique among the regions")
    zones: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        description="availability zones: what fails together; unique over all regions"
    )


class MongoSla(Model):
    """What TP3 §6 promises for MongoDB."""

    rpo: float = Field(300, ge=0, le=86_400, description="most data lost, in seconds of writes")
    rto: Seconds = Field(600, description="longest outage")
    election: Seconds = Field(15, description="longest election (TP3 §5)")


class PostgresSla(Model):
    """What TP3 §6 promises for PostgreSQL."""

    rpo: float = Field(0, ge=0, le=86_400, description="most data lost, in seconds of writes")
    rto: Seconds = Field(120, description="longest outage")


class Sla(Model):
    """The promises that drills are held against."""

    mongo: MongoSla = Field(MongoSla(), description="of every MongoDB segment")
    postgres: PostgresSla = Field(PostgresSla(), description="of the payments")
    restore_proof: int = Field(
        31, ge=1, le=3660, description="days within which a restore is proved (`backup prove`)"
    )


class ReplicaSet(Model):
    """Members spread over zones: `zones` names one zone a member, else they go round the region."""

    members: int = Field(3, ge=1, le=7, description="data-bearing members (MongoDB: 7 may vote)")
    zones: tuple[Name, ...] | None = Field(
        None, description="the zone of each member, the arbiter's last; default: round the region"
    )
    arbiter: bool = Field(default=False, description="one more member that votes and holds no data")


class Shard(ReplicaSet):
    """A shard: a replica set that carries a segment, alone or with other shards."""

    name: Name = Field(description="also the replica set's name")
    segment: SqlName = Field(
        description="the database that lives on this shard; a further shard that names it takes a "
        "part of it once it is spread"
    )


Retention = Annotated[int, Field(ge=1, le=1000, description="full backups that are kept")]


Encrypted = Annotated[
    bool | None,
    Field(description="AES-256; for good: left out, a new repository is, an older one stays as is"),
]


class FolderRepository(Model):
    """A repository in a folder of this machine, by default in the cluster's state folder."""

    type: Literal["folder"]
    path: AbsolutePath | None = Field(None, description="default: in the cluster's state folder")
    retention_full: Retention = 2
    encrypted: Encrypted = None


class S3Repository(Model):
    """A repository on any S3 endpoint; its keys are secrets, not topology."""

    type: Literal["s3"]
    endpoint: Annotated[str, StringConstraints(pattern=_HOST, max_length=253)] = Field(
        description="host name of the S3 service; always TLS"
    )
    bucket: Annotated[str, StringConstraints(pattern=_BUCKET)] = Field(description="must exist")
    region: Annotated[str, StringConstraints(pattern=_S3_REGION)] = Field(
        "us-east-1", description="as the service signs it"
    )
    port: int = Field(443, ge=1, le=65_535, description="of the S3 service")
    path: AbsolutePath = Field("/pgbackrest", description="below the bucket")
    uri_style: Literal["host", "path"] = Field(
        "path", description="where the bucket stands in a URL"
    )
    ca_file: AbsolutePath | None = Field(None, description="certificates that the endpoint needs")
    retention_full: Retention = 2
    encrypted: Encrypted = None


class ObjectsRepository(Model):
    """A repository in the local target's own object store (`objects`)."""

    type: Literal["objects"]
    bucket: Annotated[str, StringConstraints(pattern=_BUCKET)] = Field(
        "skillswap-archive", description="made where it is missing"
    )
    path: AbsolutePath = Field("/pgbackrest", description="below the bucket")
    retention_full: Retention = 2
    encrypted: Encrypted = None


Repository = Annotated[
    FolderRepository | S3Repository | ObjectsRepository, Field(discriminator="type")
]


class MongoBackup(Model):
    """Snapshots, and a continuous archive of the oplogs beside them."""

    enabled: bool = Field(
        default=True, description="an archiver follows every oplog: restores to any second"
    )
    repository: Repository = Field(
        FolderRepository(type="folder"),
        description="default: the folder `backups` in the cluster's state folder",
    )
    slice: Annotated[float, Field(ge=1, le=120)] = Field(
        5, description="seconds of the oplog in a slice of the archive: what a lost cluster loses"
    )


class MongoTimings(Model):
    """Replica set timings; the server's own defaults are 10 and 2 seconds."""

    election_timeout: Interval = Field(5, description="silence of a primary before an election")
    heartbeat_interval: Interval = Field(1, description="between two heartbeats of a member")


class Mongo(Model):
    """The sharded cluster."""

    region: Name | None = Field(None, description="default: the first region")
    shards: Annotated[tuple[Shard, ...], Field(min_length=1)] = Field(
        description="new ones go at the end: a shard's place gives its members their addresses"
    )
    config_servers: ReplicaSet = Field(ReplicaSet(), description="the sharded cluster's metadata")
    routers: int = Field(2, ge=1, le=16, description="what clients of MongoDB connect to")
    router_binary: AbsolutePath | None = Field(None, description="path of a mongos binary")
    cache_gb: float = Field(0.25, ge=0.25, le=1024, description="WiredTiger cache of each member")
    timings: MongoTimings = Field(MongoTimings(), description="of all replica sets")
    write_concern: Literal["majority"] | Annotated[int, Field(ge=1)] = Field(
        "majority", description="the cluster's default, for clients that ask for none"
    )
    backup: MongoBackup = Field(MongoBackup(), description="snapshots and the oplog archive")

    @property
    def segments(self) -> dict[str, tuple[Shard, ...]]:
        """Each segment's shards; on the first one named it is pinned, and whole until spread."""
        found: dict[str, tuple[Shard, ...]] = {}
        for shard in self.shards:
            found[shard.segment] = (*found.get(shard.segment, ()), shard)
        return found


class PostgresRole(StrEnum):
    """What a member is at rest. Any `primary` or `synchronous` member may lead after a failover."""

    PRIMARY = "primary"
    SYNCHRONOUS = "synchronous"
    ASYNCHRONOUS = "asynchronous"


class PostgresMember(Model):
    """A Patroni member."""

    name: Name = Field(description="also its name in synchronous_standby_names")
    zone: Name = Field(description="one of the region's zones")
    role: PostgresRole = Field(description="what it is at rest")


class PostgresTimings(Model):
    """Patroni's timings, by its names (`loop_wait + 2 * retry_timeout <= ttl`, `ttl >= 20`)."""

    ttl: int = Field(20, ge=20, le=3600, description="how long the leader's lease lasts")
    loop_wait: int = Field(2, ge=1, le=600, description="between two rounds of Patroni's loop")
    retry_timeout: int = Field(
        5, ge=3, le=600, description="how long etcd or PostgreSQL may be away without consequence"
    )
    primary_start_timeout: int = Field(
        20, ge=0, le=3600, description="how long a crashed primary may take before a failover"
    )


class DrMember(Model):
    """A member of the DR scope."""

    name: Name = Field(description="unique among all nodes")
    zone: Name = Field(description="one of the DR region's zones")


class Dr(Model):
    """The asynchronous standby cluster in another region: a Patroni scope of its own."""

    scope: Name = Field("payments-dr", description="its own Patroni scope")
    region: Name = Field(description="another region than PostgreSQL's")
    members: Annotated[tuple[DrMember, ...], Field(min_length=1, max_length=16)] = Field(
        description="the first one follows the primary, the others follow it"
    )
    etcd: int = Field(1, ge=1, le=7, description="members of its own etcd")


class Postgres(Model):
    """PostgreSQL under Patroni."""

    version: Literal[15, 16, 17] = Field(
        15,
        description="PostgreSQL's major version; left out, the newest of these that is installed "
        "when the cluster is first provisioned",
    )
    scope: Name = Field("payments", description="Patroni's name of the cluster")
    database: SqlName = Field("payments", description="the application's database")
    region: Name | None = Field(None, description="default: the first region")
    members: Annotated[tuple[PostgresMember, ...], Field(min_length=1, max_length=16)] = Field(
        description="new ones go at the end: a member's place gives it its address"
    )
    etcd: int = Field(3, ge=1, le=7, description="members of the etcd that elects the leader")
    synchronous_mode: bool = Field(
        default=True, description="a commit waits for a named synchronous standby"
    )
    synchronous_mode_strict: bool = Field(
        default=False, description="without a standby, writes wait rather than go on alone"
    )
    failsafe_mode: bool = Field(
        default=True, description="the primary goes on without etcd while all members answer"
    )
    timings: PostgresTimings = Field(PostgresTimings(), description="of both scopes")
    wal_volume: int | None = Field(
        None,
        le=1_048_576,
        description="MiB of a volume for each member's WAL alone (local target: as root); for good",
    )
    parameters: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="extra PostgreSQL settings"
    )
    dr: Dr | None = Field(None, description="the standby cluster in another region")


class HaproxyChecks(Model):
    """How fast HAProxy believes a change: `inter * fall` down, `inter * rise` up."""

    inter: Interval = Field(1, description="between two checks")
    fall: int = Field(2, ge=1, le=100, description="failed checks until a node is down")
    rise: int = Field(1, ge=1, le=100, description="passed checks until a node is up")


class Edge(Model):
    """What clients of PostgreSQL connect to."""

    haproxies: int = Field(2, ge=1, le=16, description="in PostgreSQL's region")
    checks: HaproxyChecks = Field(HaproxyChecks(), description="of each node's Patroni")
    pool_mode: Literal["transaction", "session"] = Field(
        "transaction", description="when pgbouncer takes a server connection back"
    )
    pool_size: int = Field(20, ge=1, le=1000, description="server connections a pool")
    max_clients: int = Field(500, ge=1, le=10_000, description="client connections a pgbouncer")


class Redis(Model):
    """Redis for the chat service."""

    members: int = Field(1, ge=0, le=1, description="0: none")
    max_memory_mb: int = Field(64, ge=16, le=1_048_576, description="before it evicts")


class ExternalObjects(Model):
    """A bucket of somebody else's S3 service; its keys are secrets, not topology."""

    endpoint: Annotated[str, StringConstraints(pattern=_HOST, max_length=253)] = Field(
        description="host name of the S3 service; always TLS"
    )
    bucket: Annotated[str, StringConstraints(pattern=_BUCKET)] = Field(description="must exist")
    region: Annotated[str, StringConstraints(pattern=_S3_REGION)] = Field(
        "us-east-1", description="as the service signs it"
    )
    port: int = Field(443, ge=1, le=65_535, description="of the S3 service")
    ca_file: AbsolutePath | None = Field(None, description="certificates that the endpoint needs")


class Objects(Model):
    """Objects by S3: what the service `files` keeps its bytes in, and the archive may."""

    members: int = Field(
        0, ge=0, le=1, description="1: an S3 store of the local target's own, in memory; 0: none"
    )
    bucket: Annotated[str, StringConstraints(pattern=_BUCKET)] = Field(
        "skillswap-media", description="of the files, in that store; made where it is missing"
    )
    external: ExternalObjects | None = Field(
        None, description="where the files are instead, on somebody else's S3 service"
    )


class Archive(Model):
    """Where WAL and backups go."""

    repositories: Annotated[tuple[Repository, ...], Field(min_length=1, max_length=4)] = Field(
        (FolderRepository(type="folder"),),
        description="all of them take every WAL segment (pgBackRest has at most four)",
    )


class Tls(Model):
    """TLS on every port: by the cluster's own authority, on Kubernetes by `kubernetes.tls`."""

    enabled: bool = Field(
        default=False, description="every server takes TLS alone, and clients verify; for good"
    )
    authority_days: int = Field(
        3650, ge=2, le=36_500, description="validity of the own authority's certificate"
    )
    leaf_days: int = Field(
        365, ge=1, le=3650, description="validity of a node's; renewed when a third is left"
    )


class Local(Model):
    """The local target: a /16 of loopback addresses, and the user that servers run as."""

    network: Annotated[IPv4Network, WrapValidator(_network)] = Field(
        IPv4Network("127.77.0.0/16"), description="a /16 of 127.0.0.0/8, one a cluster"
    )
    run_as: Annotated[str, StringConstraints(pattern=_USER)] = Field(
        "skillswap", description="unprivileged user of the servers, when root"
    )


class Topology(Model):
    """A whole data plane."""

    version: Literal[1] = Field(1, description="of this file's format")
    name: Name = Field("skillswap", description="of the cluster, and of its state folder")
    regions: Annotated[tuple[Region, ...], Field(min_length=1)] = Field(
        description="the first is where everything lives that names no region"
    )
    sla: Sla = Field(Sla(), description="what drills are held against")
    mongo: Mongo = Field(description="the sharded cluster: profiles, skills, sessions, messages")
    postgres: Postgres = Field(description="the payments")
    edge: Edge = Field(Edge(), description="HAProxy and pgbouncer")
    redis: Redis = Field(Redis(), description="for the chat service")
    objects: Objects = Field(Objects(), description="objects by S3: files, and an archive")
    archive: Archive = Field(Archive(), description="WAL and backups of PostgreSQL")
    tls: Tls = Field(Tls(), description="TLS on every port")
    local: Local = Field(Local(), description="of the local target alone")
    kubernetes: Kubernetes = Field(Kubernetes(), description="of the Kubernetes target alone")

    def region(self, name: str | None) -> Region:
        """The region of that name; the first one for None. Raises KeyError for an unknown name."""
        if name is None:
            return self.regions[0]
        for region in self.regions:
            if region.name == name:
                return region
        raise KeyError(name)
