"""Operations: the tool in the cluster, where the network path is the application's.

A Job makes what objects cannot: replica sets, users, schema, the first backup. It has a name of its
own for each topology and image, and does again nothing that is done. Then backups, their
verification and drills by the calendar (TP3 §5: "snapshots quotidiens", §4: "tests de failover
trimestriels"). The restore proof has the engines' programs, and a volume that ends with its pod.
"""

from collections.abc import Sequence

from lightkube.models.apps_v1 import DeploymentStrategy
from lightkube.models.batch_v1 import CronJobSpec, JobSpec, JobTemplateSpec
from lightkube.models.core_v1 import (
    Affinity,
    ConfigMapVolumeSource,
    Container,
    EnvVar,
    EphemeralVolumeSource,
    ExecAction,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimTemplate,
    PersistentVolumeClaimVolumeSource,
    PodAffinity,
    PodAffinityTerm,
    PodSpec,
    PodTemplateSpec,
    Probe,
    SecretVolumeSource,
    Volume,
    VolumeMount,
    VolumeResourceRequirements,
)
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.batch_v1 import CronJob, Job
from lightkube.resources.core_v1 import ConfigMap, PersistentVolumeClaim

from cluster.inventory import Kind
from cluster.kubernetes.labels import HOSTNAME
from cluster.topology import Topology
from cluster.topology_file import dump_topology
from manifests.kubernetes import archive, cache, certificates, names, placement, pods, workloads
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.edge import NAME as EDGE
from manifests.kubernetes.files import checksum
from manifests.kubernetes.objects import Typed, manifests
from manifests.kubernetes.programs import LAYOUT, SECRETS
from manifests.kubernetes.rbac import DRILLS, OPERATOR, PROVER, tool_accounts
from manifests.kubernetes.routers import NAME as ROUTERS
from manifests.kubernetes.security import container_context, pod_context

NAME = "operations"
CONSOLE = "console"
DRILL_JOB = "drills"
PROOF_JOB = names.PROOF_NAME
TOOL_CONTAINER = "tool"
TOPOLOGY_FOLDER = "/skillswap-topology"
TOPOLOGY_FILE = "topology.yaml"
STATE = str(LAYOUT.root)
STATE_CLAIM = "tool-state"
IN_CLUSTER = "SKILLSWAP_OPS_IN_CLUSTER"
BENCH = "SKILLSWAP_OPS_BENCH"  # set where copies can be restored
BENCH_VOLUME = "bench"
NOTES = "16Mi"  # pgBackRest's files: they hold passwords, and lie in memory
PROVISION_SECONDS = 3600
RETRIES = 5  # every step can be done again
KEPT = 3
KEPT_SECONDS = 86_400
LATE_SECONDS = 3600  # a backup that could not begin for so long waits for the next night


def component(blueprint: Blueprint) -> Component:
    """Rights, the topology, the Job and what recurs."""
    topology = blueprint.topology
    redis = (cache.NAME,) if blueprint.stores.redis else ()
    archiver = (names.ARCHIVER_NAME,) if blueprint.of(Kind.ARCHIVER) else ()
    rows: list[Typed] = [
        *tool_accounts(topology),
        _topology(topology),
        _job(blueprint),
        _state(topology),
        _console(blueprint),
        _recurring(
            blueprint,
            "backup",
            topology.kubernetes.schedules.backup,
            ["backup", "run", "--kind", "full"],
        ),
        _recurring(
            blueprint, "backup-verify", topology.kubernetes.schedules.verify, ["backup", "verify"]
        ),
        _recurring(
            blueprint,
            DRILL_JOB,
            topology.kubernetes.schedules.drill,
            ["drill", "run", "--tag", "quarterly", "--yes"],
            account=DRILLS,
        ),
        *([_proof(blueprint)] if topology.mongo.backup.enabled else []),
    ]
    return Component(Idea.OPERATIONS, NAME, manifests(rows), (ROUTERS, EDGE, *redis, *archiver))


def _beside_the_console() -> Affinity:
    """On its machine: the tool's pods share a volume that one machine mounts, and so its locks."""
    term = PodAffinityTerm(
        topologyKey=HOSTNAME, labelSelector=names.selector(names.OPERATIONS, CONSOLE)
    )
    return Affinity(podAffinity=PodAffinity(requiredDuringSchedulingIgnoredDuringExecution=[term]))


def _state(topology: Topology) -> PersistentVolumeClaim:
    return PersistentVolumeClaim(
        metadata=names.meta(topology, STATE_CLAIM, names.OPERATIONS),
        spec=PersistentVolumeClaimSpec(
            accessModes=["ReadWriteOnce"],
            storageClassName=topology.kubernetes.storage.name,
            resources=VolumeResourceRequirements(
                requests={"storage": f"{topology.kubernetes.sizes.state}Gi"}
            ),
        ),
    )


def _console(blueprint: Blueprint) -> Deployment:
    """The tool, waiting: commands that need the cluster's network are run in it."""
    pod = _pod(blueprint, CONSOLE, [], OPERATOR)
    assert pod.spec is not None  # noqa: S101 - `_pod` has made it
    pod.spec.restartPolicy = "Always"
    (tool,) = pod.spec.containers
    tool.command = ["sleep", "infinity"]
    check = Probe(
        exec=ExecAction(command=["skillswap-ops", "--version"]), periodSeconds=60, timeoutSeconds=20
    )
    tool.readinessProbe = tool.livenessProbe = check
    made = workloads.deployment(blueprint.topology, CONSOLE, names.OPERATIONS, pod, replicas=1)
    assert made.spec is not None  # noqa: S101 - `deployment` has made it
    made.spec.strategy = DeploymentStrategy(type="Recreate")  # the volume is mounted once
    return made


def job_name(topology: Topology) -> str:
    """Changes with what it is to make."""
    digest = checksum(
        {"topology": dump_topology(topology), "image": topology.kubernetes.images.tool}
    )
    return f"provision-{digest[:10]}"


def _topology(topology: Topology) -> ConfigMap:
    return ConfigMap(
        metadata=names.meta(topology, "topology", names.OPERATIONS),
        data={TOPOLOGY_FILE: dump_topology(topology)},
    )


def _job(blueprint: Blueprint) -> Job:
    topology = blueprint.topology
    name = job_name(topology)
    return Job(
        # The tool follows it; an engine that waited would give up before it is done.
        metadata=names.meta(
            topology, name, names.OPERATIONS, "provision", annotations=workloads.NO_WAIT
        ),
        spec=JobSpec(
            backoffLimit=RETRIES,
            activeDeadlineSeconds=PROVISION_SECONDS,
            template=_pod(blueprint, "provision", ["provision"], OPERATOR),
        ),
    )


def _recurring(
    blueprint: Blueprint,
    name: str,
    schedule: str,
    words: Sequence[str],
    account: str = OPERATOR,
) -> CronJob:
    """One at a time: two backups, or two drills, would each spoil the other."""
    topology = blueprint.topology
    return CronJob(
        metadata=names.meta(topology, name, names.OPERATIONS),
        spec=CronJobSpec(
            schedule=schedule,
            timeZone="Etc/UTC",
            concurrencyPolicy="Forbid",
            startingDeadlineSeconds=LATE_SECONDS,
            successfulJobsHistoryLimit=KEPT,
            failedJobsHistoryLimit=KEPT,
            jobTemplate=JobTemplateSpec(
                spec=JobSpec(
                    backoffLimit=0,
                    ttlSecondsAfterFinished=KEPT_SECONDS,
                    template=_pod(blueprint, name, words, account),
                )
            ),
        ),
    )


def _proof(blueprint: Blueprint) -> CronJob:
    """Copies are restored in this pod: see `skillswap_ops.bench`.

    The engines' servers are there for a moment each, and detached from who started them: the pod's
    first process takes them when they end, which the tool as the first would not.
    """
    topology = blueprint.topology
    made = _recurring(
        blueprint,
        PROOF_JOB,
        topology.kubernetes.schedules.proof,
        ["backup", "prove"],
        account=PROVER,
    )
    assert made.spec is not None  # noqa: S101 - `_recurring` has made it
    job = made.spec.jobTemplate.spec
    assert job is not None and job.template.spec is not None  # noqa: S101, PT018
    pod = job.template.spec
    pod.shareProcessNamespace = True
    node = blueprint.inventory.of(Kind.POSTGRES)[0]
    shared = archive.of_postgres(topology)
    folders = {
        BENCH_VOLUME: LAYOUT.run(node),
        "conf": LAYOUT.conf(node),
        "data": LAYOUT.data(node),
    }
    (tool,) = pod.containers
    tool.image = topology.kubernetes.images.proof
    tool.resources = pods.resources(topology.kubernetes.sizes.proof)
    tool.env = [*(tool.env or ()), EnvVar(name=BENCH, value="1")]
    tool.volumeMounts = [
        *(tool.volumeMounts or ()),
        *(VolumeMount(name=name, mountPath=str(path)) for name, path in folders.items()),
        *([shared.mount] if shared else []),
    ]
    pod.volumes = [
        *(pod.volumes or ()),
        _bench(topology),
        pods.memory("conf", NOTES),
        pods.scratch("data", NOTES),
        *([shared.volume] if shared else []),
    ]
    return made


def _bench(topology: Topology) -> Volume:
    """Of the class that encrypts, as every volume; it goes with its pod."""
    kubernetes = topology.kubernetes
    claim = PersistentVolumeClaimTemplate(
        metadata=ObjectMeta(labels=names.labels(topology, names.OPERATIONS, PROOF_JOB)),
        spec=PersistentVolumeClaimSpec(
            accessModes=["ReadWriteOncePod"],
            storageClassName=kubernetes.storage.name,
            resources=VolumeResourceRequirements(
                requests={"storage": f"{kubernetes.sizes.proof.volume}Gi"}
            ),
        ),
    )
    return Volume(name=BENCH_VOLUME, ephemeral=EphemeralVolumeSource(volumeClaimTemplate=claim))


def _pod(
    blueprint: Blueprint, instance: str, words: Sequence[str], account: str
) -> PodTemplateSpec:
    topology = blueprint.topology
    shared = archive.of_mongo(topology)
    region = topology.region(None).name
    choice = names.selector(names.OPERATIONS, instance)
    return PodTemplateSpec(
        metadata=ObjectMeta(labels=names.labels(topology, names.OPERATIONS, instance)),
        spec=PodSpec(
            serviceAccountName=account,
            automountServiceAccountToken=True,
            enableServiceLinks=False,
            restartPolicy="Never",
            securityContext=pod_context(),
            affinity=placement.affinity(region, blueprint.zones(region), choice, strictly=False)
            if instance == CONSOLE
            else _beside_the_console(),
            containers=[
                Container(
                    name=TOOL_CONTAINER,
                    image=topology.kubernetes.images.tool,
                    imagePullPolicy="IfNotPresent",
                    command=["skillswap-ops", *words, "--target", "kubernetes"],
                    env=[
                        EnvVar(name=IN_CLUSTER, value="1"),
                        EnvVar(name="HOME", value="/tmp"),  # noqa: S108 - the pod's own
                    ],
                    resources=pods.resources(topology.kubernetes.sizes.tool),
                    securityContext=container_context(),
                    volumeMounts=[
                        VolumeMount(name="topology", mountPath=TOPOLOGY_FOLDER, readOnly=True),
                        VolumeMount(name="secrets", mountPath=str(SECRETS), readOnly=True),
                        VolumeMount(name="state", mountPath=STATE),
                        VolumeMount(name="tmp", mountPath="/tmp"),  # noqa: S108
                        *certificates.trust_mounts(topology),
                        *([shared.mount] if shared else []),
                    ],
                )
            ],
            volumes=[
                Volume(name="topology", configMap=ConfigMapVolumeSource(name="topology")),
                Volume(name="secrets", secret=SecretVolumeSource(secretName=names.SECRETS_NAME)),
                Volume(
                    name="state",
                    persistentVolumeClaim=PersistentVolumeClaimVolumeSource(claimName=STATE_CLAIM),
                ),
                pods.scratch("tmp", pods.SCRATCH),
                *certificates.trust_volumes(topology),
                *([shared.volume] if shared else []),
            ],
        ),
    )
