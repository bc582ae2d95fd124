"""Does what planning decides: looks at a service's instances, moves one, looks again."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Node
from cluster.plan import Finding, Step, done, todo
from cluster.server import Server
from cluster.target import ServerState, Target
from manifests.services import edge, instances, observe, places, planning, releases
from manifests.services.catalogue import CATALOGUE
from manifests.services.instances import Stores
from manifests.services.model import Service
from manifests.services.planning import Act, Move, Seen
from manifests.services.releases import Releases, Revision

MOST = 16  # instances of a service on one machine (releases.Release)
HANG_SECONDS = 20  # a Python that imports its drivers on a busy machine takes up to ten
SHOWN_LINES = 5
SHOWN_CHARACTERS = 400


class Runner(Target, Protocol):
    """A target that knows whether a server runs what is written for it, and can forget it."""

    def is_written(self, server: Server) -> bool:
        """Whether its files and program are in place."""
        ...

    def runs_as_written(self, server: Server) -> bool:
        """Whether the running process was started with them."""
        ...

    def forget(self, server: Server) -> None:
        """Stop it and remove what it has."""
        ...


class Book:
    """The state of all services, shared by those that are worked on at once."""

    def __init__(self, path: Path, found: Releases) -> None:
        self._path = path
        self._releases = found
        self._lock = threading.Lock()

    @property
    def releases(self) -> Releases:
        """As it stands."""
        return self._releases

    def write(self, found: Releases) -> None:
        """Make this the state, on disk before anything is done about it."""
        with self._lock:
            self._write(found)

    def fail(self, service: str, why: str) -> None:
        """Send the change back, for this service or for all."""
        with self._lock:
            self._write(planning.failed(self._releases, service, why))

    def _write(self, found: Releases) -> None:
        if found != self._releases:
            releases.save(self._path, found)
        self._releases = found


@dataclass(frozen=True)
class Desk:
    """What the work on a service needs."""

    context: Context
    target: Runner
    stores: Stores
    book: Book
    say: Callable[[str], None]


def step_name(service: str) -> str:
    """The step after which a service is as wanted."""
    return f"service {service}"


def step(desk: Desk, name: str, needs: Sequence[str]) -> Step:
    """The service's instances are as many and as they should be, and get requests."""

    def check() -> Finding:
        moves = due(desk, name)
        wanted = desk.book.releases.wanted(name)
        if moves:
            what = ", ".join(_named(name, move) for move in moves)
            more = f" (revision {wanted.number}, {wanted.version})" if wanted else ""
            return todo(f"{what}{more}")
        if wanted is None:
            return done("nothing of it runs")
        count = desk.book.releases.services[name].replicas
        return done(f"{count} ready, revision {wanted.number}, {wanted.version}")

    return Step(
        step_name(name),
        f"Service {name}",
        f"have {name} as wanted",
        check,
        lambda: settle(desk, name),
        tuple(needs),
    )


def due(desk: Desk, name: str) -> tuple[Move, ...]:
    """What is to be done to the service now."""
    found = desk.book.releases
    servers = instances.servers(desk.context, desk.stores, found, name)
    seen = look(desk, name, servers)
    return planning.next_moves(seen, found.services[name].replicas, something=bool(servers))


def settle(desk: Desk, name: str) -> None:
    """Make the service what it should be; a new revision that fails is taken back.

    Raises OpsError where it failed, once what should run instead does.
    """
    reason = None
    while moves := due(desk, name):
        wanted = desk.book.releases.wanted(name)
        try:
            _do(desk, name, wanted, moves)
        except OpsError as error:
            if desk.book.releases.wanted(name) != wanted:
                continue  # another service of the change has failed meanwhile: look again
            if not planning.may_go_back(desk.book.releases, name):
                raise
            reason, why = error, error.message.splitlines()[0]
            desk.book.fail(name, why)
            desk.say(f"{name}: goes back: {why}")
    if reason:
        runs = desk.book.releases.wanted(name)
        now = f"it runs revision {runs.number} ({runs.version})" if runs else "nothing of it runs"
        raise OpsError(f"{reason.message}\n  {now}", reason.hint)


def look(desk: Desk, name: str, servers: Mapping[int, Server]) -> dict[int, Seen]:
    """Every instance of the service that runs, or should."""
    service = CATALOGUE.named(name)
    numbers = (*range(1, MOST + 1), places.CANARY)
    blanks = {number: instances.blank(_place(desk, name, number)) for number in numbers}
    running = [number for number in numbers if _runs(desk.target, blanks[number]).running]
    views = edge.views(desk.context) if running else ()
    version = _version(desk.book.releases.wanted(name))

    def seen(number: int) -> Seen:
        server = servers.get(number)
        wanted = server is not None and _is(desk.target, server)
        said = observe.health(service, blanks[number])
        right = said.version == version or not wanted
        routed = observe.in_rotation(blanks[number].name, views)
        return Seen(running=True, wanted=wanted, ready=said.ready and right and routed)

    if not running:
        return {}
    with ThreadPoolExecutor(len(running), thread_name_prefix="look") as pool:
        return dict(zip(running, pool.map(seen, running), strict=True))


def _version(revision: Revision | None) -> str:
    return revision.version if revision else ""


def _is(target: Runner, server: Server) -> bool:
    return target.is_written(server) and target.runs_as_written(server)


def _runs(target: Target, server: Server) -> ServerState:
    try:
        return target.state(server)
    except UnreachableError as error:
        return ServerState(running=False, detail=error.message)


def _do(desk: Desk, name: str, wanted: Revision | None, moves: Sequence[Move]) -> None:
    """All of them at once. Raises the first one's OpsError when all have ended."""
    service = CATALOGUE.named(name)
    with ThreadPoolExecutor(len(moves), thread_name_prefix="move") as pool:
        running = [pool.submit(_move, desk, service, wanted, move) for move in moves]
    for future in running:
        future.result()


def _place(desk: Desk, service: str, number: int) -> Node:
    return places.instance(desk.context.topology, service, number, desk.context.trust)


def _move(desk: Desk, service: Service, wanted: Revision | None, move: Move) -> None:
    desk.say(f"{service.name}: {_named(service.name, move)}")
    node = _place(desk, service.name, move.number)
    if move.act is Act.STOP or wanted is None:
        desk.target.forget(instances.blank(node))
        return
    deployed = tuple(desk.book.releases.services)
    server = instances.server(desk.context, desk.stores, deployed, service, wanted, move.number)
    try:
        if move.act is Act.START or _hangs(desk, service, server):
            _start(desk, server)
        observe.wait_until_ready(
            desk.context, service, server, wanted.version, service.probes.startup_seconds
        )
    except OpsError as error:
        lines = "".join(f"\n  | {line}" for line in last_lines(desk.context.layout.log(node.name)))
        raise OpsError(
            f"{wanted.version}: {error.message}{lines}",
            f"`skillswap-ops services logs {node.name}` says more",
        ) from error


def _hangs(desk: Desk, service: Service, server: Server) -> bool:
    """Whether a running instance does not even say that it lives, for as long as a start takes."""

    def answers() -> bool:
        return observe.health(service, server).alive

    try:
        wait_for(f"{server.name}'s answer", answers, seconds=HANG_SECONDS, clock=desk.context.clock)
    except UnreachableError:
        return True
    return False


def _start(desk: Desk, server: Server) -> None:
    if _runs(desk.target, server).running:
        desk.target.stop(server)
    desk.target.start(server)


def last_lines(log: Path, count: int = SHOWN_LINES) -> list[str]:
    """The end of a log, each line cut to what a screen can show."""
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    said = [line.rstrip()[:SHOWN_CHARACTERS] for line in lines if line.strip()]
    return said[-count:]


def _named(service: str, move: Move) -> str:
    return f"{move.act} {places.instance_name(service, move.number)}"
