"""The step that proves the way of a client: through every proxy to the primary."""

from functools import partial

from cluster.context import Context
from cluster.plan import Finding, Step, done
from postgres import edge, names
from postgres.scopes import Scope
from postgres.steps.common import RIGHTS, or_todo, proxy_starts, until

SECONDS = 30
WRITING_PORTS = (names.POOLED_PORT, names.DIRECT_PORT)


def routes(context: Context, scope: Scope) -> Step:
    """The application's user reaches the primary through every proxy, pooled and direct."""
    user, database = names.application(context.topology), context.topology.postgres.database

    def check() -> Finding:
        for port in WRITING_PORTS:
            edge.reach_primary(context, port, user, database)
        return done("every proxy leads to the primary")

    def act() -> None:
        for port in WRITING_PORTS:
            write = partial(edge.write, context, port, user, database)
            until(context, f"port {port} of every proxy", write, SECONDS)

    return Step(
        "routes to the primary",
        names.EDGE,
        "write through every proxy, pooled and direct",
        or_todo(check),
        act,
        (
            RIGHTS,
            *proxy_starts(context),
            *(f"start {node.name}-pgbouncer" for node in scope.members),
        ),
    )
