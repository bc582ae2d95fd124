"""What the steps share: who leads, waiting with a look for what is stuck, names of steps."""

from collections.abc import Callable

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import UnreachableError
from cluster.inventory import Kind
from cluster.plan import Finding, done, todo
from postgres.scopes import Scope

POLL_SECONDS = 0.2  # each poll is an HTTP request to a busy Python program
RESCUE_SECONDS = 5  # how long a member must look stuck before it is helped

RIGHTS = "database, roles and rights"


def leader_step(scope: Scope) -> str:
    """The name of the step that ends when a scope has a leader."""
    return f"leader of {scope.name}"


def users_step(scope: Scope) -> str:
    """The name of the step that turns a scope's etcd authentication on."""
    return f"users of {scope.name}'s etcd"


def proxy_starts(context: Context) -> tuple[str, ...]:
    """The names of the steps that start the HAProxies."""
    return tuple(f"start {node.name}" for node in context.inventory.of(Kind.HAPROXY))


def until(
    context: Context,
    what: str,
    probe: Callable[[], object],
    seconds: float,
    revive: Callable[[], object] | None = None,
) -> None:
    """Wait for `probe`; while that takes long, call `revive` every few seconds.

    Raises UnreachableError when `seconds` have passed.
    """
    next_look = context.clock.monotonic() + RESCUE_SECONDS

    def attempt() -> object:
        nonlocal next_look
        if revive and context.clock.monotonic() >= next_look:
            next_look = context.clock.monotonic() + RESCUE_SECONDS
            revive()
        return probe()

    wait_for(what, attempt, seconds=seconds, every=POLL_SECONDS, clock=context.clock)


def or_todo(check: Callable[[], Finding]) -> Callable[[], Finding]:
    """A check that takes a server that does not answer for work to be done."""

    def guarded() -> Finding:
        try:
            return check()
        except UnreachableError as error:
            return todo(error.message)

    return guarded


def seen(probe: Callable[[], str | None], missing: str) -> Callable[[], Finding]:
    """A check that is done where `probe` says what it saw, and `missing` where it saw nothing."""

    def check() -> Finding:
        what = probe()
        return done(what) if what else todo(missing)

    return or_todo(check)
