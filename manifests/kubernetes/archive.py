"""Archive: the volume of an archive that is a folder. A bucket needs nothing in the cluster."""

from lightkube.models.core_v1 import (
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimVolumeSource,
    Volume,
    VolumeMount,
    VolumeResourceRequirements,
)
from lightkube.resources.core_v1 import PersistentVolumeClaim

from cluster.topology import FolderRepository, Topology
from manifests.kubernetes import foundation, names
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.objects import manifests
from manifests.kubernetes.programs import LAYOUT

NAME = names.ARCHIVE_NAME


def component(blueprint: Blueprint) -> Component:
    """Every member of PostgreSQL writes to it, whoever leads."""
    topology = blueprint.topology
    claims = [_claim(topology)] if folder(topology) else []
    return Component(Idea.ARCHIVE, NAME, manifests(claims), (foundation.NAME,))


def folder(topology: Topology) -> FolderRepository | None:
    """The repository that is a folder."""
    for each in topology.archive.repositories:
        if isinstance(each, FolderRepository):
            return each
    return None


def volume() -> Volume:
    """The archive's volume in a pod."""
    return Volume(
        name=NAME, persistentVolumeClaim=PersistentVolumeClaimVolumeSource(claimName=NAME)
    )


def mount(topology: Topology) -> VolumeMount:
    """Where pgBackRest looks for it."""
    found = folder(topology)
    path = found.path if found and found.path else str(LAYOUT.archive)
    return VolumeMount(name=NAME, mountPath=path)


def _claim(topology: Topology) -> PersistentVolumeClaim:
    storage = topology.kubernetes.storage
    return PersistentVolumeClaim(
        metadata=names.meta(topology, NAME, NAME),
        spec=PersistentVolumeClaimSpec(
            accessModes=["ReadWriteMany"],
            storageClassName=storage.shared or storage.name,
            resources=VolumeResourceRequirements(
                requests={"storage": f"{topology.kubernetes.sizes.archive}Gi"}
            ),
        ),
    )
