"""Everything that knows PostgreSQL, Patroni, etcd, HAProxy, pgbouncer and pgBackRest."""
