"""What the topology file says of the Kubernetes target alone: the section `kubernetes`.

Sizes are those of one pod: cores, GiB of memory (asked for, and the most it gets), GiB of volume.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_LABEL = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_DOMAIN = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"
_IMAGE = r"^[a-z0-9][a-zA-Z0-9./_:@-]*[:@][a-zA-Z0-9._:-]+$"
_CIDR = r"^[0-9a-f:.]+/[0-9]{1,3}$"
_CRON = r"^(\S+ ){4}\S+$"

# What each pattern asks for, after "must be".
PATTERNS = {
    _LABEL: "1 to 63 lower-case letters, digits and inner hyphens",
    _DOMAIN: "a domain name in lower case",
    _IMAGE: "an image with its version or digest, such as mongo:8.0.32",
    _CIDR: "a network, such as 10.0.0.0/8",
    _CRON: "five fields of cron, such as 30 2 * * *",
}

Label = Annotated[str, StringConstraints(pattern=_LABEL)]
Domain = Annotated[str, StringConstraints(pattern=_DOMAIN, max_length=253)]
ImageName = Annotated[str, StringConstraints(pattern=_IMAGE, max_length=255)]
Cidr = Annotated[str, StringConstraints(pattern=_CIDR)]
Cron = Annotated[str, StringConstraints(pattern=_CRON)]
Cores = Annotated[float, Field(ge=0.05, le=256)]
Gibibytes = Annotated[float, Field(ge=0.05, le=4096)]
VolumeGibibytes = Annotated[int, Field(ge=1, le=65_536)]


class Section(BaseModel):
    """Frozen, and no field that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Pod(Section):
    """A pod without a volume of its own."""

    cpu: Cores = Field(description="cores")
    memory: Gibibytes = Field(description="GiB")


class StatefulPod(Pod):
    """A pod with a volume."""

    volume: VolumeGibibytes = Field(description="GiB; grows in place, never shrinks")


class Sizes(Section):
    """What each kind of pod gets."""

    shard: StatefulPod = Field(
        StatefulPod(cpu=1, memory=2, volume=50), description="a shard's member"
    )
    config: StatefulPod = Field(
        StatefulPod(cpu=0.5, memory=1, volume=10), description="a config server"
    )
    arbiter: StatefulPod = Field(
        StatefulPod(cpu=0.1, memory=0.5, volume=1), description="an arbiter"
    )
    router: Pod = Field(Pod(cpu=1, memory=1), description="a mongos")
    postgres: StatefulPod = Field(
        StatefulPod(cpu=2, memory=4, volume=50), description="PostgreSQL and Patroni of a member"
    )
    pgbouncer: Pod = Field(Pod(cpu=0.5, memory=0.25), description="a member's pgbouncer")
    haproxy: Pod = Field(Pod(cpu=0.5, memory=0.25), description="a HAProxy")
    redis: StatefulPod = Field(StatefulPod(cpu=0.25, memory=0.5, volume=5), description="Redis")
    exporter: Pod = Field(Pod(cpu=0.1, memory=0.25), description="a metrics exporter")
    tool: Pod = Field(Pod(cpu=1, memory=1), description="this tool, as a Job")
    proof: StatefulPod = Field(
        StatefulPod(cpu=2, memory=4, volume=60),
        description="the restore proof; its volume, which ends with it, holds all shards' data, "
        "then PostgreSQL's",
    )
    archiver: Pod = Field(Pod(cpu=0.25, memory=0.5), description="MongoDB's oplog archiver")
    archive: VolumeGibibytes = Field(100, description="GiB, of an archive that is a folder")
    backups: VolumeGibibytes = Field(
        100, description="GiB, of a repository of MongoDB that is a folder"
    )
    state: VolumeGibibytes = Field(
        60,
        description="GiB, of the tool: drills' evidence, and during a backup a copy of every shard",
    )


class Images(Section):
    """Where images come from; pin by digest (`name@sha256:…`) where the registry is not yours."""

    mongo: ImageName = Field("mongo:8.0.32", description="MongoDB's official image")
    postgres: ImageName = Field(
        "skillswap/postgres:15", description="built from manifests/images/postgres"
    )
    tool: ImageName = Field(
        "skillswap/skillswap-ops:0.1.0",
        description="built from manifests/images/tool: this tool, and the services",
    )
    proof: ImageName = Field(
        "skillswap/restore-proof:0.1.0",
        description="built from manifests/images/proof: this tool, with the engines' programs",
    )
    haproxy: ImageName = Field("haproxy:2.6.24", description="Docker's official image")
    redis: ImageName = Field("redis:7.4.7", description="Docker's official image")
    mongo_exporter: ImageName = Field("percona/mongodb_exporter:0.47.1", description="metrics")
    postgres_exporter: ImageName = Field(
        "quay.io/prometheuscommunity/postgres-exporter:v0.18.1", description="metrics"
    )
    redis_exporter: ImageName = Field("oliver006/redis_exporter:v1.78.0", description="metrics")


class Storage(Section):
    """The storage class of every volume, which must encrypt (TP3 §5: "chiffrement au repos (KMS)").

    Its parameters are the driver's own; `create: false` takes a class that is there already.
    """

    name: Label = Field("skillswap-encrypted", description="of the class, and of its snapshots'")
    create: bool = Field(default=True, description="whether the classes are made here")
    provisioner: Domain = Field("ebs.csi.aws.com", description="the CSI driver")
    parameters: dict[str, str] = Field(
        {"type": "gp3", "encrypted": "true"},
        description="the driver's; `kmsKeyId` (EBS), `disk-encryption-kms-key` (GCE) name the key",
    )
    shared: Label | None = Field(
        None,
        description="a class whose volumes many pods mount, for an archive that is a folder",
    )


class SecretSource(StrEnum):
    """Where passwords come from."""

    GENERATED = "generated"  # once, in the state folder's secret store
    EXTERNAL = "external"  # the External Secrets operator fetches them


class Secrets(Section):
    """Where passwords come from."""

    source: SecretSource = Field(
        SecretSource.GENERATED, description="`external`: by the External Secrets operator"
    )
    store: Label = Field("skillswap", description="the ClusterSecretStore, where external")
    path: str = Field("skillswap", min_length=1, max_length=200, description="the vault's entry")


class Issuer(Section):
    """An issuer of cert-manager that puts its authority's certificate (`ca.crt`) into Secrets."""

    kind: Literal["ClusterIssuer", "Issuer"] = Field(
        "ClusterIssuer", description="`Issuer`: one of the cluster's own namespace"
    )
    name: Domain = Field(description="of the issuer, which must be there")


class CertManager(Section):
    """Certificates that cert-manager makes, and renews."""

    source: Literal["cert-manager"] = Field(description="cert-manager makes and renews them")
    issuer: Issuer = Field(description="who signs them")


class Given(Section):
    """Certificates that somebody else puts into Secrets of the names that `render` lists."""

    source: Literal["given"] = Field(description="somebody else makes and renews them")


Certificates = Annotated[CertManager | Given, Field(discriminator="source")]


class DrCluster(Section):
    """DR in a Kubernetes cluster of its own; left out: in node pools of the DR region."""

    context: str = Field(min_length=1, max_length=253, description="of the kubeconfig")
    primary_host: Domain = Field(description="where that cluster reaches PostgreSQL's proxies")
    networks: Annotated[tuple[Cidr, ...], Field(min_length=1)] = Field(
        description="where its connections come from"
    )


class Schedules(Section):
    """When the cluster looks after itself (cron, UTC)."""

    backup: Cron = Field("30 2 * * *", description="a full backup of both stores")
    verify: Cron = Field("0 4 * * 0", description="every byte that a restore needs is read")
    proof: Cron = Field(
        "30 5 * * 6", description="the newest backups are restored and compared: the restore proof"
    )
    drill: Cron = Field("0 9 1 1,4,7,10 *", description="the quarterly drills (TP3 §4)")


class Kubernetes(Section):
    """The Kubernetes target."""

    namespace: Label | None = Field(None, description="default: the cluster's name")
    context: str | None = Field(None, description="of the kubeconfig; default: its current one")
    domain: Domain = Field("cluster.local", description="of the cluster's DNS")
    pod_networks: Annotated[tuple[Cidr, ...], Field(min_length=1)] = Field(
        ("10.0.0.0/8",), description="where pods' addresses come from, for pg_hba.conf"
    )
    sizes: Sizes = Field(Sizes(), description="cores, memory, volumes by pod")
    images: Images = Field(Images(), description="where images come from")
    storage: Storage = Field(Storage(), description="of the volumes")
    secrets: Secrets = Field(Secrets(), description="where passwords come from")
    tls: Certificates | None = Field(
        None, description="where pods' certificates come from; `tls.enabled` needs it there"
    )
    monitoring: bool = Field(
        default=True,
        description="rules and monitors for the Prometheus operator, which must be there",
    )
    monitoring_namespace: Label = Field("monitoring", description="where Prometheus runs")
    ingress_namespace: Label = Field(
        "ingress-nginx", description="where the ingress controller runs"
    )
    host: Domain | None = Field(None, description="the public API's name; none: no Ingress")
    ingress_class: Label = Field("nginx", description="of the Ingress")
    card: Literal["sandbox"] | None = Field(
        None, description="`sandbox`: payments charge nobody; none: they refuse to charge"
    )
    service_replicas: Annotated[int, Field(ge=1, le=200)] | None = Field(
        None, description="least instances of every service; default: the catalogue's"
    )
    schedules: Schedules = Field(Schedules(), description="backups, their proof, drills")
    dr_cluster: DrCluster | None = Field(None, description="DR in a cluster of its own")
