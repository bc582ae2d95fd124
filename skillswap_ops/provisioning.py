"""Provision, plan, stop and destroy on the local target."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import OpsError, UnreachableError
from cluster.files import write_atomic
from cluster.inventory import Kind
from cluster.local import preflight, processes
from cluster.local.steps import retire_steps, start_steps, stop_strays, supervisor_step
from cluster.local.volumes import check_volumes
from cluster.lock import exclusive
from cluster.plan import Event, Finished, Outcome, Step, execute, preview
from cluster.server import Server
from cluster.topology_file import dump_topology
from manifests.services import releases
from manifests.services.executor import Book
from mongo import leaving
from mongo.backup.inplace import refuse_half_restored
from mongo.servers import servers
from skillswap_ops import service_steps
from skillswap_ops.changes import check_change
from skillswap_ops.console import note
from skillswap_ops.engines import all_servers, data_servers, engine_steps
from skillswap_ops.wiring import LocalContext

MEMBERS = frozenset({Kind.SHARD, Kind.ARBITER, Kind.CONFIG})


@dataclass(frozen=True)
class ComponentTime:
    """How long a component took, from its first step's begin to its last one's end, in seconds."""

    component: str
    began: float
    seconds: float
    changed: int
    steps: int


def all_steps(context: LocalContext, book: Book | None = None) -> tuple[Step, ...]:
    """Everything that makes the cluster, and the services on it, what they should be.

    Services come late: a service that starts before its stores would wait for them, and give up.
    What the topology has no more goes last, when nobody is led to it.
    """
    engines = engine_steps(context)
    found = book or _book(context)
    made = (
        *start_steps(context.target, data_servers(context)),
        *engines,
        *service_steps.steps(context, found, note, needs=[step.name for step in engines]),
    )
    return (
        supervisor_step(context.target, context.clock),
        *made,
        *retire_steps(context.target, context.inventory, [step.name for step in made]),
    )


def _book(context: LocalContext) -> Book:
    return Book(context.layout.releases, releases.load(context.layout.releases))


def plan(context: LocalContext) -> list[Finished]:
    """What `provision` would do; changes nothing."""
    check_change(context)
    check_machine(context, all_servers(context))
    return preview(all_steps(context))


def provision(context: LocalContext, on_event: Callable[[Event], None]) -> list[Finished]:
    """Make the cluster as its topology says.

    Raises OpsError for a machine that cannot carry it, and BusyError for a second run at once.
    A step that fails is in the result; what did not need it was done all the same.
    """
    servers = all_servers(context)
    refuse_half_restored(context)
    check_change(context)
    check_machine(context, servers)
    make_home(context)
    with exclusive(context.layout.lock, "provision"):
        context.target.sweep()
        write_atomic(context.layout.topology, dump_topology(context.topology), mode=0o644)
        book = _book(context)
        ends = execute(all_steps(context, book), on_event)
        service_steps.close(context, book, ends, note)
        return ends


def check_machine(context: LocalContext, servers: Sequence[Server]) -> None:
    """Raises OpsError with all that this machine lacks."""
    preflight.check_paths(context.layout, servers)
    preflight.check_disk(context.layout)
    programs = sorted({server.argv[0] for server in servers})
    check_volumes(servers)
    preflight.check_readable(context.target.user, programs, context.layout.root)
    running = _running(context)
    idle = [server for server in servers if server.name not in running]
    preflight.check_ports(idle, context.layout.root)


def make_home(context: LocalContext) -> None:
    """The cluster's folder; only the nodes' own folders belong to the servers' user."""
    layout = context.layout
    mode = 0o755 if context.target.user.name else 0o700
    for folder in (layout.root.parent, layout.root, layout.root / "nodes", layout.root / "logs"):
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    for folder in (layout.secrets, layout.supervisor, layout.drills):
        folder.mkdir(mode=0o700, exist_ok=True)
    context.target.make_folder(layout.archive)
    context.target.make_folder(layout.mongo_backups)


def component_times(ends: Iterable[Finished]) -> list[ComponentTime]:
    """Time by component, in order of beginning."""
    by_component: dict[str, list[Finished]] = {}
    for end in ends:
        by_component.setdefault(end.step.component, []).append(end)
    start = min((end.began for rows in by_component.values() for end in rows), default=0.0)
    times = [
        ComponentTime(
            component,
            min(row.began for row in rows) - start,
            max(row.ended for row in rows) - min(row.began for row in rows),
            sum(row.outcome is Outcome.CHANGED for row in rows),
            len(rows),
        )
        for component, rows in by_component.items()
    ]
    return sorted(times, key=lambda time: time.began)


def stop(context: LocalContext) -> None:
    """Stop every server cleanly, and supervisord; data stays."""
    with exclusive(context.layout.lock, "stop"):
        with suppress(OpsError):  # what is left is stopped with supervisord, and takes its time
            members = [one for one in servers(context) if one.node.kind in MEMBERS]
            leaving.stop_members(context, members)
        with suppress(UnreachableError):
            context.target.supervisor.shutdown()
        stop_strays(context.target, context.clock)


def destroy(context: LocalContext) -> int:
    """End every process of the cluster and remove its folder; returns how many were ended.

    Nothing is flushed: the data goes anyway. Raises OpsError where something could not be removed.
    """
    root = context.layout.root
    with exclusive(context.layout.lock, "destroy"):
        ended = processes.kill_all(root, None, context.clock, seconds=30)
        context.target.let_go()
        # The topology goes last, so that an interrupted destroy still knows what it was about.
        for entry in sorted(root.iterdir(), key=lambda path: path == context.layout.topology):
            _remove(entry, context)
    _remove(root, context)
    return ended


def _remove(entry: Path, context: LocalContext) -> None:
    try:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)
    except OSError as error:
        raise OpsError(
            f"{error.filename or entry} cannot be removed: {error.strerror}",
            f"remove {context.layout.root} by hand, as its owner",
        ) from error


def _running(context: LocalContext) -> frozenset[str]:
    try:
        states = context.target.supervisor.states()
    except UnreachableError:
        return frozenset()
    return frozenset(name for name, state in states.items() if state.running)
