"""The primary region lost, its link to the DR region first; and the promotion that answers it.

Both are undone by the failback: starting the killed servers as they were would give the cluster
two primaries.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Healer, Seen, UndoRecord
from cluster.errors import MissingPrerequisiteError
from cluster.faults.kill import start_stopped
from cluster.inventory import Kind
from cluster.server import Server
from cluster.target import CanIsolate, CanKill, Hit
from postgres import dr_failback, dr_loss, dr_promote, regions, servers
from postgres.faults import who
from postgres.regions import Stage
from postgres.scopes import Scope, away_scope, home_scope, scopes

REGION_BACK = "region back"
PARTITION = "dr_link"


@dataclass(frozen=True)
class LoseRegion:
    """Cut the DR region's stream for `lag` seconds, then SIGKILL all members and etcd of home."""

    context: Context
    home: Scope
    lag: float

    @property
    def name(self) -> str:
        """As shown."""
        return f"loss of {self.home.name}'s region"

    @property
    def undo(self) -> UndoRecord:
        """Fail back, or start what was killed where nobody was promoted."""
        return UndoRecord(REGION_BACK, (self.home.name,))

    def inject(self) -> Hit:
        """Cut, wait, kill. The cut is skipped where the user may not cut."""
        target = self.context.target
        if not isinstance(target, CanKill):
            raise MissingPrerequisiteError(f"the {target.name} target cannot kill servers")
        cut = ""
        if self.lag and (network := _network(self.context)):
            network.isolate(PARTITION, _members(self.context, away=True), _sources(self.context))
            self.context.clock.sleep(self.lag)
            cut = f"the DR region had received nothing for {self.lag:.1f} s; "
        hit = target.kill(_members(self.context, away=False))
        return Hit(hit.at, cut + hit.proof)


@dataclass(frozen=True)
class PromoteDr:
    """`dr promote --old-region-is-gone`, once the network between the regions is whole again."""

    context: Context
    home: Scope

    @property
    def name(self) -> str:
        """As shown."""
        return "dr promote"

    @property
    def undo(self) -> UndoRecord:
        """Fail back."""
        return UndoRecord(REGION_BACK, (self.home.name,))

    def inject(self) -> Hit:
        """Promote; the proof is the loss that was stated."""
        _rejoin(self.context)
        loss = dr_promote.promote(self.context, _silent, gone=True)
        return Hit(self.context.clock.monotonic(), dr_loss.describe(loss))


def lose_region(context: Context, scope: Scope, lag: float, seen: Seen, _random: Random) -> Fault:
    """Raises InconclusiveError where nobody leads."""
    who.leader(scope, seen)
    return LoseRegion(context, scope, lag)


def promote_dr(context: Context, scope: Scope, _seen: Seen, _random: Random) -> Fault:
    """The operator's answer."""
    return PromoteDr(context, scope)


def region_back(context: Context) -> Healer:
    """The healer: whatever stage a promotion or a failback has reached, home leads in the end."""

    def heal(_record: UndoRecord) -> None:
        _rejoin(context)
        stage = regions.load(context.layout).stage
        if stage is Stage.HOME:
            _start_home(context)
            return
        if stage is Stage.PROMOTING:
            dr_promote.promote(context, _silent, gone=True)
        dr_failback.failback(context, _silent)

    return heal


def _start_home(context: Context) -> None:
    start_stopped(context.target, _members(context, away=False), context.clock)


def _members(context: Context, *, away: bool) -> tuple[Server, ...]:
    """Everything of a region's scope: Patroni, pools; of the lost one etcd too."""
    scope = away_scope(context, None) if away else home_scope(context, None)
    scope = next((each for each in scopes(context) if each.name == scope.name), scope)
    nodes = scope.members
    etcd = [] if away else [servers.etcd(context, scope, node) for node in scope.etcd]
    make: tuple[Callable[..., Server], ...] = (servers.patroni, servers.pgbouncer)
    return (*(build(context, scope, node) for node in nodes for build in make), *etcd)


def _sources(context: Context) -> tuple[Server, ...]:
    """What the DR region streams from: the proxies, and behind them the members."""
    proxies = [servers.haproxy(context, node) for node in context.inventory.of(Kind.HAPROXY)]
    return (*_members(context, away=False), *proxies)


def _rejoin(context: Context) -> None:
    if network := _network(context):
        network.rejoin(PARTITION)


def _network(context: Context) -> CanIsolate | None:
    """The target, where this user may cut its network; whoever may not, has not."""
    target = context.target
    return target if isinstance(target, CanIsolate) and not target.lacks(CanIsolate) else None


def _silent(_text: str) -> None:
    """The run's events say it."""
