"""Back to the region of the topology, with one writable cluster at every moment.

First the old region is made anew as a standby cluster of the new primary. Then the primary is
stopped cleanly, which sends its last record to its standbys; only where that record has arrived
does the other side take over. Last, the DR region is made anew as the standby that it was.
"""

from datetime import UTC, datetime

from cluster.backup.contracts import Say
from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import OpsError, RefusedError, UnreachableError
from cluster.inventory import Kind, Node
from postgres import dr_loss, instance, patroni, regions, remake, servers, wal
from postgres.regions import Regions, Stage
from postgres.scopes import Scope, away_scope, data_folder, dr_scope, home_scope, primary_scope
from postgres.servers import configuration_step, source_step
from postgres.steps import steps
from postgres.steps.common import leader_step, until
from postgres.steps.scope import standbys

FOLLOW_SECONDS = 300.0
ARRIVE_SECONDS = 60.0
PROMOTE_SECONDS = 60.0


def failback(context: Context, say: Say) -> None:
    """Give the lead back to the topology's region. Idempotent; goes on where it was cut off.

    The caller holds the cluster's lock. Raises RefusedError while a promotion is half done.
    """
    stage = regions.load(context.layout).stage
    if stage is Stage.HOME:
        say("the topology's own region leads: there is nothing to fail back")
        return
    if stage is Stage.PROMOTING:
        regions.refuse_half_done(context.layout)
    if stage is Stage.AWAY:
        _enter(context, Stage.RETURNING)
    if regions.load(context.layout).stage is Stage.RETURNING:
        _follow(context, say)
        _enter(context, Stage.HANDOVER)
    if regions.load(context.layout).stage is Stage.HANDOVER:
        _hand_over(context, say)
        _enter(context, Stage.SETTLING)
    _settle(context, say)
    _enter(context, Stage.HOME)
    say("the topology's region leads, and the DR region follows it")


def _follow(context: Context, say: Say) -> None:
    """The old region as a standby cluster of the DR region."""
    primary, following = primary_scope(context), dr_scope(context)
    if following is None:
        raise RefusedError("nothing is to follow", "look at `dr status`")
    say(f"making {following.name} anew as a standby of {primary.name}")
    remake.start_etcd(context, following)
    _do(context, configuration_step(primary), source_step(following))
    _remade(context, following)
    _do(context, configuration_step(following))
    _start(context, following)
    _do(context, leader_step(following), f"stream to {following.name}")
    _wait_standbys(context, following)


def _hand_over(context: Context, say: Say) -> None:
    """Stop the DR region's primary, see its last record arrive, promote the old region."""
    home, away = home_scope(context, None), away_scope(context, None)
    if not patroni.states(away.members) and _takes_writes(home):
        return  # cut off just behind the promotion
    say(f"stopping {away.name}: nobody takes writes until {home.name} does")
    remake.stop_members(context, away, pools=True)
    try:
        _arrived(context, home, away)
    except UnreachableError as error:
        _enter(context, Stage.RETURNING)
        _start(context, primary_scope(context))
        raise OpsError(
            f"{home.name} has not received the last of {away.name}: {error.message}",
            f"{away.name} leads again; run `dr failback` again",
        ) from error
    remake.allow_promotion(context, home)
    node = remake.promote(context, home, PROMOTE_SECONDS)
    say(f"{node.name} leads {home.name}")


def _arrived(context: Context, home: Scope, away: Scope) -> None:
    """Until the standby has replayed the record of the primary's clean shutdown."""
    leader = patroni.leader_of(home)
    ends = [_shutdown(context, node) for node in away.members]
    last = max(ends)

    def there() -> bool:
        # The record begins there; once it is replayed, the standby is past it.
        return wal.lsn(dr_loss.received(context, leader).replayed) > last

    wait_for(
        f"{leader.name} at {wal.lsn_text(last)}",
        there,
        seconds=ARRIVE_SECONDS,
        every=0.2,
        clock=context.clock,
    )


def _shutdown(context: Context, node: Node) -> int:
    """Where a cleanly stopped primary's last record begins; 0 for a standby."""
    control = instance.control(context, node, data_folder(context.layout, node))
    state = control.get(instance.STATE)
    if state == instance.STOPPED_AT_TARGET:  # a standby of it
        return 0
    if state != instance.CLEAN:
        raise UnreachableError(f"{node.name} was not stopped cleanly ({state or 'unreadable'})")
    return wal.lsn(control["Latest checkpoint location"])


def _settle(context: Context, say: Say) -> None:
    """The edge at home again, its synchronous standby, and the DR region as its follower."""
    home, away = primary_scope(context), dr_scope(context)
    _do(context, configuration_step(home))
    proxies = [servers.haproxy(context, node) for node in context.inventory.of(Kind.HAPROXY)]
    members = [servers.patroni(context, home, node) for node in home.members]
    remake.reload_all(context, [*proxies, *members])
    pools = [servers.pgbouncer(context, home, node) for node in home.members]
    for server in pools:
        remake.start(context, server)
    say("waiting until clients and the synchronous standby are served")
    _do(context, "routes to the primary", *(step.name for step in standbys(context, home)))
    _do(context, "WAL archive stanza", "WAL archive check")
    remake.forbid_promotion(context, home)
    if away is None:
        return
    say(f"making {away.name} anew as a standby of {home.name}")
    remake.start_etcd(context, away)
    _remade(context, away)
    remake.forbid_promotion(context, away)
    _do(context, configuration_step(away), source_step(away))
    _start(context, away)
    _do(context, leader_step(away), f"stream to {away.name}")


def _remade(context: Context, scope: Scope) -> None:
    """Empty the scope's members, once in this stage: what they hold is another history."""
    now = regions.load(context.layout)
    if scope.name in now.remade:
        return
    remake.stop_members(context, scope, pools=True)
    remake.forget_leader(context, scope, anew=True)
    for node in scope.members:
        remake.empty(context, node)
    update = {"remade": (*now.remade, scope.name)}
    regions.save(context.layout, now.model_copy(update=update))


def _start(context: Context, scope: Scope) -> None:
    for node in scope.members:
        for server in (
            servers.patroni(context, scope, node),
            servers.pgbouncer(context, scope, node),
        ):
            if not context.target.state(server).running:
                context.target.start(server)


def _wait_standbys(context: Context, scope: Scope) -> None:
    """Every other member of a standby scope streams from the one that leads it."""

    def streaming() -> bool:
        leader = patroni.leader_of(scope)
        rows = patroni.state(leader).replication
        names = {row.name for row in rows if row.state == "streaming"}
        return all(node.name in names for node in scope.members if node != leader)

    until(context, f"the standbys of {scope.name}", streaming, FOLLOW_SECONDS)


def _takes_writes(scope: Scope) -> bool:
    return any(state.primary for state in patroni.states(scope.members).values())


def _do(context: Context, *wanted: str) -> None:
    by_name = {step.name: step for step in steps(context)}
    remake.settle(*(by_name[name] for name in wanted))


def _enter(context: Context, stage: Stage) -> None:
    """Another stage, whose members are all still to be made anew."""
    now = regions.load(context.layout)
    regions.save(
        context.layout,
        Regions(stage=stage, since=datetime.now(UTC), loss=now.loss, gone=now.gone),
    )
