"""Why a topology gives nothing to drill; "" where it does."""

from cluster.context import Context
from cluster.inventory import Kind
from cluster.topology import PostgresRole
from postgres.faults.archive_outage import folder_repository
from postgres.scopes import primary_scope


def no_standby(context: Context) -> str:
    """Nobody could take over."""
    scope = primary_scope(context)
    able = [node for node in scope.members if node.role is not PostgresRole.ASYNCHRONOUS]
    return "" if len(able) > 1 else f"{scope.name} has no standby that may take over"


def not_synchronous(context: Context) -> str:
    """No commit waits for a standby."""
    mode = context.topology.postgres.synchronous_mode
    return no_standby(context) or ("" if mode else "postgres.synchronous_mode is off")


def no_etcd_to_lose(context: Context) -> str:
    """Kubernetes keeps the leader itself; and only failsafe mode survives the loss of all etcd."""
    if not primary_scope(context).etcd:
        return "there is no etcd: Kubernetes keeps the leader"
    return no_failsafe(context)


def no_failsafe(context: Context) -> str:
    """The loss of etcd is the loss of the primary, by choice."""
    return "" if context.topology.postgres.failsafe_mode else "postgres.failsafe_mode is off"


def no_archive_folder(context: Context) -> str:
    """There is no folder to close."""
    found = folder_repository(context)
    return "" if found else "no repository of the archive is a folder"


def lone_proxy(context: Context) -> str:
    """There is no other proxy to go to."""
    count = len(context.inventory.of(Kind.HAPROXY))
    return "" if count > 1 else "there is one HAProxy: its clients have nowhere else to go"


def no_wal_volume(context: Context) -> str:
    """To fill the machine's own disk would break everything on it."""
    found = context.topology.postgres.wal_volume
    return "" if found else "postgres.wal_volume is not set: the WAL has no volume of its own"


def no_dr(context: Context) -> str:
    """There is nobody to promote."""
    return "" if context.topology.postgres.dr else "the topology has no DR region"
