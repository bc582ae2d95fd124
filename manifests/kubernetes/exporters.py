"""What Prometheus asks for the engines' metrics: one exporter an engine, several targets each."""

from collections.abc import Mapping
from dataclasses import dataclass

from lightkube.models.core_v1 import (
    Container,
    ContainerPort,
    EnvVar,
    EnvVarSource,
    PodSpec,
    PodTemplateSpec,
    SecretKeySelector,
)
from lightkube.models.meta_v1 import ObjectMeta

from cluster.inventory import Kind, Node
from manifests.kubernetes import certificates, names, placement, pods, probes, workloads
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.files import checksum, masked, secret_files
from manifests.kubernetes.objects import Manifest, Typed, manifests
from manifests.kubernetes.security import container_context, pod_context

MONGO_EXPORTER, POSTGRES_EXPORTER, REDIS_EXPORTER = 9216, 9187, 9121
PORT_NAME = "metrics"
STOP_SECONDS = 10


@dataclass(frozen=True)
class Exporter:
    """An exporter. `secrets` are variables that come from its Secret, `plain` the others."""

    name: str
    image: str
    port: int
    arguments: tuple[str, ...]
    secrets: Mapping[str, str]
    plain: Mapping[str, str]
    targets: tuple[str, ...]  # what `?target=` may be; none: it has one target
    path: str = "/metrics"


def exporters(blueprint: Blueprint) -> tuple[Exporter, ...]:
    """Those of the engines that the topology has. They log in as the engines' monitoring users."""
    rows = [_mongo(blueprint), _postgres(blueprint)]
    if blueprint.stores.redis:
        rows.append(_redis(blueprint))
    return tuple(rows)


def _mongo(blueprint: Blueprint) -> Exporter:
    password = blueprint.secrets.get("mongo-monitor").get_secret_value()
    kinds = (Kind.SHARD, Kind.CONFIG, Kind.ROUTER)
    hosts = [_host(server.node, server.ports[0]) for server in blueprint.of(*kinds)]
    login, trust = f"monitor:{password}@", certificates.trusted(blueprint.topology)
    secured = f"&tls=true&tlsCAFile={trust}" if trust else ""
    uris = [f"mongodb://{login}{host}/admin?directConnection=true{secured}" for host in hosts]
    return Exporter(
        name="mongo-exporter",
        image=blueprint.topology.kubernetes.images.mongo_exporter,
        port=MONGO_EXPORTER,
        arguments=(
            f"--web.listen-address=:{MONGO_EXPORTER}",
            "--collector.replicasetstatus",
            "--collector.diagnosticdata",
        ),
        secrets={"MONGODB_URI": ",".join(uris)},
        plain={},
        targets=tuple(hosts),
        path="/scrape",
    )


def _postgres(blueprint: Blueprint) -> Exporter:
    """https://github.com/prometheus-community/postgres_exporter: several DSNs, one page."""
    members = blueprint.inventory.of(Kind.POSTGRES)
    if blueprint.topology.kubernetes.dr_cluster:
        scope = blueprint.topology.postgres.scope
        members = blueprint.inventory.of(Kind.POSTGRES, group=scope)
    password = blueprint.secrets.get("postgres-monitor").get_secret_value()
    trust = certificates.trusted(blueprint.topology)
    mode = f"verify-full&sslrootcert={trust}" if trust else "prefer"
    dsns = [
        f"postgresql://monitor:{password}@{node.at(5432)}/postgres?sslmode={mode}"
        for node in members
    ]
    return Exporter(
        name="postgres-exporter",
        image=blueprint.topology.kubernetes.images.postgres_exporter,
        port=POSTGRES_EXPORTER,
        arguments=(f"--web.listen-address=:{POSTGRES_EXPORTER}",),
        secrets={"DATA_SOURCE_NAME": ",".join(dsns)},
        plain={},
        targets=(),
    )


def _redis(blueprint: Blueprint) -> Exporter:
    (server,) = blueprint.of(Kind.REDIS)
    trust = certificates.trusted(blueprint.topology)
    return Exporter(
        name="redis-exporter",
        image=blueprint.topology.kubernetes.images.redis_exporter,
        port=REDIS_EXPORTER,
        arguments=(),
        secrets={"REDIS_PASSWORD": blueprint.secrets.get("redis-monitor").get_secret_value()},
        plain={
            "REDIS_ADDR": f"redis{'s' if trust else ''}://{server.node.at(server.ports[0])}",
            "REDIS_USER": "monitor",
            **({"REDIS_EXPORTER_TLS_CA_CERT_FILE": trust} if trust else {}),
        },
        targets=(),
    )


def _host(node: Node, port: int) -> str:
    return node.at(port)


def objects(blueprint: Blueprint, exporter: Exporter) -> tuple[Manifest, ...]:
    """Its password, itself, and the Service that Prometheus finds it by."""
    topology, name = blueprint.topology, exporter.name
    secret = secret_files(topology, blueprint.secrets, name, names.EXPORTER, name, exporter.secrets)
    template = _template(blueprint, exporter)
    rows: list[Typed] = [
        workloads.deployment(topology, name, names.EXPORTER, template, replicas=1),
        workloads.service(topology, name, names.EXPORTER, {PORT_NAME: exporter.port}),
    ]
    return (secret, *manifests(rows))


def _template(blueprint: Blueprint, exporter: Exporter) -> PodTemplateSpec:
    topology, name = blueprint.topology, exporter.name
    region = topology.region(None).name
    choice = names.selector(names.EXPORTER, name)
    alive = probes.http("/", exporter.port)
    return PodTemplateSpec(
        metadata=ObjectMeta(
            labels=names.labels(topology, names.EXPORTER, name),
            annotations={
                names.FILES_CHECKSUM: checksum(masked(blueprint.secrets, exporter.secrets))
            },
        ),
        spec=PodSpec(
            serviceAccountName="default",
            automountServiceAccountToken=False,
            enableServiceLinks=False,
            securityContext=pod_context(),
            affinity=placement.affinity(region, blueprint.zones(region), choice, strictly=False),
            terminationGracePeriodSeconds=STOP_SECONDS,
            containers=[
                Container(
                    name="exporter",
                    image=exporter.image,
                    imagePullPolicy="IfNotPresent",
                    args=list(exporter.arguments) or None,
                    env=_environment(exporter),
                    ports=[ContainerPort(containerPort=exporter.port)],
                    resources=pods.resources(topology.kubernetes.sizes.exporter),
                    securityContext=container_context(),
                    livenessProbe=alive,
                    readinessProbe=alive,
                    volumeMounts=certificates.trust_mounts(topology) or None,
                )
            ],
            volumes=certificates.trust_volumes(topology) or None,
        ),
    )


def _environment(exporter: Exporter) -> list[EnvVar] | None:
    return [
        *(EnvVar(name=name, value=value) for name, value in exporter.plain.items()),
        *(
            EnvVar(
                name=key,
                valueFrom=EnvVarSource(secretKeyRef=SecretKeySelector(name=exporter.name, key=key)),
            )
            for key in exporter.secrets
        ),
    ] or None
