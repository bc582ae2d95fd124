"""The named actions of runbooks: small changes that no command makes yet. One table, at the end.

Each takes its values by name, says in a line what it has done, and may be done again.
"""

from collections.abc import Callable, Mapping
from functools import partial

import mongo.servers
import postgres.servers
from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import InvalidInputError, OpsError, RefusedError
from cluster.inventory import Node
from cluster.lock import exclusive
from cluster.server import Server
from cluster.target import CanWipe
from manifests import objects, redis
from mongo import members, nodes
from mongo.client import node_client
from mongo.credentials import internal
from mongo.faults.stepdown import StepDown
from mongo.nodes import SetNodes
from mongo.set_model import SERVING, State
from postgres import names, patroni, remake
from postgres.client import superuser
from postgres.scopes import Scope, scopes
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
    primary = _primary(context, _set(context, values["shard"]))
    return StepDown(context, primary).inject().proof


def resync(context: Context, values: Values, say: Say) -> str:
    """Empty the data of `member` and start it: it copies everything from its set.

    Raises RefusedError where the others are no majority with a primary: it may be the last copy.
    """
    node = context.inventory.named(values["member"])
    replica_set = next((one for one in nodes.replica_sets(context) if node in one.nodes), None)
    if replica_set is None or node not in replica_set.data_bearing:
        raise InvalidInputError(f"{node.name} is no data-bearing member of a replica set")
    others = [one for one in members.observe(context, replica_set) if one.host != nodes.host(node)]
    serving = [one for one in others if one.state in SERVING]
    if len(serving) < len(replica_set.nodes) // 2 + 1 or not any(
        one.state is State.PRIMARY for one in others
    ):
        raise RefusedError(
            f"{replica_set.name} has {len(serving)} other members that serve: {node.name} stays",
            "bring a majority with a primary back first",
        )
    server = _server(context, node.name)
    if not isinstance(context.target, CanWipe):
        raise RefusedError(f"the {context.target.name} target cannot empty a data folder")
    say(f"emptying {node.name}")
    if any(context.layout.data(node).iterdir()):
        context.target.wipe(server)
    context.target.start(server)
    return f"{node.name} was emptied, and runs: it copies from {replica_set.name}"


def unlock(context: Context, values: Values, _say: Say) -> str:
    """Take every fsyncLock off `member`."""
    node = context.inventory.named(values["member"])
    with node_client(node, internal(context)) as client:
        left = 1
        while left:
            left = int(client.admin.command("fsyncUnlock")["lockCount"])
    return f"{node.name} takes writes again"


def switch_over(context: Context, values: Values, _say: Say) -> str:
    """The primary of `scope` hands over to the standby that Patroni chooses."""
    scope = _scope(context, values["scope"])
    password = names.password(context, names.REST_USER)
    return patroni.switchover(patroni.leader_of(scope), password).strip()


def reinitialise(context: Context, values: Values, say: Say) -> str:
    """The data of `member` is made anew from whom it follows. Raises RefusedError for the primary.

    The leader of a scope that follows another region is no standby to its own Patroni: its scope is
    forgotten, and founded anew.
    """
    node = context.inventory.named(values["member"])
    scope = next((one for one in scopes(context) if node in one.members), None)
    if scope is None:
        raise InvalidInputError(f"{node.name} is no member of a scope that runs")
    if scope.follows is not None:
        return _found_again(context, scope, say)
    leader = patroni.leader_of(scope)
    if leader == node:
        raise RefusedError(f"{node.name} leads {scope.name}", "name a standby")
    patroni.reinitialise(node, names.password(context, names.REST_USER))
    return f"{node.name} is made anew from {leader.name}"


def _found_again(context: Context, scope: Scope, say: Say) -> str:
    remake.stop_members(context, scope, pools=True)
    say(f"{scope.name} is stopped; its data is removed")
    remake.start_etcd(context, scope)
    remake.forget_leader(context, scope, anew=True)
    for node in scope.members:
        remake.empty(context, node)
    own = [one for one in postgres.servers.servers(context) if one.node in scope.members]
    for server in own:
        context.target.start(server)
    return f"{scope.name} is made anew from {scope.follows}"


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
    """Stop the servers of the PostgreSQL node `member`: nothing of it takes writes any more."""
    node = context.inventory.named(values["member"])
    own = [one for one in postgres.servers.servers(context) if one.node == node]
    if not own:
        raise InvalidInputError(f"{node.name} is no PostgreSQL node that is to run")
    for server in own:
        context.target.stop(server)
    return f"{', '.join(one.name for one in own)} stopped"


def restart(context: Context, values: Values, _say: Say) -> str:
    """Stop `server`, killing it where it does not end, and start it."""
    server = _server(context, values["server"])
    context.target.stop(server)
    context.target.start(server)
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


def _set(context: Context, name: str) -> SetNodes:
    known = nodes.replica_sets(context)
    for one in known:
        if one.name == name:
            return one
    names_known = ", ".join(one.name for one in known)
    raise InvalidInputError(f"there is no replica set {name}", f"there are {names_known}")


def _primary(context: Context, replica_set: SetNodes) -> Node:
    by_host = nodes.names(context)
    for answer in members.observe(context, replica_set):
        if answer.state is State.PRIMARY:
            return context.inventory.named(by_host[answer.host])
    raise OpsError(f"{replica_set.name} has no primary", "run `skillswap-ops doctor`")


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
