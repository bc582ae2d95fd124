"""What the tool does inside the cluster: the same steps as on the local target, after its pods."""

from collections.abc import Callable, Iterable

from cluster.context import Context
from cluster.errors import UnreachableError
from cluster.plan import Event, Finding, Finished, Step, done, execute, preview, todo
from cluster.server import Server
from skillswap_ops.engines import data_servers, engine_steps
from skillswap_ops.kubernetes.rolling import roll_steps
from skillswap_ops.schema import schema_steps


def all_steps(context: Context) -> tuple[Step, ...]:
    """Pods run, engines are set up, members of PostgreSQL are as written, the schema stands."""
    engines = engine_steps(context)
    names = tuple(step.name for step in engines)
    return (
        *pod_steps(context, data_servers(context)),
        *engines,
        *roll_steps(context, names),
        *_after(schema_steps(context, prune=False), names),
    )


def run(context: Context, on_event: Callable[[Event], None]) -> list[Finished]:
    """Make a cluster of the pods. A step that fails is in the result."""
    return execute(all_steps(context), on_event)


def look(context: Context) -> list[Finished]:
    """What `run` would do."""
    return preview(all_steps(context))


def pod_steps(context: Context, servers: Iterable[Server]) -> tuple[Step, ...]:
    """Kubernetes starts pods, all at once; these steps wait, under the names that engines need."""
    return tuple(_pod_step(context, server) for server in servers)


def _pod_step(context: Context, server: Server) -> Step:
    def check() -> Finding:
        try:
            state = context.target.state(server)
        except UnreachableError as error:
            return todo(error.message)
        return done(state.detail) if state.running else todo(state.detail)

    return Step(
        server.start_step,
        server.component,
        f"wait for {server.name}",
        check,
        lambda: context.target.start(server),
    )


def _after(steps: Iterable[Step], names: tuple[str, ...]) -> tuple[Step, ...]:
    """The steps, those that need nothing after these."""
    return tuple(Step(s.name, s.component, s.what, s.check, s.act, s.needs or names) for s in steps)
