"""`postgres.parameters`: settings that a user may add, and the ones that are not theirs."""

import re
from collections.abc import Iterable

from cluster.problems import Path, Problem
from cluster.rules.base import rule
from cluster.topology import Topology

PARAMETERS: Path = ("postgres", "parameters")

# `name` or `extension.name`, in lower case as PostgreSQL folds it (guc.c, find_option).
_NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# Set by Patroni or by our templates; a second value would win, or be lost without a word.
OWNED = frozenset(
    {"archive_command", "archive_library", "archive_mode", "cluster_name", "config_file"}
    | {"data_directory", "external_pid_file", "hba_file", "hot_standby", "ident_file", "include"}
    | {"include_dir", "include_if_exists", "listen_addresses", "log_destination"}
    | {"logging_collector", "password_encryption", "port", "primary_conninfo"}
    | {"primary_slot_name", "promote_trigger_file", "restore_command", "ssl", "ssl_ca_file"}
    | {"ssl_cert_file", "ssl_key_file", "standby_mode", "synchronous_standby_names"}
    | {"trigger_file", "unix_socket_directories", "unix_socket_group", "unix_socket_permissions"}
    | {"wal_level", "wal_log_hints"}
)
OWNED_PREFIX = "recovery_"

# The guarantee of acknowledged writes: PostgreSQL Documentation, Write Ahead Log.
DURABILITY = frozenset({"fsync", "full_page_writes", "synchronous_commit", "zero_damaged_pages"})

# Patroni silently replaces smaller values (patroni.postgresql.config, CMDLINE_OPTIONS).
LEAST = {
    "max_connections": 25,
    "max_locks_per_transaction": 32,
    "max_prepared_transactions": 0,
    "max_replication_slots": 4,
    "max_wal_senders": 3,
    "max_worker_processes": 2,
}
# What postgres.dynamic sets where the topology does not.
DEFAULTS = {"max_connections": 100, "max_wal_senders": 10, "max_replication_slots": 10}

# `postgres.wal_volume`, MiB, and the settings that decide how much WAL is kept.
LEAST_WAL_VOLUME = 256
WAL_SIZES = ("max_slot_wal_keep_size", "max_wal_size", "wal_keep_size")
_SIZE = re.compile(r"(-?[0-9]+) *(MB|GB|TB|)")

# superuser_reserved_connections (3), Patroni (3), monitoring, backup, people on the direct port.
RESERVED_CONNECTIONS = 20
# pg_basebackup streams WAL beside the copy: two senders (pg_basebackup --wal-method=stream).
BASEBACKUP_SENDERS = 2


def legal_names(topology: Topology) -> Iterable[Problem]:
    """A name that PostgreSQL does not know stops the server at its next start."""
    for name, value in topology.postgres.parameters.items():
        if not _NAME.fullmatch(name):
            reason = "is no parameter's name: lower-case letters, digits and underscores"
            yield Problem((*PARAMETERS, name), reason)
        if isinstance(value, str) and _CONTROL.search(value):
            yield Problem((*PARAMETERS, name), "must be one line of text", value)


def not_ours(topology: Topology) -> Iterable[Problem]:
    """Failover, replication, archiving and access are built on these: they follow from the rest
    of the topology, and a value of their own would contradict it.
    """
    for name, value in topology.postgres.parameters.items():
        if name in DURABILITY:
            yield Problem((*PARAMETERS, name), "cannot be set: no write may be lost", value)
        elif name in OWNED or name.startswith(OWNED_PREFIX):
            reason = "cannot be set: it follows from the rest of the topology"
            yield Problem((*PARAMETERS, name), reason, value)


def not_too_small(topology: Topology) -> Iterable[Problem]:
    """Patroni replaces smaller values by its own default without a word."""
    for name, least in LEAST.items():
        value = topology.postgres.parameters.get(name, least)
        if isinstance(value, bool) or not isinstance(value, int):
            yield Problem((*PARAMETERS, name), "must be a whole number", value)
        elif value < least:
            yield Problem((*PARAMETERS, name), f"must be at least {least}", value)


def pool_fits(topology: Topology) -> Iterable[Problem]:
    """A full pool must not take the connections that Patroni and people need: a primary whose
    Patroni cannot connect is failed over.
    """
    pool, most = topology.edge.pool_size, _number(topology, "max_connections")
    if pool + RESERVED_CONNECTIONS > most:
        limit = f"max_connections ({most}) less {RESERVED_CONNECTIONS} for Patroni and people"
        yield Problem(("edge", "pool_size"), f"must be at most {limit}", pool)


def senders_suffice(topology: Topology) -> Iterable[Problem]:
    """Every standby holds a sender and a slot on the primary, the DR scope another, and a copy
    that is made meanwhile two senders more.
    """
    postgres = topology.postgres
    followers = len(postgres.members) - 1 + (postgres.dr is not None)
    needs = {
        "max_wal_senders": followers + BASEBACKUP_SENDERS,
        "max_replication_slots": followers,
    }
    for name, needed in needs.items():
        if _number(topology, name) < needed:
            reason = f"must be at least {needed} for {followers} standbys"
            yield Problem((*PARAMETERS, name), reason, _number(topology, name))


def wal_fits_volume(topology: Topology) -> Iterable[Problem]:
    """A full WAL volume stops PostgreSQL (PANIC: could not write to file). Segments have 16 MiB,
    one is written ahead, and the least `max_wal_size` is two of them.
    """
    volume = topology.postgres.wal_volume
    if volume is None:
        return
    if volume < LEAST_WAL_VOLUME:
        reason = (
            f"must be at least {LEAST_WAL_VOLUME}: WAL comes in segments of 16 MiB, kept for a "
            "checkpoint and for every standby that is behind"
        )
        yield Problem(("postgres", "wal_volume"), reason, volume)
    for name in WAL_SIZES:
        value = topology.postgres.parameters.get(name, 0)
        size = _mebibytes(value)
        if size is None or not 0 <= size < volume:
            reason = f"must be a size below postgres.wal_volume ({volume} MiB), as `512MB`"
            yield Problem((*PARAMETERS, name), reason, value)


def _mebibytes(value: object) -> int | None:
    """A size as PostgreSQL reads one whose unit is megabytes; None where it is none."""
    match = _SIZE.fullmatch(str(value))
    units = {"": 1, "MB": 1, "GB": 1024, "TB": 1024**2}
    return int(match[1]) * units[match[2]] if match else None


def _number(topology: Topology, name: str) -> int:
    """The effective value; the default where it is not a number, told elsewhere."""
    value = topology.postgres.parameters.get(name)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if is_number and value is not None else DEFAULTS[name]


RULES = (
    rule(legal_names, "postgres"),
    rule(not_ours, "postgres"),
    rule(not_too_small, "postgres"),
    rule(pool_fits, "postgres", "edge"),
    rule(senders_suffice, "postgres"),
    rule(wal_fits_volume, "postgres"),
)
