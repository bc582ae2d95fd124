"""The step that makes the database, its roles, their passwords and their rights."""

from cluster.context import Context
from cluster.plan import Finding, Step, done, todo
from postgres import access, names, patroni, rules
from postgres.client import Connection, superuser
from postgres.scopes import Scope
from postgres.steps.common import RIGHTS, leader_step


def rights(context: Context, scope: Scope) -> Step:
    """Every rule of `postgres.rules` holds, and every role has its password."""
    topology = context.topology
    database = topology.postgres.database
    passwords = {
        role.name: names.password(context, role.name)
        for role in rules.roles(topology)
        if role.login
    }

    def check() -> Finding:
        node = patroni.leader_of(scope)
        with superuser(context, node) as connection:
            wrong = [rule.what for rule in access.broken(connection, _rules(context, connection))]
            stored = access.stored_passwords(connection)
            exists = database in _databases(connection)
        roles = access.wrong_passwords(stored, passwords)
        wrong += [f"role {role} has its password" for role in roles]
        if exists:
            with superuser(context, node, database) as connection:
                inner = access.broken(connection, rules.database_rules(topology))
            wrong += [rule.what for rule in inner]
        if not wrong:
            return done("every rule holds")
        return todo(f"not so: {wrong[0]}" + (f", and {len(wrong) - 1} more" if wrong[1:] else ""))

    def act() -> None:
        node = patroni.leader_of(scope)
        with superuser(context, node) as connection:
            access.make(connection, _rules(context, connection))
            stored = access.stored_passwords(connection)
            for role in access.wrong_passwords(stored, passwords):
                access.set_password(connection, role, passwords[role])
        with superuser(context, node, database) as connection:
            access.make(connection, rules.database_rules(topology))

    return Step(
        RIGHTS,
        scope.component,
        "make the database, its roles and their rights",
        check,
        act,
        (leader_step(scope),),
    )


def _rules(context: Context, connection: Connection) -> tuple[access.Rule, ...]:
    return rules.cluster_rules(context.topology, _databases(connection))


def _databases(connection: Connection) -> list[str]:
    rows = connection.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall()
    return [row[0] for row in rows]
