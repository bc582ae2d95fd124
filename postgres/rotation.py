"""The secrets of PostgreSQL's side as they are rotated, none of them by a restart.

Who is told of a password has its file before the server takes it, and is told right after: what
Patroni and pgbouncer have open goes on meanwhile.
"""

from collections.abc import Callable, Iterator
from functools import partial

import psycopg
from pydantic import SecretStr

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import RefusedError, UnreachableError
from cluster.inventory import Kind, Node
from cluster.rotation import Door, Rotatable, Taker, tell
from cluster.server import Server
from cluster.web import basic, request
from postgres import access, client, names, operators, patroni
from postgres.etcd import Etcd
from postgres.rules import roles
from postgres.scopes import Scope, primary_scope, scopes
from postgres.servers import haproxy, passwords_mark, pgbouncer
from postgres.servers import patroni as patroni_server

MARK_SECONDS = 60.0  # Patroni reads its file at the end of a loop_wait, and takes a second for it
REFUSED = "authentication failed"  # of PostgreSQL and pgbouncer; libpq gives no code for it
OF_PATRONI = (names.SUPERUSER, names.REPLICATION, names.REWIND, names.BACKUP)
OF_PGBOUNCER = (names.POOLER, names.MONITOR)
SECONDS = 3.0


def rotatables(context: Context, target: Taker) -> tuple[Rotatable, ...]:
    """Roles, the proxies' statistics, Patroni's REST API, etcd: what is least missed first."""
    found = scopes(context)
    logins = [role.name for role in roles(context.topology) if role.login]
    first = [name for name in logins if name not in OF_PATRONI]
    return (
        *(_role(context, target, name) for name in first),
        _statistics(context, target),
        *(_role(context, target, name) for name in OF_PATRONI if name in logins),
        _rest(context, target),
        *(_etcd_root(context, scope) for scope in found if scope.etcd),
        *(_etcd_user(context, target, scope) for scope in found if scope.etcd),
    )


def _role(context: Context, target: Taker, role: str) -> Rotatable:
    how = "Patroni reads its file anew" if role in OF_PATRONI else "connections go on"

    def switch(ahead: Context) -> None:
        told = tuple(_told(ahead, role))
        for server in told:
            target.write(server)
        _alter(context, ahead, role)
        tell(target, told)
        if role in OF_PATRONI:
            _await_marks(ahead, target)

    return Rotatable(
        name=names.secret(role),
        opens=f"PostgreSQL, as {role}",
        how="pgbouncer reads its users anew" if role in OF_PGBOUNCER else how,
        switch=switch,
        doors=lambda: tuple(_of_role(context, role)),
    )


def _told(context: Context, role: str) -> Iterator[Server]:
    """The servers that log in with a role's password themselves."""
    for scope in scopes(context):
        for node in scope.members:
            if role in OF_PATRONI:
                yield patroni_server(context, scope, node)
            if role in OF_PGBOUNCER:
                yield pgbouncer(context, scope, node)


def _alter(context: Context, ahead: Context, role: str) -> None:
    """The role's verifier is the new password's. The standbys have it as they have everything."""
    leader = patroni.leader_of(primary_scope(context))
    new = names.password(ahead, role)
    try:
        with client.superuser(context, leader) as connection:
            _set(connection, role, new)
    except UnreachableError:
        # The superuser's own password was changed already, by a run that was cut off.
        with client.superuser(ahead, leader) as connection:
            _set(connection, role, new)


def _set(connection: client.Connection, role: str, password: str) -> None:
    if access.wrong_passwords(access.stored_passwords(connection), {role: password}):
        access.set_password(connection, role, password)


def _await_marks(ahead: Context, target: Taker, only: Scope | None = None) -> None:
    """Every Patroni that runs says, where the others see it, that it has the new passwords."""
    for scope in (only,) if only else scopes(ahead):
        running = [
            node.name
            for node in scope.members
            if target.state(patroni_server(ahead, scope, node)).running
        ]
        wanted = passwords_mark(ahead, scope)

        def taken(scope: Scope = scope, running: list[str] = running, wanted: str = wanted) -> bool:
            view = patroni.view_of(scope.members)
            rows = [view.named(name) for name in running]
            return all(row is not None and row.mark == wanted for row in rows)

        wait_for(
            f"the new password in {scope.name}'s Patroni",
            taken,
            seconds=MARK_SECONDS,
            every=0.2,
            clock=ahead.clock,
        )


def _of_role(context: Context, role: str) -> Iterator[Door]:
    database = context.topology.postgres.database
    into = next(
        (r.databases[0] for r in roles(context.topology) if r.name == role and r.databases),
        "postgres",
    )
    pooled = {names.MONITOR: "pgbouncer", names.application(context.topology): database}
    for scope in scopes(context):
        for node in scope.members:
            at = partial(_postgres_opens, node, names.POSTGRES_PORT, role, into)
            yield Door(f"{node.name} as {role}", at)
            if role in pooled:
                at = partial(_postgres_opens, node, names.PGBOUNCER_PORT, role, pooled[role])
                yield Door(f"{node.name}'s pgbouncer as {role}", at)


def _postgres_opens(node: Node, port: int, role: str, database: str, password: SecretStr) -> bool:
    """Whether the password is taken; what the role may do there then is another question."""
    try:
        psycopg.connect(
            host=node.address,
            port=port,
            user=role,
            password=password.get_secret_value(),
            dbname=database,
            connect_timeout=round(SECONDS),
            application_name=client.APPLICATION,
            **client.secured(node.trust),
        ).close()
    except psycopg.OperationalError as error:
        if REFUSED in str(error):
            return False
        if "permission denied" in str(error):
            return True
        raise UnreachableError(client.first_line(error)) from error
    return True


def _statistics(context: Context, target: Taker) -> Rotatable:
    proxies = context.inventory.of(Kind.HAPROXY)

    def switch(ahead: Context) -> None:
        passwords = [names.password(each, names.STATS_USER) for each in (context, ahead)]
        for node in proxies:
            if target.state(haproxy(context, node)).running:
                operators.take(context, node, *passwords)

    def settle() -> None:
        for node in proxies:
            server = haproxy(context, node)
            target.write(server)
            if target.state(server).running:
                operators.take(context, node, names.password(context, names.STATS_USER))

    return Rotatable(
        name=names.secret(names.STATS_USER),
        opens="the proxies' statistics",
        how="both passwords for a moment, without a reload",
        switch=switch,
        settle=settle,
        doors=lambda: tuple(
            Door(f"{node.name}'s statistics", partial(_statistics_open, node)) for node in proxies
        ),
    )


def _statistics_open(node: Node, password: SecretStr) -> bool:
    headers = basic(names.STATS_USER, password.get_secret_value())
    answer = request(
        node.address, names.STATS_PORT, "GET", "/;csv",
        headers=headers, seconds=SECONDS, trust=node.trust,
    )  # fmt: skip
    return answer.status != 401


def _rest(context: Context, target: Taker) -> Rotatable:
    members = [(scope, node) for scope in scopes(context) for node in scope.members]

    def switch(ahead: Context) -> None:
        tell(target, (patroni_server(ahead, scope, node) for scope, node in members))
        _await_marks(ahead, target)

    return Rotatable(
        name=names.secret(names.REST_USER),
        opens="Patroni's REST API, to change",
        how="Patroni reads its file anew",
        switch=switch,
        doors=lambda: tuple(
            Door(f"{node.name}'s REST API", partial(_rest_opens, node)) for _, node in members
        ),
    )


def _rest_opens(node: Node, password: SecretStr) -> bool:
    """An empty change is refused, but only to who may make one."""
    headers = {
        **basic(names.REST_USER, password.get_secret_value()),
        "Content-Type": "application/json",
    }
    answer = request(
        node.address, names.PATRONI_PORT, "PATCH", "/config",
        body=[], headers=headers, seconds=SECONDS, trust=node.trust,
    )  # fmt: skip
    return answer.status != 401


def _etcd_root(context: Context, scope: Scope) -> Rotatable:
    def switch(ahead: Context) -> None:
        etcd = Etcd(scope.etcd)
        new = names.etcd_password(ahead, scope.name, names.ETCD_ROOT)
        if not _etcd_opens(scope, names.ETCD_ROOT, SecretStr(new)):
            old = names.etcd_password(context, scope.name, names.ETCD_ROOT)
            etcd.login(names.ETCD_ROOT, old).change_password(names.ETCD_ROOT, new)

    return _etcd(scope, names.ETCD_ROOT, "Patroni asks for a new token", switch)


def _etcd_user(context: Context, target: Taker, scope: Scope) -> Rotatable:
    """Patroni knows the new password before etcd does: its token is good until etcd's changes."""

    def switch(ahead: Context) -> None:
        tell(target, (patroni_server(ahead, scope, node) for node in scope.members))
        new = names.etcd_password(ahead, scope.name, names.ETCD_USER)
        if not _etcd_opens(scope, names.ETCD_USER, SecretStr(new)):
            _await_marks(ahead, target, scope)
            root = names.etcd_password(context, scope.name, names.ETCD_ROOT)
            etcd = Etcd(scope.etcd).login(names.ETCD_ROOT, root)
            etcd.change_password(names.ETCD_USER, new)
        _await_marks(ahead, target, scope)

    return _etcd(scope, names.ETCD_USER, "Patroni reads its file anew, then etcd changes", switch)


def _etcd(scope: Scope, user: str, how: str, switch: Callable[[Context], None]) -> Rotatable:
    return Rotatable(
        name=names.etcd_secret(scope.name, user),
        opens=f"{scope.name}'s etcd, as {user}",
        how=how,
        switch=switch,
        doors=lambda: (Door(f"{scope.name}'s etcd as {user}", partial(_etcd_opens, scope, user)),),
    )


def _etcd_opens(scope: Scope, user: str, password: SecretStr) -> bool:
    try:
        Etcd(scope.etcd).login(user, password.get_secret_value())
    except RefusedError:
        return False
    return True
