"""Servers of this machine made slow: stopped for a part of about every fifth of a second.

A controller of cgroups would be smoother, and is there for root on some machines alone.
"""

import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from cluster.clock import Clock
from cluster.errors import InvalidInputError, OpsError
from cluster.local import processes
from cluster.local.freezing import Freezing
from cluster.local.processes import Owned
from cluster.server import Server
from cluster.target import Hit

PERIOD = 0.2  # short against heartbeats, long against a scan of the machine's processes
LONGEST = 1.0  # seconds of a phase
SCAN_SECONDS = 1.0
WATCH_SECONDS = 2.0
LOOKS = 100
TOLERANCE = 0.15  # of the share, for a machine that others load


class Throttle:
    """A thread that stops a server's processes, and lets them go on, again and again."""

    def __init__(self, root: Path, server: str, share: float, clock: Clock) -> None:
        self._root = root
        self._server = server
        self._share = share
        self._clock = clock
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._cycle, name=f"throttle {server}", daemon=True)
        self._handles = ExitStack()
        self._pidfds: list[int] = []
        self._scan_at = 0.0
        self.processes: tuple[Owned, ...] = ()

    def start(self) -> None:
        """Begin. Raises OpsError where nothing of the server runs."""
        self._scan()
        if not self.processes:
            raise OpsError(f"nothing of {self._server} runs: there is nothing to throttle")
        self._thread.start()

    def end(self) -> None:
        """Let them run; returns when the thread has ended."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _cycle(self) -> None:
        """The longer phase makes up for a shorter one that a busy machine made too long."""
        phases = ((signal.SIGCONT, self._share), (signal.SIGSTOP, 1 - self._share))
        (short, less), (long, more) = sorted(phases, key=lambda phase: phase[1])
        try:
            while not self._over.is_set():
                took = self._phase(short, less * PERIOD)
                self._phase(long, min(LONGEST, took * more / less))
        finally:
            self._send(signal.SIGCONT)
            self._handles.close()

    def _phase(self, number: signal.Signals, seconds: float) -> float:
        """Signal, and wait; returns how long it took. A long one has the time for a scan."""
        began = self._clock.monotonic()
        self._send(number)
        if seconds >= PERIOD / 2 and self._clock.monotonic() >= self._scan_at:
            self._scan()
            if number == signal.SIGSTOP:
                self._send(number)  # the new ones too
        self._over.wait(max(0.0, began + seconds - self._clock.monotonic()))
        return self._clock.monotonic() - began

    def _send(self, number: signal.Signals) -> None:
        for pidfd in self._pidfds:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, number)

    def _scan(self) -> None:
        self._scan_at = self._clock.monotonic() + SCAN_SECONDS
        self.processes = processes.owned_by(self._root, [self._server])
        self._handles.close()
        opened = [self._handles.enter_context(processes.pidfd(each)) for each in self.processes]
        self._pidfds = [pidfd for pidfd in opened if pidfd is not None]


class Throttling(Freezing):
    """What makes a local target `CanThrottle`. Needs no root."""

    _throttles: dict[str, Throttle]

    def throttle(self, servers: Sequence[Server], share: float) -> Hit:
        """Let these servers run for `share` of each 0.2 s, until `release`, or this program's end.

        Takes 2 s to see how long they stand still; raises OpsError where that is not as it should.
        """
        if not 0 < share < 1:
            raise InvalidInputError(f"a share is between 0 and 1 (got {share:g})")
        self.release(servers)
        at = self._clock.monotonic()
        for server in servers:
            throttle = Throttle(self.layout.root, server.name, share, self._clock)
            self._throttles[server.name] = throttle
            throttle.start()
        return Hit(at, self._watched([self._throttles[server.name] for server in servers], share))

    def release(self, servers: Sequence[Server]) -> None:
        """Let them run freely again; after a crash of whoever throttled them they only stand."""
        for server in servers:
            if throttle := self._throttles.pop(server.name, None):
                throttle.end()
        self.thaw(servers)

    def _watched(self, throttles: Sequence[Throttle], share: float) -> str:
        looks: list[bool] = []
        for _ in range(LOOKS):
            looks += [
                processes.still(each) for throttle in throttles for each in throttle.processes
            ]
            self._clock.sleep(WATCH_SECONDS / LOOKS)
        found = [each for throttle in throttles for each in throttle.processes]
        stood = sum(looks) / len(looks) if looks else 0.0
        if abs(stood - (1 - share)) > TOLERANCE:
            raise OpsError(
                f"{processes.counted(found)} stood still for {stood:.0%} of the time; "
                f"{1 - share:.0%} was asked for"
            )
        return f"{processes.counted(found)} stood still in {stood:.0%} of {len(looks)} looks"
