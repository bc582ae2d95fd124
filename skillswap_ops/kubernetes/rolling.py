"""Members of PostgreSQL take a change of their pods one after the other: standbys, then the leader.

Kubernetes would replace them on its own and both at once, each being a stateful set of its own: so
their sets wait for somebody to delete the pod (`OnDelete`), and this is who.
"""

from collections.abc import Sequence

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import UnreachableError
from cluster.inventory import Node
from cluster.kubernetes.target import KubernetesTarget
from cluster.plan import Finding, Step, done, todo
from manifests.kubernetes.inventory import stateful_set_name
from postgres import names, patroni
from postgres.scopes import Scope, scopes
from postgres.servers import patroni as patroni_server

BACK_SECONDS = 600  # a standby that was away streams what it missed


def roll_steps(context: Context, needs: Sequence[str]) -> tuple[Step, ...]:
    """One a scope. None outside of Kubernetes."""
    target = context.target
    if not isinstance(target, KubernetesTarget):
        return ()
    return tuple(_step(context, target, scope, needs) for scope in scopes(context))


def _step(context: Context, target: KubernetesTarget, scope: Scope, needs: Sequence[str]) -> Step:
    def check() -> Finding:
        old = stale(target, scope)
        if not old:
            return done("every member runs what is written")
        return todo(f"{', '.join(node.name for node in old)} run what was written before")

    def act() -> None:
        roll(context, target, scope)

    return Step(
        f"members of {scope.name} as written",
        scope.component,
        f"replace members of {scope.name} one by one",
        check,
        act,
        tuple(needs),
    )


def stale(target: KubernetesTarget, scope: Scope) -> tuple[Node, ...]:
    """The members whose pods are not of their set's newest revision."""
    return tuple(node for node in scope.members if not target.is_newest(node, _set_of(node)))


def _set_of(node: Node) -> str:
    return stateful_set_name(node)


def order(old: Sequence[Node], leader: str | None) -> tuple[Node, ...]:
    """Standbys first; the leader last, when there is another that can take over."""
    return tuple(sorted(old, key=lambda node: node.name == leader))


def roll(context: Context, target: KubernetesTarget, scope: Scope) -> None:
    """Replace each stale member and wait until it is back. Raises UnreachableError: it is not."""
    leader = patroni.find_leader(scope)
    for node in order(stale(target, scope), leader.name if leader else None):
        leader = patroni.find_leader(scope)
        if leader == node and len(scope.members) > 1:
            patroni.switchover(node, names.password(context, names.REST_USER))
        target.stop(patroni_server(context, scope, node))
        _wait_back(context, target, scope, node)


def _wait_back(context: Context, target: KubernetesTarget, scope: Scope, node: Node) -> None:
    def back() -> bool:
        if not target.is_newest(node, _set_of(node)):
            raise UnreachableError(f"{node.name}'s new pod is not there")
        leader = patroni.leader_of(scope)
        if leader == node:
            return True
        row = patroni.state(leader).standby(node.name)
        if row is None or row.state != "streaming":
            raise UnreachableError(f"{node.name} does not stream from {leader.name}")
        return True

    wait_for(f"{node.name}'s return", back, seconds=BACK_SECONDS, clock=context.clock)
