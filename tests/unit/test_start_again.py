"""What undoes a kill, also one that was interrupted right after its signal."""

from dataclasses import dataclass, field
from typing import cast

from cluster.drill.contracts import UndoRecord
from cluster.faults.kill import DYING_SECONDS, START_SERVERS, start_again
from cluster.server import Server
from cluster.target import ServerState, Target
from tests.unit.local_processes import server
from tests.unit.test_rolling import FakeClock


@dataclass
class FakeTarget:
    """Servers that run until so many seconds of the clock, or until they are started."""

    clock: FakeClock
    until: dict[str, float]
    started: list[str] = field(default_factory=list)

    def state(self, one: Server) -> ServerState:
        running = one.name in self.started or self.clock.now < self.until[one.name]
        return ServerState(running, "")

    def start(self, one: Server) -> None:
        self.started.append(one.name)


def healed(**until: float) -> tuple[list[str], float]:
    """Who was started, and after how long it was over."""
    clock = FakeClock()
    target = FakeTarget(clock, until)
    heal = start_again(cast("Target", target), [server(name) for name in until], clock)
    heal(UndoRecord(START_SERVERS, tuple(until)))
    return target.started, clock.now


def test_what_is_dead_is_started_at_once() -> None:
    assert healed(a=0, b=0) == (["a", "b"], 0)


def test_what_is_dying_still_is_started_once_it_is_dead() -> None:
    started, _ = healed(a=0.3, b=0)
    assert sorted(started) == ["a", "b"]


def test_what_runs_is_left_alone() -> None:
    started, seconds = healed(a=1e9)
    assert started == []
    assert DYING_SECONDS <= seconds < 2 * DYING_SECONDS
