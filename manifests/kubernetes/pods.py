"""A node's servers as a pod: a container a server, its folders as volumes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightkube.models.core_v1 import (
    Affinity,
    Container,
    ContainerPort,
    EmptyDirVolumeSource,
    EnvVar,
    EnvVarSource,
    Lifecycle,
    ObjectFieldSelector,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PodSpec,
    PodTemplateSpec,
    Probe,
    ResourceRequirements,
    TopologySpreadConstraint,
    Volume,
    VolumeMount,
    VolumeResourceRequirements,
)
from lightkube.models.meta_v1 import ObjectMeta

from cluster.kubernetes_settings import Pod
from cluster.server import Server
from cluster.topology import Topology
from manifests.kubernetes import certificates, names
from manifests.kubernetes.files import FILES_VOLUME, Files
from manifests.kubernetes.programs import FILES, LAYOUT
from manifests.kubernetes.security import container_context, pod_context

NODE_VARIABLE = "SKILLSWAP_NODE"
STOP_MARGIN = 10  # seconds beside what a server's clean stop may take
CPU_BURST = 2  # limit over request: a recovery may take what a quiet machine has
MEMORY_FOLDER = "16Mi"
SCRATCH = "256Mi"
PREPARE = Pod(cpu=0.05, memory=0.0625)
COPY = f'install -m 0600 "{FILES}/${NODE_VARIABLE}"/* {LAYOUT.pod}/conf/'


@dataclass(frozen=True)
class Box:
    """A server's container: image, size, probes, and what is the image's own."""

    server: Server
    image: str
    size: Pod
    ready: Probe
    alive: Probe
    start: Probe
    env: tuple[EnvVar, ...] = ()
    lifecycle: Lifecycle | None = None
    mounts: tuple[VolumeMount, ...] = ()
    name: str = ""  # default: the program's
    cpu_limit: float | None = None  # default: CPU_BURST times what is asked for


@dataclass(frozen=True)
class Room:
    """A pod around containers: who it is, where it goes, which volumes it has."""

    component: str
    instance: str
    affinity: Affinity
    spread: tuple[TopologySpreadConstraint, ...] = ()
    node: str | None = None  # None: the pod's own name, in a stateful set of several
    account: str | None = None  # the service account, where the pod talks to Kubernetes
    priority: str | None = names.DATA_PRIORITY
    claims: tuple[str, ...] = ()  # folders that are volume claims of a stateful set
    volumes: tuple[Volume, ...] = ()
    labels: Mapping[str, str] | None = None


def resources(size: Pod, cpu_limit: float | None = None) -> ResourceRequirements:
    """Memory is what it gets, so that nobody else's peak ends a database; cores may be lent."""
    memory = f"{round(size.memory * 1024)}Mi"
    return ResourceRequirements(
        requests={"cpu": _cores(size.cpu), "memory": memory},
        limits={"cpu": _cores(cpu_limit or size.cpu * CPU_BURST), "memory": memory},
    )


def _cores(cores: float) -> str:
    return f"{round(cores * 1000)}m"


def template(topology: Topology, room: Room, boxes: Sequence[Box], files: Files) -> PodTemplateSpec:
    """The pod of these containers."""
    folders = sorted({folder for box in boxes for folder in box.server.folders} - {"conf"})
    fleeting = [folder for folder in folders if folder not in room.claims]
    stop = max(box.server.stop_seconds for box in boxes) + STOP_MARGIN
    mounts = _mounts(folders, room)
    return PodTemplateSpec(
        metadata=ObjectMeta(
            labels={
                **names.labels(topology, room.component, room.instance),
                **(room.labels or {}),
            },
            annotations={names.FILES_CHECKSUM: files.checksum},
        ),
        spec=PodSpec(
            serviceAccountName=room.account or "default",
            automountServiceAccountToken=room.account is not None,
            enableServiceLinks=False,
            # Drills freeze and kill a server from inside, which its own first process ignores.
            shareProcessNamespace=True,
            securityContext=pod_context(),
            affinity=room.affinity,
            topologySpreadConstraints=list(room.spread) or None,
            priorityClassName=room.priority,
            terminationGracePeriodSeconds=stop,
            initContainers=[_prepare(boxes[0].image, room, mounts)],
            containers=[
                _container(box, [*mounts, *certificates.trust_mounts(topology)]) for box in boxes
            ],
            volumes=[
                files.volume,
                *files.trust,
                memory("conf", MEMORY_FOLDER),
                *(scratch(folder, SCRATCH) for folder in fleeting),
                scratch("tmp", SCRATCH),
                *room.volumes,
            ],
        ),
    )


def _mounts(folders: Sequence[str], room: Room) -> list[VolumeMount]:
    extra = [claim for claim in room.claims if claim not in folders]
    return [
        VolumeMount(name=folder, mountPath=str(LAYOUT.pod / folder))
        for folder in ("conf", *folders, *extra)
    ] + [VolumeMount(name="tmp", mountPath="/tmp")]  # noqa: S108 - the pod's own


def _prepare(image: str, room: Room, mounts: Sequence[VolumeMount]) -> Container:
    named = (
        EnvVar(name=NODE_VARIABLE, value=room.node)
        if room.node
        else from_pod(NODE_VARIABLE, "metadata.name")
    )
    return Container(
        name="copy-files",  # `files` is a service, too
        image=image,
        imagePullPolicy="IfNotPresent",
        command=["sh", "-ec", COPY],
        env=[named],
        resources=resources(PREPARE),
        securityContext=container_context(),
        volumeMounts=[VolumeMount(name=FILES_VOLUME, mountPath=str(FILES), readOnly=True), *mounts],
    )


def _container(box: Box, mounts: Sequence[VolumeMount]) -> Container:
    server = box.server
    return Container(
        name=box.name or server.argv[0].rpartition("/")[2],
        image=box.image,
        imagePullPolicy="IfNotPresent",
        command=list(server.argv),
        env=[*(EnvVar(name=name, value=value) for name, value in server.env), *box.env] or None,
        ports=[ContainerPort(containerPort=port) for port in server.ports] or None,
        resources=resources(box.size, box.cpu_limit),
        securityContext=container_context(),
        startupProbe=box.start,
        livenessProbe=box.alive,
        readinessProbe=box.ready,
        lifecycle=box.lifecycle,
        volumeMounts=[*mounts, *box.mounts],
    )


def from_pod(name: str, path: str) -> EnvVar:
    """A variable that holds a field of the pod."""
    return EnvVar(name=name, valueFrom=EnvVarSource(fieldRef=ObjectFieldSelector(fieldPath=path)))


def memory(name: str, size: str) -> Volume:
    """A folder in memory, for what must not lie on a machine's disk."""
    return Volume(name=name, emptyDir=EmptyDirVolumeSource(medium="Memory", sizeLimit=size))


def scratch(name: str, size: str) -> Volume:
    """A folder that ends with the pod."""
    return Volume(name=name, emptyDir=EmptyDirVolumeSource(sizeLimit=size))


def claim(
    topology: Topology, name: str, gibibytes: int, labels: Mapping[str, str]
) -> PersistentVolumeClaim:
    """A volume for each pod of a stateful set."""
    return PersistentVolumeClaim(
        metadata=ObjectMeta(name=name, labels=dict(labels)),
        spec=PersistentVolumeClaimSpec(
            accessModes=["ReadWriteOncePod"],
            storageClassName=topology.kubernetes.storage.name,
            resources=VolumeResourceRequirements(requests={"storage": f"{gibibytes}Gi"}),
        ),
    )
