"""The steps of one Patroni scope: its etcd's users, its leader, its configuration, its standbys."""

import json
from functools import partial
from itertools import count

from cluster.context import Context
from cluster.inventory import Node
from cluster.plan import Finding, Step, done, todo
from postgres import dynamic, names, patroni, rescue
from postgres.etcd import Etcd
from postgres.scopes import Scope
from postgres.servers import configuration_step, dynamic_configuration
from postgres.steps.common import (
    leader_step,
    or_todo,
    seen,
    until,
    users_step,
)

ETCD_SECONDS = 60
LEADER_SECONDS = 90
STANDBY_SECONDS = 120


def etcd_users(context: Context, scope: Scope) -> Step:
    """A scope's etcd knows its users, and refuses everybody else."""
    user, root = (
        names.etcd_password(context, scope.name, account)
        for account in (names.ETCD_USER, names.ETCD_ROOT)
    )
    etcd = Etcd(scope.etcd)

    def check() -> Finding:
        if etcd.allows_anonymous():
            return todo("anybody may read and write")
        etcd.login(names.ETCD_ROOT, root)
        etcd.login(names.ETCD_USER, user)
        return done("its users log in, nobody else does")

    def act() -> None:
        def answers() -> bool:
            etcd.allows_anonymous()
            return True

        def revive() -> bool:
            return rescue.revive_etcd(context, scope)

        until(context, f"{scope.name}'s etcd", answers, ETCD_SECONDS, revive)
        # An earlier try may have got as far as turning it on.
        client = etcd if etcd.allows_anonymous() else etcd.login(names.ETCD_ROOT, root)
        client.turn_on_authentication(root, user, rescue.prefix(scope))

    return Step(
        users_step(scope),
        names.ETCD,
        f"give {scope.name}'s etcd its users",
        or_todo(check),
        act,
        tuple(f"start {node.name}" for node in scope.etcd),
    )


def configuration(context: Context, scope: Scope) -> Step:
    """Patroni's dynamic configuration is what the topology says, before any Patroni starts.

    A DR member that was cloned and then crashed would otherwise take the primary's configuration,
    which came with the data, for its own, and take writes.
    """
    wanted = dynamic_configuration(context, scope)
    if not scope.etcd:
        return _through_patroni(context, scope, wanted)
    password = names.etcd_password(context, scope.name, names.ETCD_USER)
    key = rescue.prefix(scope) + "config"

    def check() -> Finding:
        text = Etcd(scope.etcd).login(names.ETCD_USER, password).get(key)
        if text is None:
            return todo("not there yet")
        live = dynamic.parse(text)
        writable = any(state.primary for state in patroni.states(scope.members).values())
        dynamic.refuse_exchanged_parts(scope, live, writable=writable)
        changes = dynamic.difference(live, wanted)
        if changes:
            return todo(f"differs in {dynamic.describe(changes)}")
        return done("as the topology says")

    def act() -> None:
        Etcd(scope.etcd).login(names.ETCD_USER, password).put(key, json.dumps(wanted))

    return Step(
        configuration_step(scope),
        scope.component,
        f"set {scope.name}'s dynamic configuration",
        check,
        act,
        (users_step(scope),),
    )


def _through_patroni(context: Context, scope: Scope, wanted: dynamic.JsonObject) -> Step:
    """The same where Kubernetes keeps it: its founder brought it, Patroni itself changes it."""

    def differences(node: Node) -> dynamic.JsonObject:
        live = patroni.config(node)
        writable = any(state.primary for state in patroni.states(scope.members).values())
        dynamic.refuse_exchanged_parts(scope, live, writable=writable)
        return dynamic.difference(live, wanted)

    def check() -> Finding:
        changes = differences(patroni.leader_of(scope))
        if changes:
            return todo(f"differs in {dynamic.describe(changes)}")
        return done("as the topology says")

    def act() -> None:
        node = patroni.leader_of(scope)
        patroni.change_config(node, names.password(context, names.REST_USER), differences(node))

    return Step(
        configuration_step(scope),
        scope.component,
        f"set {scope.name}'s dynamic configuration",
        or_todo(check),
        act,
        (leader_step(scope),),
    )


def leader(context: Context, scope: Scope) -> Step:
    """A member of the scope leads, its promotion is over, and the configuration is written."""

    def leading() -> str | None:
        node = patroni.find_leader(scope)
        if node is None:
            return None
        state = patroni.state(node)
        ready = state.running if scope.follows else state.primary
        return f"{node.name} leads" if ready and patroni.config(node) else None

    def act() -> None:
        looks = count(1)

        def revive() -> bool:
            return rescue.revive_founder(context, scope, next(looks))

        until(context, leader_step(scope), leading, LEADER_SECONDS, revive)

    return Step(
        leader_step(scope),
        scope.component,
        f"wait until a member of {scope.name} leads",
        seen(leading, "nobody leads"),
        act,
        (f"start {scope.founder.name}",),
    )


def standbys(context: Context, scope: Scope) -> tuple[Step, ...]:
    """Every member but the leader streams, and one of those that may be is synchronous."""
    return tuple(_standby(context, scope, node) for node in scope.members if node != scope.founder)


def _standby(context: Context, scope: Scope, node: Node) -> Step:
    synchronous = context.topology.postgres.synchronous_mode and node in scope.synchronous
    kind = "synchronous standby" if synchronous else "standby"

    def attached(*, wake: bool = False) -> str | None:
        leader_node = patroni.leader_of(scope)
        # After a failover the founder is the standby: then it is the one to look at.
        standby = scope.founder if leader_node == node else node
        leads = patroni.state(leader_node)
        row = leads.standby(standby.name)
        if row is None or row.state != "streaming":
            return None
        if synchronous and not confirmed(scope, leads, patroni.cluster(leader_node)):
            if wake:
                # The leader looks for standbys once every loop_wait: make it look now.
                patroni.wake(leader_node, names.password(context, names.REST_USER))
            return None
        now = "synchronous standby" if row.sync_state == "sync" else "standby"
        return f"{standby.name} is a {now} of {leader_node.name}"

    def act() -> None:
        def revive() -> bool:
            return rescue.revive_member(context, node)

        probe = partial(attached, wake=True)
        until(context, f"{node.name} as a {kind}", probe, STANDBY_SECONDS, revive)

    return Step(
        f"{kind} {node.name}",
        scope.component,
        f"wait until {node.name} is a {kind}",
        seen(attached, f"no {kind} is attached"),
        act,
        (leader_step(scope), f"start {node.name}"),
    )


def confirmed(scope: Scope, leads: patroni.MemberState, view: patroni.ClusterView) -> str:
    """For whom commits wait, if Patroni has written down that it may be promoted; "" for nobody.

    One at a time (`synchronous_node_count`), of all that may be: Patroni chooses. Pure.
    """
    waited = {row.name for row in leads.replication if row.sync_state == "sync"}
    for node in scope.members:
        member = view.named(node.name)
        if node.name in waited and member is not None and member.role == "sync_standby":
            return node.name
    return ""
