"""Connection strings as clients of PostgreSQL need them: both proxies in each."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from cluster.context import Context
from cluster.endpoint import MASK, Endpoint
from cluster.inventory import Kind, Node
from postgres import names
from postgres.client import secured
from postgres.scopes import dr_scope, primary_scope

CONNECT = {"connect_timeout": "3"}  # seconds a host, before libpq tries the next one


def endpoints(context: Context, *, reveal: bool) -> tuple[Endpoint, ...]:
    """Every way in: pooled and direct for applications, reads, DR, administration."""
    database = context.topology.postgres.database
    application = names.application(context.topology)
    proxies = context.inventory.of(Kind.HAPROXY)
    members = primary_scope(context).members
    dr = dr_scope(context)

    def uri(
        user: str, nodes: Sequence[Node], port: int, to: str, options: Mapping[str, str] = CONNECT
    ) -> str:
        return _uri(context, user, _hosts(nodes, port), to, options, reveal=reveal)

    writable = {**CONNECT, "target_session_attrs": "read-write"}
    rows = [
        Endpoint(
            f"pg-{database}",
            "applications: the primary, pooled by transaction",
            uri(application, proxies, names.POOLED_PORT, database),
        ),
        Endpoint(
            f"pg-{database}-direct",
            "sessions that a pool cannot carry (LISTEN, advisory locks)",
            uri(application, proxies, names.DIRECT_PORT, database, writable),
        ),
        Endpoint(
            f"pg-{database}-reads",
            "reports: the standbys, pooled, behind the primary by their lag",
            uri(application, proxies, names.READS_PORT, database),
        ),
        Endpoint(
            "pg-monitor",
            "monitoring: the members themselves",
            uri(names.MONITOR, members, names.POSTGRES_PORT, "postgres"),
        ),
        Endpoint(
            "pg-admin",
            "administrators: the primary, as superuser",
            uri(names.SUPERUSER, proxies, names.DIRECT_PORT, "postgres", writable),
        ),
    ]
    if dr:
        rows.append(
            Endpoint(
                f"pg-{database}-dr",
                f"reads in the DR region, {dr.name}",
                uri(application, dr.members, names.PGBOUNCER_PORT, database),
            )
        )
    return tuple(rows)


def _hosts(nodes: Sequence[Node], port: int) -> str:
    return ",".join(node.at(port) for node in nodes)


def _uri(
    context: Context,
    user: str,
    hosts: str,
    database: str,
    options: Mapping[str, str],
    *,
    reveal: bool,
) -> str:
    password = quote(names.password(context, user), safe="") if reveal else MASK
    query = urlencode({**options, **secured(context.trust)}, safe="/")
    return f"postgresql://{user}:{password}@{hosts}/{database}?{query}"
