"""Configuration files as config maps and secrets, and how they get into a pod.

Mounted files can be read by a group, and mongod and libpq refuse such a key or password: so the
first container of every pod copies its node's files to memory, with mode 0600.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lightkube.models.core_v1 import (
    ConfigMapProjection,
    KeyToPath,
    ProjectedVolumeSource,
    SecretProjection,
    Volume,
    VolumeProjection,
)
from lightkube.resources.core_v1 import ConfigMap, Secret

from cluster.kubernetes_settings import SecretSource
from cluster.server import ConfigFile, Server
from cluster.topology import Topology
from manifests.kubernetes import certificates, names
from manifests.kubernetes.objects import Custom, Json, Manifest, Typed, manifest
from manifests.kubernetes.vault import Recorded, field_name

FILES_VOLUME = "files"
DIGEST = 16


@dataclass(frozen=True)
class Files:
    """The objects that hold the files of some nodes, the volume that a pod mounts, and a checksum
    that changes with any of them. `trust` is the volume by which the pod's clients verify.
    """

    objects: tuple[Manifest, ...]
    volume: Volume
    checksum: str
    trust: tuple[Volume, ...] = ()


def files(
    topology: Topology,
    secrets: Recorded,
    name: str,
    component: str,
    servers: Sequence[Server],
    instance: str | None = None,
) -> Files:
    """The files of these servers' nodes, as objects `<name>-files`; beside them, with TLS, each
    node's certificate.
    """
    rows = [(server.node.name, file) for server in servers for file in server.files]
    plain = {_key(node, file): file.text for node, file in rows if not file.secret}
    secret = {_key(node, file): file.text for node, file in rows if file.secret}
    meta = names.meta(topology, f"{name}-files", component, instance or name)
    objects: list[Manifest] = []
    if plain:
        objects.append(manifest(ConfigMap(metadata=meta, data=plain)))
    if secret:
        objects.append(secret_files(topology, secrets, meta.name or "", component, name, secret))
    nodes = certificates.nodes(topology, servers)
    objects += certificates.orders(topology, component, instance or name, nodes)
    paths = [
        KeyToPath(key=_key(node, file), path=f"{node}/{file.name}")
        for node, file in rows
        if not file.secret
    ]
    secret_paths = [
        KeyToPath(key=_key(node, file), path=f"{node}/{file.name}")
        for node, file in rows
        if file.secret
    ]
    sources = []
    if paths:
        sources.append(VolumeProjection(configMap=ConfigMapProjection(items=paths, name=meta.name)))
    if secret_paths:
        sources.append(
            VolumeProjection(secret=SecretProjection(items=secret_paths, name=meta.name))
        )
    sources += certificates.sources(nodes)
    volume = Volume(name=FILES_VOLUME, projected=ProjectedVolumeSource(sources=sources))
    trust = certificates.trust_volumes(topology, nodes)
    return Files(tuple(objects), volume, checksum(plain | masked(secrets, secret)), tuple(trust))


def secret_files(
    topology: Topology,
    secrets: Recorded,
    name: str,
    component: str,
    instance: str,
    texts: Mapping[str, str],
) -> Manifest:
    """A secret with these entries, or the order to the External Secrets operator to make it."""
    if topology.kubernetes.secrets.source is SecretSource.GENERATED:
        meta = names.meta(topology, name, component, instance)
        return manifest(Secret(metadata=meta, stringData=dict(texts), type="Opaque"))
    return manifest(_external(topology, secrets, name, component, instance, texts))


def _external(
    topology: Topology,
    secrets: Recorded,
    name: str,
    component: str,
    instance: str,
    texts: Mapping[str, str],
) -> Typed:
    """https://external-secrets.io/latest/guides/templating/"""
    settings = topology.kubernetes.secrets
    used = [
        secret
        for secret in sorted(secrets.names)
        if any(secrets.get(secret).get_secret_value() in text for text in texts.values())
    ]
    wanted: list[Json] = [
        {
            "secretKey": field_name(secret),
            "remoteRef": {"key": settings.path, "property": secret},
        }
        for secret in used
    ]
    data: dict[str, Json] = dict(texts)
    return Custom(
        api_version="external-secrets.io/v1",
        kind="ExternalSecret",
        name=name,
        namespace=names.namespace(topology),
        labels=names.labels(topology, component, instance),
        spec={
            "refreshInterval": "1h",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": settings.store},
            "target": {
                "name": name,
                "creationPolicy": "Owner",
                "template": {"engineVersion": "v2", "type": "Opaque", "data": data},
            },
            "data": wanted,
        },
    )


def all_secrets(topology: Topology, secrets: Recorded, component: str) -> Manifest:
    """Every password by its name, as the tool's secret store reads a folder."""
    texts = {name: secrets.get(name).get_secret_value() for name in sorted(secrets.names)}
    return secret_files(topology, secrets, names.SECRETS_NAME, component, names.TOOL, texts)


def masked(secrets: Recorded, texts: Mapping[str, str]) -> dict[str, str]:
    """The texts with names in place of passwords: a checksum says nothing of them, and is the same
    wherever objects are rendered.
    """
    return {key: secrets.masked(text) for key, text in texts.items()}


def checksum(texts: Mapping[str, str]) -> str:
    """Names the content: pods that carry it are made anew when a file changes."""
    digest = hashlib.sha256()
    for key, text in sorted(texts.items()):
        digest.update(f"{key}\0{text}\0".encode())
    return digest.hexdigest()[:DIGEST]


def _key(node: str, file: ConfigFile) -> str:
    return f"{node}.{file.name}"


def keys(objects: Iterable[Manifest]) -> dict[str, str]:
    """The entries of config maps and secrets together, by key."""
    found: dict[str, str] = {}
    for each in objects:
        for part in ("data", "stringData"):
            entries = each.data.get(part)
            if isinstance(entries, dict):
                found |= {key: str(text) for key, text in entries.items()}
    return found
