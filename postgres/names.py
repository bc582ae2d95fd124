"""Ports, roles and secrets of the PostgreSQL side: the names that must agree everywhere."""

from cluster.context import Context
from cluster.topology import Topology

POSTGRES_PORT = 5432
PGBOUNCER_PORT = 6432
PATRONI_PORT = 8008
ETCD_PORT = 2379
ETCD_PEER_PORT = 2380
POOLED_PORT = 5000  # HAProxy → pgbouncer of the primary
DIRECT_PORT = 5001  # HAProxy → PostgreSQL of the primary
READS_PORT = 5002  # HAProxy → pgbouncer of the standbys
STATS_PORT = 7000
HAPROXY_SOCKET = "haproxy.sock"

SUPERUSER = "postgres"
REPLICATION = "replicator"
REWIND = "rewind"
POOLER = "pgbouncer"
BACKUP = "pgbackrest"
MONITOR = "monitor"
REST_USER = "patroni"
STATS_USER = "stats"
ETCD_ROOT = "root"
ETCD_USER = "patroni"

EDGE = "Edge"
ARCHIVE = "WAL archive"
ETCD = "etcd"


def owner(topology: Topology) -> str:
    """The role that owns the database and its schema; nobody logs in as it."""
    return f"{topology.postgres.database}_owner"


def application(topology: Topology) -> str:
    """The role of the services."""
    return f"{topology.postgres.database}_app"


def password(context: Context, account: str) -> str:
    """The password of a PostgreSQL role, of Patroni's REST API or of HAProxy's statistics."""
    return context.secrets.get(secret(account)).get_secret_value()


def secret(account: str) -> str:
    """The name of the secret that such an account logs in with."""
    return f"postgres-{account}"


def etcd_password(context: Context, scope: str, user: str) -> str:
    """The password of a user of a scope's etcd."""
    return context.secrets.get(etcd_secret(scope, user)).get_secret_value()


def etcd_secret(scope: str, user: str) -> str:
    """The name of the secret that a user of a scope's etcd logs in with."""
    return f"etcd-{scope}-{user}"
