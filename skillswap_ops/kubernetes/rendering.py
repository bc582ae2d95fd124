"""Writes the objects of a topology to a folder, and compares a folder with them."""

from pathlib import Path

from cluster.files import write_atomic, write_private
from cluster.kubernetes_settings import Given
from cluster.layout import Layout
from cluster.secrets import SecretStore
from cluster.topology import Topology
from manifests.kubernetes.build import certified, components
from manifests.kubernetes.certificates import dns_names
from manifests.kubernetes.component import Component
from manifests.kubernetes.names import certificate
from manifests.kubernetes.render import Difference, differences, left_out, texts
from skillswap_ops.kubernetes.context import blueprint


def rendered(topology: Topology, home: Path, *, secrets: bool) -> tuple[Component, ...]:
    """The components; with `secrets` their passwords are the cluster's, made on first use."""
    store = SecretStore(Layout(home / topology.name).secrets) if secrets else None
    return components(blueprint(topology, store))


def write_folder(
    topology: Topology, home: Path, folder: Path, *, secrets: bool
) -> tuple[int, tuple[str, ...]]:
    """Write every file, and remove those of earlier that are rendered no more.

    Returns how many were written, and the secrets that were left out.
    """
    found = rendered(topology, home, secrets=secrets)
    files = texts(found, secrets=secrets)
    hidden = left_out(found)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if secrets and "\nkind: Secret\n" in text:
            write_private(path, text)
        else:
            write_atomic(path, text)
    for row in differences(folder, files):
        if not row.object and row.what == "is not rendered any more":
            (folder / row.file).unlink()
    return len(files), () if secrets else hidden


def certificates_to_give(topology: Topology) -> dict[str, tuple[str, ...]]:
    """The Secrets that somebody else makes, each with the names that its certificate must have."""
    if not isinstance(topology.kubernetes.tls, Given):
        return {}
    return {
        certificate(node.name): dns_names(topology, node)
        for node in certified(blueprint(topology, None))
    }


def check_folder(
    topology: Topology, home: Path, folder: Path, *, secrets: bool
) -> tuple[Difference, ...]:
    """What differs between a folder and the objects as they would be written."""
    return differences(folder, texts(rendered(topology, home, secrets=secrets), secrets=secrets))
