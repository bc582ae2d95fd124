"""The DR region takes over: the old one fenced, the standby promoted, the edge moved, loss stated.

Everything is written down before it is done (`postgres.regions`), and each part can be done again:
a promotion that was cut off is finished by the next.
"""

from datetime import UTC, datetime

from cluster.backup.contracts import Say
from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import OpsError, RefusedError, UnreachableError
from cluster.inventory import Kind, Node
from cluster.plan import Step
from postgres import backup, dr_loss, patroni, regions, remake, servers, wal
from postgres.client import superuser, value
from postgres.regions import Loss, Stage
from postgres.scopes import Scope, away_scope, home_scope, primary_scope
from postgres.servers import configuration_step
from postgres.steps import steps

DRAIN_SECONDS = 60.0
PROMOTE_SECONDS = 60.0
ROUTES = "routes to the primary"
ARCHIVED = ("WAL archive stanza", "WAL archive check")


def promote(context: Context, say: Say, *, gone: bool) -> Loss:
    """Promote the DR region; where it leads already, what that had cost.

    `gone`: the operator says that the old region is lost, so that nobody need stop it. The caller
    holds the cluster's lock. Raises RefusedError where that is not so, where a failback is half
    done, or where the DR region is no standby; OpsError where the old region cannot be fenced.
    """
    now = regions.load(context.layout)
    if now.stage is Stage.AWAY and now.loss:
        say("the DR region leads already")
        return now.loss
    if now.stage not in {Stage.HOME, Stage.PROMOTING}:
        regions.refuse_half_done(context.layout)
    home, away = home_scope(context, None), away_scope(context, context.topology.postgres.scope)
    if now.stage is Stage.HOME:
        _check_standby(context, away)
        if gone:
            _check_gone(home)
        now = now.model_copy(
            update={"stage": Stage.PROMOTING, "since": datetime.now(UTC), "gone": gone}
        )
        regions.save(context.layout, now)
    fence(context, home, say, gone=gone or now.gone)
    _drain(context, away)
    say(f"promoting {away.name}")
    remake.allow_promotion(context, away)
    leader = remake.promote(context, away, PROMOTE_SECONDS)
    _move_edge(context, leader, say)
    found = _lost(context, home, leader)
    say(dr_loss.describe(found))
    now = now.model_copy(update={"loss": found})
    regions.save(context.layout, now)
    remake.settle(*_steps(context, *ARCHIVED))
    regions.save(context.layout, now.model_copy(update={"stage": Stage.AWAY}))
    return found


def fence(context: Context, scope: Scope, say: Say, *, gone: bool) -> None:
    """See to it that no member of the scope can take a write. Raises OpsError where one might."""
    if gone:
        _check_gone(scope)
        return
    say(f"fencing {scope.name}: its servers are stopped")
    try:
        remake.stop_members(context, scope, pools=True)
    except UnreachableError as error:
        raise OpsError(
            f"{scope.name} cannot be fenced: {error.message}",
            "where it is lost for good, say so with --old-region-is-gone",
        ) from error


def _check_standby(context: Context, away: Scope) -> None:
    """The DR region is a standby, or nothing of this makes sense."""
    leader = patroni.leader_of(away)
    with superuser(context, leader) as connection:
        recovering = bool(value(connection, "SELECT pg_is_in_recovery()"))
    if not recovering:
        raise RefusedError(
            f"{leader.name} takes writes already, and nobody promoted it here",
            "two primaries may have diverged: look at both before anything is done",
        )


def _check_gone(home: Scope) -> None:
    living = [node.name for node in home.members if remake.answers(node) or remake.listens(node)]
    if living:
        raise RefusedError(
            f"the old region is not gone: {', '.join(living)} still answers",
            "leave --old-region-is-gone out, and it is stopped first",
        )


def _drain(context: Context, away: Scope) -> None:
    """Wait until the standby has replayed all that it has or the archive gives; it may have been
    promoted already, by a try that was cut off.
    """
    leader = patroni.leader_of(away)
    archived = _archived_end(context, leader)

    def replayed() -> bool:
        if patroni.state(leader).primary:
            return True
        found = dr_loss.received(context, leader)
        return found.received == found.replayed and wal.lsn(found.replayed) >= archived

    wait_for(
        f"{leader.name} to replay what it has",
        replayed,
        seconds=DRAIN_SECONDS,
        clock=context.clock,
    )


def _lost(context: Context, home: Scope, leader: Node) -> Loss:
    """What the old region's disks hold beyond the place where the new timeline began."""
    evidence = context.layout.root / f"dr-loss-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.txt"
    return dr_loss.loss(context, home, dr_loss.left(context, leader), evidence)


def _archived_end(context: Context, leader: Node) -> int:
    """Where the last archived segment begins; 0 where the archive is out of reach."""
    try:
        found = backup.archived(context, leader)
    except OpsError:
        return 0
    newest = max((wal.timeline_of(name) for name in found), default=0)
    return max(
        (wal.begins_at(name) for name in found if wal.timeline_of(name) == newest), default=0
    )


def _move_edge(context: Context, leader: Node, say: Say) -> None:
    """Clients and configuration follow the new primary."""
    say(f"moving the edge to {leader.name}")
    scope = primary_scope(context)
    remake.settle(*_steps(context, configuration_step(scope)))
    proxies = [servers.haproxy(context, node) for node in context.inventory.of(Kind.HAPROXY)]
    members = [servers.patroni(context, scope, node) for node in scope.members]
    remake.reload_all(context, [*proxies, *members])
    remake.settle(*_steps(context, ROUTES))


def _steps(context: Context, *wanted: str) -> list[Step]:
    by_name = {step.name: step for step in steps(context)}
    return [by_name[name] for name in wanted]
