"""Looks at instances: which run, what they run, whether they are ready, and why not."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import UnreachableError
from cluster.server import Server
from cluster.web import Answer, request
from manifests.services import edge, places
from manifests.services.edge import View
from manifests.services.model import Service

ANSWER_SECONDS = 2.0
LOOKERS = 8


@dataclass(frozen=True)
class Health:
    """What an instance says of itself. `why` is empty where it is ready."""

    alive: bool
    version: str
    ready: bool
    why: str


def parse_health(alive: Answer, ready: Answer) -> Health:
    """From the answers of /healthz and /readyz."""
    version = alive.object().get("version")
    known = version if isinstance(version, str) else ""
    if ready.ok:
        return Health(alive.ok, known, ready=alive.ok, why="")
    return Health(alive.ok, known, ready=False, why=_reason(ready))


def _reason(answer: Answer) -> str:
    """The problem's detail (RFC 9457), else whatever was said."""
    said = answer.object()
    for field in ("detail", "status", "reason"):
        if isinstance(said.get(field), str) and said[field]:
            return str(said[field])
    return f"HTTP {answer.status}"


def health(service: Service, server: Server, seconds: float = ANSWER_SECONDS) -> Health:
    """Ask an instance itself."""
    node = server.node
    try:
        alive, ready = (
            request(node.address, places.PORT, "GET", probe.path, seconds=seconds, trust=node.trust)
            for probe in (service.probes.alive, service.probes.ready)
        )
    except UnreachableError as error:
        return Health(alive=False, version="", ready=False, why=error.message)
    return parse_health(alive, ready)


def in_rotation(name: str, views: Sequence[View]) -> bool:
    """Whether every proxy that answers sends requests to the instance, and one does answer."""
    return bool(views) and all(name in view.up for view in views)


def wait_until_ready(
    context: Context, service: Service, server: Server, version: str, seconds: float
) -> None:
    """Until it is ready with that version, and gets requests. Raises UnreachableError: why not.

    A process that ended is not waited for.
    """

    def ready() -> bool:
        state = context.target.state(server)
        if not state.running:
            return True  # decided below
        seen = health(service, server)
        if not seen.ready:
            raise UnreachableError(seen.why or "no answer")
        if seen.version != version:
            raise UnreachableError(f"says that it is {seen.version or 'nothing'}, not {version}")
        if not in_rotation(server.name, edge.views(context)):
            raise UnreachableError("no proxy sends it requests yet")
        return True

    wait_for(f"{server.name} ready", ready, seconds=seconds, every=0.25, clock=context.clock)
    state = context.target.state(server)
    if not state.running:
        raise UnreachableError(f"{server.name} ended while it started ({state.detail})")


def healths(servers: Sequence[tuple[Service, Server]]) -> list[Health]:
    """All of them at once."""
    if not servers:
        return []
    with ThreadPoolExecutor(min(LOOKERS, len(servers)), thread_name_prefix="look") as pool:
        return list(pool.map(lambda each: health(*each), servers))
