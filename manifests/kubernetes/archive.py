"""Archive: the volumes of repositories that are folders. A bucket needs nothing in the cluster."""

from dataclasses import dataclass

from lightkube.models.core_v1 import (
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimVolumeSource,
    Volume,
    VolumeMount,
    VolumeResourceRequirements,
)
from lightkube.resources.core_v1 import PersistentVolumeClaim

from cluster.errors import InvalidInputError
from cluster.topology import FolderRepository, ObjectsRepository, Topology
from manifests.kubernetes import foundation, names
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.objects import manifests
from manifests.kubernetes.programs import LAYOUT

NAME = names.ARCHIVE_NAME


@dataclass(frozen=True)
class Shared:
    """A volume that several pods mount, because any of them may write the repository in it."""

    name: str
    path: str
    gibibytes: int

    @property
    def volume(self) -> Volume:
        """It, in a pod."""
        source = PersistentVolumeClaimVolumeSource(claimName=self.name)
        return Volume(name=self.name, persistentVolumeClaim=source)

    @property
    def mount(self) -> VolumeMount:
        """Where programs look for it."""
        return VolumeMount(name=self.name, mountPath=self.path)


def component(blueprint: Blueprint, *, away: bool = False) -> Component:
    """Their claims. `away`: those that a DR cluster of its own needs, which has no MongoDB."""
    topology = blueprint.topology
    found = (of_postgres(topology), None if away else of_mongo(topology))
    claims = [_claim(topology, each) for each in found if each]
    return Component(Idea.ARCHIVE, NAME, manifests(claims), (foundation.NAME,))


def of_postgres(topology: Topology) -> Shared | None:
    """pgBackRest's: every member of PostgreSQL writes to it, whoever leads."""
    for each in topology.archive.repositories:
        if isinstance(each, FolderRepository):
            path = each.path or str(LAYOUT.archive)
            return Shared(NAME, path, topology.kubernetes.sizes.archive)
    return None


def of_mongo(topology: Topology) -> Shared | None:
    """MongoDB's: the archiver writes to it, and the tool, which takes snapshots."""
    backup = topology.mongo.backup
    if not backup.enabled or not isinstance(backup.repository, FolderRepository):
        return None
    path = backup.repository.path or str(LAYOUT.mongo_backups)
    return Shared(names.BACKUPS_NAME, path, topology.kubernetes.sizes.backups)


def refuse_local_store(topology: Topology) -> None:
    """Raises InvalidInputError where a repository is in the local target's own object store."""
    rows = [(f"archive.repositories[{i}]", r) for i, r in enumerate(topology.archive.repositories)]
    if topology.mongo.backup.enabled:
        rows.append(("mongo.backup.repository", topology.mongo.backup.repository))
    wrong = [path for path, each in rows if isinstance(each, ObjectsRepository)]
    if wrong:
        raise InvalidInputError(
            f"{', '.join(wrong)}: `objects` is the local target's own store, which ends with it",
            "on Kubernetes give your platform's: `type: s3` with its endpoint and bucket",
        )


def _claim(topology: Topology, shared: Shared) -> PersistentVolumeClaim:
    storage = topology.kubernetes.storage
    return PersistentVolumeClaim(
        metadata=names.meta(topology, shared.name, NAME),
        spec=PersistentVolumeClaimSpec(
            accessModes=["ReadWriteMany"],
            storageClassName=storage.shared or storage.name,
            resources=VolumeResourceRequirements(requests={"storage": f"{shared.gibibytes}Gi"}),
        ),
    )
