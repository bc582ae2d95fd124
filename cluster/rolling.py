"""A rolling restart: followers first, then the lead is handed over, then who led before.

One member at a time, and only while the others can stand it: whether they can is looked at before
anything is touched, and again before each turn.
"""

from collections.abc import Callable, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from cluster.clock import Clock, wait_for
from cluster.drill.contracts import Observer
from cluster.errors import OpsError, RefusedError, UnreachableError
from cluster.leading import Gap, Leading, watching

READY_SECONDS = 120.0  # so long the others may take to be whole again after a turn
HINT = "`skillswap-ops status` shows what is not well; `provision` starts what is down"


@dataclass(frozen=True)
class Restart:
    """Stop this member and start it again, with its files as they should be now."""

    member: str

    def __str__(self) -> str:
        return f"restart {self.member}"


@dataclass(frozen=True)
class HandOver:
    """Have this member give its lead to another one."""

    member: str

    def __str__(self) -> str:
        return f"hand over from {self.member}"


Move = Restart | HandOver


@dataclass(frozen=True)
class Turn:
    """A move that was made, how many seconds it took until all were whole, and what was led."""

    group: str
    move: Move
    seconds: float
    gaps: tuple[Gap, ...] = ()


class Group(Protocol):
    """Members of which one may be away. Where one leads, the lead can be handed over."""

    @property
    def name(self) -> str:
        """As shown."""
        ...

    @property
    def members(self) -> Sequence[str]:
        """Their names."""
        ...

    def leader(self) -> str:
        """Who leads, and can hand over; "" where nobody need. Raises OpsError where nobody does."""
        ...

    def why_not(self, move: Move) -> str:
        """What keeps the others from standing this move now; "" for nothing."""
        ...

    def make(self, move: Move) -> None:
        """Make it; returns when the group is whole again."""
        ...

    def observer(self) -> Observer | None:
        """Who watches its lead; None where none is led for clients."""
        ...


def next_move(members: Sequence[str], leader: str, restarted: Set[str]) -> Move | None:
    """Followers in their order, the leader last and after it has handed over; None: all are done.

    A member that came to lead after its restart keeps the lead.
    """
    left = [member for member in members if member not in restarted]
    followers = [member for member in left if member != leader]
    if followers:
        return Restart(followers[0])
    return HandOver(leader) if left else None


def moves(members: Sequence[str], leader: str) -> tuple[Move, ...]:
    """All that will be done, if nobody else takes the lead meanwhile."""
    followers = (Restart(member) for member in members if member != leader)
    return (*followers, *((HandOver(leader), Restart(leader)) if leader else ()))


def refuse(groups: Sequence[Group]) -> None:
    """Raises RefusedError, before anything is touched, where a group could not stand its turn."""
    reasons = [reason for group in groups for reason in _reasons(group)]
    if reasons:
        raise RefusedError("\n".join(dict.fromkeys(reasons)), HINT)


def _reasons(group: Group) -> list[str]:
    try:
        leader = group.leader()
        wanted = [move for move in moves(group.members, leader) if move != Restart(leader)]
        return [reason for move in wanted if (reason := group.why_not(move))]
    except OpsError as error:
        return [f"{group.name}: {error.message}"]


def roll(group: Group, clock: Clock, say: Callable[[str], None]) -> tuple[Turn, ...]:
    """Restart every member of a group in turn.

    Raises UnreachableError where the others are not whole in time for the next turn: what was not
    restarted by then runs as before.
    """
    restarted: set[str] = set()
    turns = []
    while move := next_move(group.members, group.leader(), restarted):
        _wait_until_allowed(group, move, clock)
        say(f"{group.name}: {move}")
        turns.append(_take(group, move, clock))
        if isinstance(move, Restart):
            restarted.add(move.member)
    return tuple(turns)


def _wait_until_allowed(group: Group, move: Move, clock: Clock) -> None:
    def allowed() -> bool:
        if reason := group.why_not(move):
            raise UnreachableError(reason, HINT)
        return True

    wait_for(f"{move}", allowed, seconds=READY_SECONDS, every=0.2, clock=clock)


def _take(group: Group, move: Move, clock: Clock) -> Turn:
    observer, leading = group.observer(), None
    began = clock.monotonic()
    with ExitStack() as stack:
        if observer:
            leading = stack.enter_context(watching(observer))
        group.make(move)
        seconds = clock.monotonic() - began
    return Turn(group.name, move, seconds, _seen(leading))


def _seen(leading: Leading | None) -> tuple[Gap, ...]:
    return leading.seen() if leading else ()
