"""Foundation: the namespace and its rules, encrypted storage, who comes first, the passwords."""

from lightkube.models.core_v1 import ResourceQuotaSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, ResourceQuota
from lightkube.resources.scheduling_v1 import PriorityClass
from lightkube.resources.storage_v1 import StorageClass

from cluster.topology import Topology
from manifests.kubernetes import names
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.files import all_secrets
from manifests.kubernetes.objects import Custom, Manifest, Typed, manifest
from manifests.kubernetes.security import RESTRICTED

NAME = "foundation"
DATA_PRIORITY_VALUE = 1_000_000  # below the system's own, above what people deploy


def component(blueprint: Blueprint) -> Component:
    """What everything else needs."""
    topology = blueprint.topology
    rows: list[Typed] = [_namespace(topology), _priority(), _no_load_balancers(topology)]
    if topology.kubernetes.storage.create:
        rows += [_storage(topology), _snapshots(topology)]
    secrets = all_secrets(topology, blueprint.secrets, names.OPERATIONS)
    return Component(Idea.FOUNDATION, NAME, (*(manifest(row) for row in rows), secrets))


def in_other_cluster(blueprint: Blueprint) -> Component:
    """The same for a DR cluster of its own; its members' files hold the passwords they need."""
    topology = blueprint.topology
    rows: list[Typed] = [_namespace(topology), _priority()]
    if topology.kubernetes.storage.create:
        rows += [_storage(topology), _snapshots(topology)]
    objects: tuple[Manifest, ...] = tuple(manifest(row) for row in rows)
    return Component(Idea.FOUNDATION, f"{NAME}-dr", objects, away=True)


def _namespace(topology: Topology) -> Namespace:
    labels = {names.PART_OF: topology.name, names.MANAGED_BY: names.TOOL, **RESTRICTED}
    return Namespace(metadata=ObjectMeta(name=names.namespace(topology), labels=labels))


def _priority() -> PriorityClass:
    return PriorityClass(
        metadata=ObjectMeta(name=names.DATA_PRIORITY, labels={names.MANAGED_BY: names.TOOL}),
        value=DATA_PRIORITY_VALUE,
        description="SkillSwap's data: it is not put aside for what can be started anywhere.",
    )


def _no_load_balancers(topology: Topology) -> ResourceQuota:
    """Nothing of the data plane is reached from outside but through the Ingress."""
    return ResourceQuota(
        metadata=names.meta(topology, "no-way-in", names.OPERATIONS),
        spec=ResourceQuotaSpec(hard={"services.loadbalancers": "0", "services.nodeports": "0"}),
    )


def _storage(topology: Topology) -> StorageClass:
    """A volume is made in its pod's zone, grows in place, and outlives its claim."""
    storage = topology.kubernetes.storage
    return StorageClass(
        metadata=ObjectMeta(name=storage.name, labels={names.MANAGED_BY: names.TOOL}),
        provisioner=storage.provisioner,
        parameters=dict(storage.parameters),
        volumeBindingMode="WaitForFirstConsumer",
        allowVolumeExpansion=True,
        reclaimPolicy="Retain",
    )


def _snapshots(topology: Topology) -> Typed:
    storage = topology.kubernetes.storage
    return Custom(
        api_version="snapshot.storage.k8s.io/v1",
        kind="VolumeSnapshotClass",
        name=storage.name,
        namespace="",
        labels={names.MANAGED_BY: names.TOOL},
        spec={},
        top={"driver": storage.provisioner, "deletionPolicy": "Retain"},
    )
