"""The named actions of runbooks: small changes that no command makes yet. One table, at the end.

Each takes its values by name, says in a line what it has done, and may be done again.
"""

from collections.abc import Callable, Mapping
from functools import partial

import mongo.servers
import mongo.upkeep
import postgres.reinit
import postgres.servers
import postgres.switchover
from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import InvalidInputError, OpsError, RefusedError
from cluster.lock import exclusive
from cluster.restarting import restart_server
from cluster.server import Server
from cluster.target import CanKill
from manifests import objects, redis
from mongo.client import node_client
from mongo.credentials import internal
from postgres import names, patroni, remake
from postgres.client import superuser
from postgres.scopes import Scope, primary_scope, scopes
from runbooks.runner import Action

Say = Callable[[str], None]
Values = Mapping[str, str]
TERMINATE_SECONDS = 5.0
PAUSE_SECONDS = 15.0

# Sessions of clients that hold a transaction open and do nothing: what exhausts a pool.
END_IDLE = """
SELECT count(*) FROM (
  SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND usename <> 'postgres'
    AND state LIKE 'idle in transaction%%'
    AND clock_timestamp() - state_change > make_interval(secs => %s)) ended"""


def actions(context: Context) -> dict[str, Action]:
    """Every action by name; each holds the cluster's lock while it works."""
    return {name: partial(_locked, context, name, act) for name, act in _ACTIONS.items()}


def _locked(
    context: Context,
    name: str,
    act: Callable[[Context, Values, Say], str],
    values: Values,
    say: Say,
) -> str:
    with exclusive(context.layout.lock, f"runbook action {name}"):
        return act(context, values, say)


def step_down(context: Context, values: Values, _say: Say) -> str:
    """The primary of `shard` hands over to a secondary that is level with it."""
    done = mongo.upkeep.hand_over(context, mongo.upkeep.replica_set_named(context, values["shard"]))
    return f"{done.before} stepped down, {done.after} leads"


def resync(context: Context, values: Values, say: Say) -> str:
    """Empty the data of `member` and start it: it copies everything from its set.

    Raises RefusedError where the others could not do without it: it may be the last copy.
    """
    replica_set, node = mongo.upkeep.set_of(context, values["member"])
    say(f"emptying {node.name}")
    removed = mongo.upkeep.empty(context, replica_set, node)
    return f"{node.name}: {removed}; it copies from {replica_set.name}"


def unlock(context: Context, values: Values, _say: Say) -> str:
    """Take every fsyncLock off `member`."""
    node = context.inventory.named(values["member"])
    with node_client(node, internal(context)) as client:
        left = 1
        while left:
            left = int(client.admin.command("fsyncUnlock")["lockCount"])
    return f"{node.name} takes writes again"


def switch_over(context: Context, values: Values, _say: Say) -> str:
    """The primary of `scope` hands over to its synchronous standby."""
    scope = _scope(context, values["scope"])
    if scope != primary_scope(context):
        raise RefusedError(
            f"{scope.name} follows {scope.follows}: it has no primary to hand over",
            "`skillswap-ops dr` promotes it",
        )
    done = postgres.switchover.hand_over(context)
    return f"{done.before} handed over to {done.after}"


def reinitialise(context: Context, values: Values, say: Say) -> str:
    """The data of `member` is made anew from whom it follows. A primary is refused."""
    member = values["member"]
    say(f"removing the data of {member}")
    return f"{member} is made anew from {postgres.reinit.begin(context, member)}"


def resume(context: Context, values: Values, _say: Say) -> str:
    """Patroni of `scope` fails over by itself again."""
    scope = _scope(context, values["scope"])
    password = names.password(context, names.REST_USER)
    error: OpsError = RefusedError(f"no member of {scope.name}")
    for node in scope.members:
        try:
            patroni.change_config(node, password, {"pause": None})
            break
        except OpsError as refused:
            error = refused
    else:
        raise error

    def resumed() -> bool:
        return not any(one.paused for one in patroni.states(scope.members).values())

    wait_for(f"{scope.name} to be managed", resumed, seconds=PAUSE_SECONDS, clock=context.clock)
    return f"{scope.name} is no longer paused"


def replay(context: Context, values: Values, _say: Say) -> str:
    """The standby `member` applies WAL again."""
    node = context.inventory.named(values["member"])
    with superuser(context, node) as connection:
        connection.execute("SELECT pg_wal_replay_resume()")
    return f"{node.name} replays"


def end_idle(context: Context, values: Values, _say: Say) -> str:
    """End sessions on the primary of `scope` that hold a transaction open and do nothing."""
    leader = patroni.leader_of(_scope(context, values["scope"]))
    with superuser(context, leader) as connection:
        row = connection.execute(END_IDLE, (TERMINATE_SECONDS,)).fetchone()
    return f"{row[0] if row else 0} idle transactions of {leader.name} were ended"


def stop_member(context: Context, values: Values, _say: Say) -> str:
    """Stop the servers of the PostgreSQL node `member`: nothing of it takes writes any more.

    A Patroni that is paused leaves PostgreSQL running when it ends (patroni.ha.Ha.shutdown): that
    is killed. Raises OpsError where something still listens.
    """
    node = context.inventory.named(values["member"])
    own = [one for one in postgres.servers.servers(context) if one.node == node]
    if not own:
        raise InvalidInputError(f"{node.name} is no PostgreSQL node that is to run")
    for server in own:
        context.target.stop(server)
    if remake.listens(node) and isinstance(context.target, CanKill):
        context.target.kill(own)
    if remake.listens(node):
        raise OpsError(f"PostgreSQL of {node.name} still runs", "take its machine off the network")
    return f"{', '.join(one.name for one in own)} stopped"


def restart(context: Context, values: Values, _say: Say) -> str:
    """Stop `server`, killing it where it does not end, and start it."""
    server = _server(context, values["server"])
    restart_server(context, server)
    return f"{server.name} was started anew"


_ACTIONS: Mapping[str, Callable[[Context, Values, Say], str]] = {
    "mongo-stepdown": step_down,
    "mongo-resync": resync,
    "mongo-unlock": unlock,
    "pg-switchover": switch_over,
    "pg-reinit": reinitialise,
    "pg-resume": resume,
    "pg-resume-replay": replay,
    "pg-end-idle": end_idle,
    "pg-stop-member": stop_member,
    "restart-server": restart,
}


def _scope(context: Context, name: str) -> Scope:
    known = scopes(context)
    for one in known:
        if one.name == name:
            return one
    there = ", ".join(one.name for one in known)
    raise InvalidInputError(f"there is no scope {name} that runs", f"there are {there}")


def _server(context: Context, name: str) -> Server:
    every = (
        *mongo.servers.servers(context),
        *postgres.servers.servers(context),
        *redis.servers(context),
        *objects.servers(context),
    )
    for server in every:
        if server.name == name:
            return server
    context.inventory.named(name)
    raise InvalidInputError(f"nothing runs as {name}", "`skillswap-ops status` lists the nodes")
