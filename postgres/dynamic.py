"""Patroni's dynamic configuration: what it should be, and how the live one differs.

It is written once when a cluster is created and can be changed by anyone with Patroni's password;
`provision` puts it back. Timings follow Patroni's rule `loop_wait + 2 * retry_timeout <= ttl`.
"""

import json
from collections.abc import Mapping
from typing import TypeAlias

from cluster.errors import RefusedError
from cluster.inventory import Node
from cluster.topology import Topology
from postgres.names import DIRECT_PORT
from postgres.scopes import Scope, slot_name

Json: TypeAlias = str | int | float | bool | Mapping[str, "Json"] | list["Json"] | None
JsonObject: TypeAlias = Mapping[str, Json]

MAXIMUM_LAG_ON_FAILOVER = 1024**2  # bytes; only counts while synchronous mode is off
WAL_KEPT_FOR_SLOTS = "2GB"  # a standby that is gone must not fill the primary's disk

# Sized for a laptop. Nothing here trades durability for speed: fsync, full_page_writes and
# synchronous_commit keep their defaults.
PARAMETERS: Mapping[str, str | int | float | bool] = {
    "archive_mode": "on",
    "archive_timeout": "60s",
    "checkpoint_timeout": "5min",
    "hot_standby_feedback": "on",
    "huge_pages": "off",
    "log_checkpoints": "on",
    "log_line_prefix": "%m [%p] %q%u@%d %a ",
    "log_lock_waits": "on",
    "max_connections": 100,
    "max_replication_slots": 10,
    "max_slot_wal_keep_size": WAL_KEPT_FOR_SLOTS,
    "max_wal_senders": 10,
    "max_wal_size": "1GB",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "64MB",
    "synchronous_commit": "on",
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3,
    "wal_compression": "lz4",
    "wal_keep_size": "128MB",
    "wal_level": "replica",
    "wal_log_hints": "on",
    # A standby that has frozen holds every commit back until its walsender gives up on it.
    "wal_receiver_timeout": "10s",
    "wal_sender_timeout": "10s",
}


def desired(
    topology: Topology, scope: Scope, standby_slots: tuple[str, ...], edge: tuple[Node, ...]
) -> JsonObject:
    """The dynamic configuration of a scope.

    `standby_slots` are kept on it for the scopes that follow it; `edge` are the HAProxies through
    which a standby scope reaches whoever leads.
    """
    postgres, timings = topology.postgres, topology.postgres.timings
    config: dict[str, Json] = {
        "ttl": timings.ttl,
        "loop_wait": timings.loop_wait,
        "retry_timeout": timings.retry_timeout,
        "primary_start_timeout": timings.primary_start_timeout,
        "maximum_lag_on_failover": MAXIMUM_LAG_ON_FAILOVER,
        "synchronous_mode": postgres.synchronous_mode and scope.follows is None,
        "synchronous_mode_strict": postgres.synchronous_mode_strict and scope.follows is None,
        "synchronous_node_count": 1,
        "failsafe_mode": postgres.failsafe_mode,
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            "parameters": {
                **PARAMETERS,
                **bounded_wal(postgres.wal_volume),
                **postgres.parameters,
            },
        },
    }
    if standby_slots:
        config["slots"] = {name: {"type": "physical"} for name in standby_slots}
    if scope.follows is not None:
        config["standby_cluster"] = {
            "host": ",".join(node.address for node in edge),
            "port": DIRECT_PORT,
            "primary_slot_name": slot_name(scope),
            "create_replica_methods": ["basebackup"],
        }
    return config


def bounded_wal(mebibytes: int | None) -> Mapping[str, str]:
    """What keeps WAL on a volume of that size: what slots hold at a checkpoint, what is written
    until the next one, and what is kept for standbys anyway come to 7/8 of it.
    """
    if mebibytes is None:
        return {}
    parts = {"max_slot_wal_keep_size": 2, "max_wal_size": 4, "wal_keep_size": 8}
    return {
        name: f"{mebibytes // part}MB"
        for name, part in parts.items()
        if mebibytes // part < _mebibytes(str(PARAMETERS[name]))
    }


def _mebibytes(text: str) -> int:
    return int(text[:-2]) * {"MB": 1, "GB": 1024}[text[-2:]]


def refuse_exchanged_parts(scope: Scope, live: JsonObject, *, writable: bool) -> None:
    """Raises RefusedError where the scope has changed its part.

    `writable`: one of its members takes writes. Making a promoted DR cluster a standby again, or
    a demoted cluster primary, is never a side effect of provisioning.
    """
    if scope.follows is not None and writable:
        part = "promoted"
    elif scope.follows is None and live.get("standby_cluster"):
        part = "a standby cluster"
    else:
        return
    raise RefusedError(
        f"{scope.name} is {part}, and the topology says otherwise",
        "finish the promotion or the failback first",
    )


def difference(live: JsonObject, wanted: JsonObject) -> JsonObject:
    """The changes that make `live` equal to `wanted`: null removes a key. Empty if they are."""
    changes: dict[str, Json] = {key: None for key in live if key not in wanted}
    for key, value in wanted.items():
        current = live.get(key)
        if isinstance(value, Mapping) and isinstance(current, Mapping):
            inner = difference(current, value)
            if inner:
                changes[key] = inner
        elif current != value:
            changes[key] = value
    return changes


def parse(text: str) -> JsonObject:
    """A configuration as etcd holds it; empty where it is no JSON object."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def describe(changes: JsonObject) -> str:
    """The changed settings by name, for `plan`."""
    return ", ".join(sorted(_paths(changes)))


def _paths(changes: JsonObject, prefix: str = "") -> list[str]:
    paths: list[str] = []
    for key, value in changes.items():
        inner = isinstance(value, Mapping) and value
        if inner and isinstance(value, Mapping):
            paths += _paths(value, f"{prefix}{key}.")
        else:
            paths.append(prefix + key)
    return paths
