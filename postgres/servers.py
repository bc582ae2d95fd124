"""The servers of the PostgreSQL side: what runs on each node, with which files."""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from cluster import tls
from cluster.context import Context
from cluster.inventory import Kind, Node
from cluster.render import render
from cluster.server import ConfigFile, OnChange, Server, Volume
from cluster.topology import PostgresRole
from postgres import archive, names, operators
from postgres.dynamic import JsonObject, desired
from postgres.scopes import (
    FOUNDED,
    Scope,
    data_folder,
    dr_scope,
    primary_scope,
    scopes,
    slot_name,
)

MARK_CHARACTERS = 12
PATRONI_STOP_SECONDS = 60  # a clean shutdown waits for a checkpoint and for the standbys


@dataclass(frozen=True)
class Login:
    """A user and its password, for templates."""

    user: str
    password: str


def servers(context: Context) -> tuple[Server, ...]:
    """Every server of the PostgreSQL side, one per program."""
    return (
        *(etcd(context, scope, node) for scope in scopes(context) for node in scope.etcd),
        *(patroni(context, scope, node) for scope in scopes(context) for node in scope.members),
        *(pgbouncer(context, scope, node) for scope in scopes(context) for node in scope.members),
        *(haproxy(context, node) for node in context.inventory.of(Kind.HAPROXY)),
    )


def configuration_step(scope: Scope) -> str:
    """The name of the step that puts a scope's dynamic configuration where Patroni reads it."""
    return f"configuration of {scope.name}"


def source_step(scope: Scope) -> str:
    """The name of the step that makes what a standby scope streams from."""
    return f"replication slot for {scope.name}"


def dynamic_configuration(context: Context, scope: Scope) -> JsonObject:
    """The dynamic configuration that a scope should have."""
    dr = dr_scope(context)
    slots = (slot_name(dr),) if dr and dr.follows == scope.name else ()
    return desired(context.topology, scope, slots, context.inventory.of(Kind.HAPROXY))


def etcd(context: Context, scope: Scope, node: Node) -> Server:
    """A member of the store that elects a scope's leader."""
    text = render(
        "postgres",
        "etcd.yml.j2",
        scope=scope.name,
        node=node,
        peers=scope.etcd,
        data=context.layout.data(node),
        token=f"{context.topology.name}-{node.group}",
        scheme="https" if context.trust else "http",
        tls=tls.pem_file(context, node),
        trust=context.trust,
    )
    conf = context.layout.conf(node) / "etcd.yml"
    return Server(
        name=node.name,
        node=node,
        component=names.ETCD,
        argv=(context.programs.find("etcd", "etcd-server"), "--config-file", str(conf)),
        files=(ConfigFile(conf.name, text), *tls.files(context, node)),
        ports=(names.ETCD_PORT, names.ETCD_PEER_PORT),
    )


def patroni(context: Context, scope: Scope, node: Node) -> Server:
    """Patroni of a member, which runs its PostgreSQL."""
    conf = context.layout.conf(node)
    needs, size = [configuration_step(scope)], context.topology.postgres.wal_volume
    if scope.follows is not None:
        needs.append(source_step(scope))
    return Server(
        name=node.name,
        node=node,
        component=scope.component,
        argv=(context.programs.script("patroni"), str(conf / "patroni.yml")),
        files=(
            ConfigFile("patroni.yml", _patroni_yml(context, scope, node), secret=True),
            *archive.files(context, node),
            *tls.files(context, node, live=False),
        ),
        folders=("conf", "data", "run"),
        env=(("PGBACKREST_CONFIG", str(archive.config_path(context, node))),),
        ports=(names.POSTGRES_PORT, names.PATRONI_PORT),
        on_change=OnChange.RELOAD,
        stop_seconds=PATRONI_STOP_SECONDS,
        needs=tuple(needs),
        volumes=(Volume(context.layout.wal(node).name, size),) if size else (),
        negotiated=(names.POSTGRES_PORT,),
    )


def pgbouncer(context: Context, scope: Scope, node: Node) -> Server:
    """The connection pool beside a member."""
    conf = context.layout.conf(node)
    ini = render(
        "postgres",
        "pgbouncer.ini.j2",
        node=node,
        edge=context.topology.edge,
        database=context.topology.postgres.database,
        socket=context.layout.run(node),
        userlist=conf / "userlist.txt",
        pooler=names.POOLER,
        monitor=names.MONITOR,
        tls=tls.pem_file(context, node),
    )
    users = [(role, names.password(context, role)) for role in (names.POOLER, names.MONITOR)]
    return Server(
        name=f"{node.name}-pgbouncer",
        node=node,
        component=scope.component,
        argv=(context.programs.find("pgbouncer", "pgbouncer"), str(conf / "pgbouncer.ini")),
        files=(
            ConfigFile("pgbouncer.ini", ini),
            ConfigFile(
                "userlist.txt", render("postgres", "userlist.txt.j2", users=users), secret=True
            ),
            *tls.files(context, node, live=False),
        ),
        folders=("conf", "run"),
        ports=(names.PGBOUNCER_PORT,),
        on_change=OnChange.RELOAD,
        stop_signal="INT",  # TERM drops every client at once
        stop_seconds=10,
        negotiated=(names.PGBOUNCER_PORT,),
    )


def haproxy(context: Context, node: Node) -> Server:
    """A proxy in front of the scope that takes the writes."""
    conf = context.layout.conf(node) / "haproxy.cfg"
    text = render(
        "postgres",
        "haproxy.cfg.j2",
        node=node,
        edge=context.topology.edge,
        members=primary_scope(context).members,
        socket=context.layout.run(node) / names.HAPROXY_SOCKET,
        stats_user=names.STATS_USER,
        operators=operators.path(context, node),
        ms=lambda seconds: f"{round(seconds * 1000)}ms",
        tls=tls.pem_file(context, node),
        trust=context.trust,
    )
    return Server(
        name=node.name,
        node=node,
        component=names.EDGE,
        argv=(context.programs.find("haproxy", "haproxy"), "-W", "-db", "-f", str(conf)),
        files=(
            ConfigFile(conf.name, text, secret=True),
            operators.file(context),
            *tls.files(context, node),
        ),
        folders=("conf", "run"),
        ports=(names.POOLED_PORT, names.DIRECT_PORT, names.READS_PORT, names.STATS_PORT),
        on_change=OnChange.RELOAD,
        stop_seconds=5,
        negotiated=(names.POOLED_PORT, names.DIRECT_PORT, names.READS_PORT),
    )


def _patroni_yml(context: Context, scope: Scope, node: Node) -> str:
    founds = node == scope.founder
    return render(
        "postgres",
        "patroni.yml.j2",
        scope=scope,
        node=node,
        mark=passwords_mark(context, scope),
        rest=Login(names.REST_USER, names.password(context, names.REST_USER)),
        etcd=_etcd_login(context, scope) if scope.etcd else None,
        dynamic=_yaml(dynamic_configuration(context, scope)) if founds else None,
        data=data_folder(context.layout, node),
        mark_founded=_mark_founded(context, node),
        pre_promote=_pre_promote(context, node) if scope.follows else None,
        bin=Path(context.programs.postgres("postgres", context.topology.postgres.version)).parent,
        pgpass=context.layout.data(node) / "patroni.pgpass",
        logins=_logins(context),
        wal=context.layout.wal(node) / "pg_wal" if context.topology.postgres.wal_volume else None,
        socket=context.layout.run(node),
        archive_command=_archive_command(context, scope, node),
        restore_command=archive.commands(context).get,
        networks=context.inventory.networks,
        tls=tls.pem_file(context, node),
        trust=context.trust,
        may_lead=node.role is not PostgresRole.ASYNCHRONOUS or scope.away,
    )


def passwords_mark(context: Context, scope: Scope) -> str:
    """Names the passwords of a scope's Patroni, and says nothing of them: they are 192 bits."""
    accounts = (names.SUPERUSER, names.REPLICATION, names.REWIND, names.REST_USER)
    known = [names.password(context, account) for account in accounts]
    if scope.etcd:
        known.append(names.etcd_password(context, scope.name, names.ETCD_USER))
    return hashlib.sha256("\0".join(known).encode()).hexdigest()[:MARK_CHARACTERS]


def _etcd_login(context: Context, scope: Scope) -> Login:
    return Login(names.ETCD_USER, names.etcd_password(context, scope.name, names.ETCD_USER))


def promotion_marker(context: Context, node: Node) -> Path:
    """The file without which a DR member refuses to be promoted, whatever its etcd says."""
    return context.layout.data(node) / "promotion-allowed"


def _pre_promote(context: Context, node: Node) -> str:
    return shlex.join(("test", "-e", str(promotion_marker(context, node))))


def _archive_command(context: Context, scope: Scope, node: Node) -> str:
    """A follower that somebody promotes past its guard keeps its timeline to itself.

    In the archive others would follow it: a rewound member, the next failover, a restore.
    """
    push = archive.commands(context).push
    return f"{_pre_promote(context, node)} && {push}" if scope.follows else push


def _mark_founded(context: Context, node: Node) -> str:
    """The command that Patroni calls with a connection string once a cluster is created."""
    marker = shlex.quote(str(data_folder(context.layout, node) / FOUNDED))
    return shlex.join(("sh", "-c", f"touch {marker}"))


def _logins(context: Context) -> dict[str, Login]:
    roles: Sequence[tuple[str, str]] = (
        ("superuser", names.SUPERUSER),
        ("replication", names.REPLICATION),
        ("rewind", names.REWIND),
    )
    return {kind: Login(role, names.password(context, role)) for kind, role in roles}


def _yaml(config: JsonObject) -> str:
    return yaml.safe_dump(dict(config), sort_keys=False).rstrip()
