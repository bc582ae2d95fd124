"""PostgreSQL's, Patroni's, etcd's and the edge's configuration in force, for a drill's evidence."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Kind, Node
from postgres import patroni
from postgres.client import superuser
from postgres.etcd import member_health
from postgres.scopes import Scope, scopes

SETTINGS = """
    SELECT name, setting || coalesce(' ' || unit, ''), source FROM pg_settings
    WHERE source NOT IN ('default', 'override', 'client', 'session') ORDER BY name
"""
RULES = """
    SELECT line_number, type, array_to_string(database, ','), array_to_string(user_name, ','),
        coalesce(address, ''), coalesce(netmask, ''), auth_method,
        ARRAY(SELECT option FROM unnest(options) AS option WHERE option !~ 'passw|secret'),
        coalesce(error, '')
    FROM pg_hba_file_rules ORDER BY line_number
"""
CONNECTION_STRING = "primary_conninfo"
EDGE_FILES = {Kind.HAPROXY: "haproxy.cfg", Kind.POSTGRES: "pgbouncer.ini"}
Texts = dict[str, str]


def configuration(context: Context) -> Mapping[str, str]:
    """Texts by file name: each scope, each member, each etcd member, each proxy's file.

    What does not answer is said to be so in its text. A proxy's file holds passwords: whoever
    keeps the texts masks them.
    """
    asked: list[tuple[str, Callable[[], str]]] = []
    for scope in scopes(context):
        asked.append((f"{scope.name}/patroni-dynamic.json", partial(_dynamic, scope)))
        for node in scope.members:
            asked.append((f"{node.name}/pg_settings.txt", partial(_settings, context, node)))
            asked.append((f"{node.name}/pg_hba.txt", partial(_rules, context, node)))
        asked += [(f"{node.name}/status.txt", partial(_etcd, node)) for node in scope.etcd]
    with ThreadPoolExecutor(8, thread_name_prefix="configuration") as pool:
        texts = pool.map(_text, (ask for _, ask in asked))
        found = dict(zip((name for name, _ in asked), texts, strict=True))
    return found | _files(context)


def _text(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except OpsError as error:
        return f"not read: {error.message}"


def _dynamic(scope: Scope) -> str:
    return json.dumps(patroni.config(patroni.leader_of(scope)), indent=1, sort_keys=True)


def _settings(context: Context, node: Node) -> str:
    """What differs from PostgreSQL's defaults, and where it was set."""
    with superuser(context, node) as connection:
        rows = connection.execute(SETTINGS).fetchall()
    return "\n".join(
        f"{name} = {without_password(value) if name == CONNECTION_STRING else value}  # {source}"
        for name, value, source in rows
    )


def without_password(conninfo: str) -> str:
    """A libpq connection string without the password in it; "***" where it is none."""
    try:
        parts = conninfo_to_dict(conninfo)
    except ProgrammingError:
        return "***"
    return make_conninfo(**{key: str(parts[key]) for key in parts if key != "password"})


def _rules(context: Context, node: Node) -> str:
    with superuser(context, node) as connection:
        rows = connection.execute(RULES).fetchall()
    return "\n".join("\t".join(map(_word, row)) for row in rows)


def _word(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _etcd(node: Node) -> str:
    health = member_health(node, seconds=3)
    return f"version {health.version}\nhas a leader: {str(health.has_leader).lower()}"


def _files(context: Context) -> Texts:
    """The files that the proxies and pools were started with."""
    found: Texts = {}
    for kind, name in EDGE_FILES.items():
        for node in context.inventory.of(kind):
            file = context.layout.conf(node) / name
            if file.is_file():
                found[f"{node.name}/{name}"] = file.read_text("utf-8")
    return found
