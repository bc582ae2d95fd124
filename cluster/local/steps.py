"""The local target's own steps: supervisord, and the start of every server."""

import signal
from collections.abc import Iterable

from cluster.clock import Clock, wait_for
from cluster.errors import UnreachableError
from cluster.inventory import Inventory, Node, retired
from cluster.local import processes
from cluster.local.target import LocalTarget
from cluster.plan import Finding, Step, done, todo
from cluster.server import Server

SUPERVISOR_STEP = "supervisord"
RETIRED = "Retired"
STRAY_SECONDS = 30


def supervisor_step(target: LocalTarget, clock: Clock) -> Step:
    """supervisord runs; servers that outlived a killed one are stopped first."""

    def check() -> Finding:
        if target.supervisor.alive():
            return done(f"answers on {target.supervisor.socket.name}")
        strays = processes.owned(target.layout.root)
        if strays:
            return todo(f"not running, and {len(strays)} processes outlived it: restarts them")
        return todo("not running")

    def act() -> None:
        target.supervisor.wait_until_down()
        stop_strays(target, clock)
        target.supervisor.launch()

    return Step(SUPERVISOR_STEP, "Supervision", "start supervisord", check, act)


def stop_strays(target: LocalTarget, clock: Clock) -> None:
    """End processes that no supervisord looks after: politely, then by force."""
    root = target.layout.root
    strays = processes.owned(root)
    processes.send(strays, signal.SIGTERM)
    processes.send(strays, signal.SIGCONT)
    try:
        wait_for(
            "end of strays", lambda: not processes.owned(root), seconds=STRAY_SECONDS, clock=clock
        )
    except UnreachableError:
        processes.kill_all(root, None, clock)


def start_steps(target: LocalTarget, servers: Iterable[Server]) -> tuple[Step, ...]:
    """One step a server: it runs, with the configuration that it should have."""
    return tuple(_start_step(target, server) for server in servers)


def retire_steps(
    target: LocalTarget, inventory: Inventory, needs: Iterable[str]
) -> tuple[Step, ...]:
    """One step for each router and proxy that the topology has no more: it is stopped, and gone.

    After `needs`: who was led to it knows the others by then.
    """
    there = (path.stem for path in target.supervisor.programs.glob("*.conf"))
    return tuple(
        _retire_step(target, node, (SUPERVISOR_STEP, *needs))
        for node in retired(there, inventory)
        if not target.layout.data(node).exists()
    )


def _retire_step(target: LocalTarget, node: Node, needs: tuple[str, ...]) -> Step:
    server = Server(node.name, node, RETIRED, ("false",))  # enough to stop and to remove it

    def check() -> Finding:
        if (target.supervisor.programs / f"{node.name}.conf").exists():
            return todo("the topology has it no more")
        return done("gone")

    return Step(
        f"retire {node.name}",
        RETIRED,
        f"stop {node.name}, and remove its folder",
        check,
        lambda: target.forget(server),
        needs,
    )


def _start_step(target: LocalTarget, server: Server) -> Step:
    def check() -> Finding:
        try:
            state = target.state(server)
        except UnreachableError:
            return todo("not running")
        if not state.running:
            return todo(f"not running ({state.detail})")
        if not target.is_written(server) or not target.runs_as_written(server):
            return todo("its configuration changed")
        if not target.is_private(server):
            return todo("the mode of a configuration file was changed")
        return done(f"running, {state.detail.partition(': ')[2]}, configuration unchanged")

    def act() -> None:
        if not target.state(server).running:
            target.start(server)
        elif target.is_written(server) and target.runs_as_written(server):
            target.write(server)  # the modes alone
        else:
            target.reload(server)

    return Step(
        server.start_step,
        server.component,
        f"start {server.name} on {server.node.address}",
        check,
        act,
        (SUPERVISOR_STEP, *server.needs),
    )
