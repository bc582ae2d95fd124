"""Servers of this machine stopped in the middle of everything, and let go on: SIGSTOP, SIGCONT."""

import signal
from collections.abc import Callable, Collection, Sequence

from cluster.clock import Clock, wait_for
from cluster.errors import OpsError
from cluster.layout import Layout
from cluster.local import processes
from cluster.local.processes import Owned
from cluster.server import Server
from cluster.target import Hit

STOP_SECONDS = 10  # a process in state D stops when the disk has answered
SCAN_SECONDS = 0.01


class Freezing:
    """What makes a local target `CanFreeze`. Needs no root."""

    layout: Layout
    _clock: Clock

    def freeze(self, servers: Sequence[Server], program: str | None = None) -> Hit:
        """SIGSTOP these servers with everything they started, until all of it stands still.

        With `program`, only the processes of that name. supervisord still calls them running, for
        they are. Raises OpsError where nothing ran.
        """
        names = [server.name for server in servers]

        def wrong(process: Owned) -> bool:
            return program in {None, process.name} and not processes.still(process)

        found = self._signal_until(names, signal.SIGSTOP, wrong)
        stopped = [each for each in found if program in {None, each.name}]
        at = self._clock.monotonic()
        if not stopped:
            raise OpsError(f"nothing of {', '.join(names)} runs: there is nothing to freeze")
        return Hit(at, f"SIGSTOP: {processes.counted(stopped)} stand still (state T)")

    def thaw(self, servers: Sequence[Server]) -> None:
        """SIGCONT whatever of them stands still, until nothing does."""
        names = [server.name for server in servers]
        self._signal_until(names, signal.SIGCONT, processes.still)

    def _signal_until(
        self, names: Sequence[str], number: signal.Signals, wrong: Callable[[Owned], bool]
    ) -> Collection[Owned]:
        """Signal all that is in the wrong state, and look again: a child may have come since.

        Returns all processes there are, once none is in the wrong state.
        """
        found: tuple[Owned, ...] = ()

        def done() -> bool:
            nonlocal found
            found = processes.owned_by(self.layout.root, names)
            todo = [each for each in found if wrong(each)]
            processes.send(todo, number)
            return not todo

        what = f"{number.name} of {', '.join(names)}"
        wait_for(what, done, seconds=STOP_SECONDS, every=SCAN_SECONDS, clock=self._clock)
        return found
