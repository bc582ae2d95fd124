"""Takes a snapshot: each set's secondary locked, copied, unlocked; then packed and kept.

The lock lasts as long as a copy on the same disk; compressing, sealing and uploading come after it.
"""

import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from pymongo.errors import OperationFailure

from cluster.backup.contracts import Say
from cluster.context import Context
from cluster.errors import OpsError, RefusedError, UnreachableError
from cluster.inventory import Node
from cluster.target import ReadsAfar, read
from mongo import members, nodes
from mongo.backup import locking, manifest, packing, sealing, settings, stamps
from mongo.backup.manifest import Manifest, Part
from mongo.backup.sealing import Sealer
from mongo.backup.stamps import Stamp
from mongo.backup.storage import Storage
from mongo.client import Client, node_client
from mongo.credentials import internal
from mongo.nodes import SetNodes, host
from mongo.set_model import Answer, State

STAGING = "backup-staging"
LAG_SECONDS = 10  # a secondary further behind than this is not copied
TURTLE = "WiredTiger.turtle"  # WiredTiger's root: it changes with each checkpoint
TRIES = 3


def take(context: Context, history: int, say: Say) -> Manifest:
    """Take a snapshot of every set. Raises OpsError; what it leaves then is no backup."""
    started = datetime.now(UTC)
    label = f"{started:%Y%m%dT%H%M%S}{started.microsecond // 1000:03d}Z"
    place = settings.place(context)
    storage, sealer = place.storage(), place.sealer()
    chosen = [(one, choose(one, members.observe(context, one))) for one in replica_sets(context)]
    cluster, server = _identity(context)
    staging = context.layout.root / STAGING
    clear(staging)
    staging.mkdir(mode=0o700)
    parts = {}
    try:
        with locking.balancer_held(context):
            copies = {}
            for replica_set, node in chosen:
                folder = staging / replica_set.name
                copies[replica_set.name] = _copy(context, node, folder)
                say(f"{replica_set.name}: copied from {node.name}")
        for replica_set, node in chosen:
            last, set_id = copies[replica_set.name]
            folder = staging / replica_set.name
            key = f"{manifest.folder(label)}{replica_set.name}"
            size = _keep(storage, sealer, key, folder, staging)
            shutil.rmtree(folder)
            parts[replica_set.name] = Part(
                set_id=set_id,
                node=node.name,
                last=last,
                key=key,
                sha256=size.sha256,
                bytes=size.plain,
                stored=size.stored,
            )
            say(f"{replica_set.name}: kept {size.stored:,} of {size.plain:,} bytes")
    finally:
        clear(staging)
    made = Manifest(
        label=label,
        history=history,
        cluster=cluster,
        server=server,
        key=sealer.fingerprint,
        started=started,
        stopped=datetime.now(UTC),
        sets=parts,
    )
    manifest.store(storage, manifest.manifest_key(label), made)
    return made


def replica_sets(context: Context) -> tuple[SetNodes, ...]:
    """The shards before the config servers: what the metadata names is there."""
    config, *shards = nodes.replica_sets(context)
    return (*shards, config)


def choose(replica_set: SetNodes, answers: Sequence[Answer]) -> Node:
    """The member to copy: of those that follow, the one that is least behind.

    A set of one member has no other: its writes wait while it is copied. Raises RefusedError.
    """
    by_host = {host(node): node for node in replica_set.data_bearing}
    if len(by_host) == 1:
        return next(iter(by_host.values()))
    newest = max((answer.applied[0] for answer in answers), default=0)
    ready = [
        answer
        for answer in answers
        if answer.state is State.SECONDARY and newest - answer.applied[0] <= LAG_SECONDS
    ]
    if not any(answer.state is State.PRIMARY for answer in answers) or not ready:
        raise RefusedError(
            f"{replica_set.name} has no secondary that can be copied: its primary must be up, "
            f"and a secondary at most {LAG_SECONDS} s behind",
            "look at `skillswap-ops status`",
        )
    return by_host[max(ready, key=lambda answer: answer.applied).host]


def _copy(context: Context, node: Node, folder: Path) -> tuple[Stamp, str]:
    """Copy a member's data folder while it is locked; its newest write, and the set's id."""
    source = context.layout.data(node)
    with locking.locked(context, node) as client:
        with node_client(node, internal(context)) as reader:
            set_id = _set_id(reader)
        for _ in range(TRIES):
            clear(folder)
            folder.mkdir(mode=0o700, parents=True)
            root = _root(context, node)
            if isinstance(context.target, ReadsAfar):
                context.target.fetch(node, source, folder, packing.PATTERNS)
            else:
                packing.copy(source, folder)
            if _root(context, node) == root:
                return _newest(client), set_id
    raise OpsError(f"{node.name} made checkpoints while it was locked", "try again")


def _root(context: Context, node: Node) -> bytes:
    """WiredTiger's root. Raises OpsError where a member has none."""
    found = read(context.target, node, context.layout.data(node) / TURTLE)
    if found is None:
        raise OpsError(f"{node.name} has no {TURTLE} in {context.layout.data(node)}")
    return found


def _newest(client: Client) -> Stamp:
    for entry in client.local["oplog.rs"].find({}, {"ts": 1}).sort("$natural", -1).limit(1):
        return stamps.of(entry["ts"])
    raise OpsError("the oplog is empty")


def _set_id(client: Client) -> str:
    config = client.local["system.replset"].find_one()
    if config is None:
        raise OpsError("the member has no configuration")
    return str(config["settings"]["replicaSetId"])


def _keep(storage: Storage, sealer: Sealer, key: str, folder: Path, staging: Path) -> sealing.Size:
    """Pack, seal and keep a copy."""
    with tempfile.TemporaryFile(dir=staging) as file:
        into = cast("BinaryIO", file)
        size = sealing.write(sealer, {"kind": "snapshot", "of": key}, packing.pack(folder), into)
        storage.put(key, into)
    return size


def _identity(context: Context) -> tuple[str, str]:
    """The cluster's id, and its servers' version."""
    for node in nodes.config_servers(context).nodes:
        try:
            with node_client(node, internal(context)) as client:
                found = client.config["version"].find_one()
                version = str(client.server_info()["version"])
        except (UnreachableError, OperationFailure):
            continue
        return str(found["clusterId"]) if found else "", version
    raise UnreachableError("no config server answers", "run `provision`")


def clear(folder: Path) -> None:
    """Remove a folder, if it is there."""
    if folder.exists():
        shutil.rmtree(folder)
