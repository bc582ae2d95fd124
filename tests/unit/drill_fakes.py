"""A cluster in memory that can be killed, can lose, and can refuse to be mended."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

import numpy as np
import pytest

from cluster.drill.contracts import (
    Drill,
    Effect,
    Fault,
    Observation,
    OpIds,
    Promise,
    Seen,
    Stage,
    Stream,
    Timings,
    UndoRecord,
)
from cluster.drill.evidence import Rules
from cluster.drill.outcome import ACKED, Outcome, Result
from cluster.errors import UnreachableError
from cluster.target import Hit

GROUP = "shard-a"
ELECTION = 0.1  # seconds
REFUSED = Result(Outcome.FAILED, "NotWritablePrimary", reopen=True)
RULES = Rules(window=0.1, before=0.0, acks_before=0, stall=1.0)
TIMINGS = Timings(baseline=0.05, phase=0.02, recover_within=20, converge_within=3, after=0.02)


def quicken(patch: pytest.MonkeyPatch) -> None:
    """Times of a run that fit `RULES` and `TIMINGS`: their window is longer than a bucket."""
    patch.setattr("cluster.drill.load.START_NS", 60_000_000)
    patch.setattr("cluster.drill.load.LOOKAHEAD_NS", 50_000_000)
    patch.setattr("cluster.drill.load.TICK", 0.01)
    patch.setattr("cluster.drill.meter.BUCKET_NS", 10_000_000)
    patch.setattr("cluster.drill.watch.INTERVAL", 0.02)
    patch.setattr("cluster.drill.course.POLL_CLUSTER", 0.02)
    patch.setattr("cluster.drill.course.POLL", 0.01)


@dataclass
class FakeCluster:
    """Two nodes; the other one leads `ELECTION` seconds after the leader is killed.

    Not before an observer has seen that nobody leads: on a machine that others load, it would
    else be asked too late to tell the loss from its end.
    """

    election: float = ELECTION
    lose: int = 0  # of the newest rows, when the leader is killed
    two_leaders: bool = False
    mendable: bool = True
    rows: list[int] = field(default_factory=list)
    killed_at: float | None = None
    dead: bool = False
    noticed: bool = False
    mended: list[UndoRecord] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)
    discarded: int = 0
    opened: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def kill(self) -> None:
        with self.lock:
            self.killed_at, self.dead = time.monotonic(), True
            if self.lose:
                del self.rows[-self.lose :]

    def mend(self, record: UndoRecord) -> None:
        self.mended.append(record)
        if not self.mendable:
            raise UnreachableError("a1 does not start")
        self.dead = False

    @property
    def elected(self) -> bool:
        if self.killed_at is None or not self.noticed:
            return False
        return time.monotonic() - self.killed_at >= self.election

    def observation(self) -> Observation:
        if self.killed_at is None:
            return Observation(("a1",), 1)
        if not self.elected:
            self.noticed = True
            return Observation((), 1, detected_down=True)
        return Observation(("a1", "a2") if self.two_leaders else ("a2",), 2)

    def write(self, op: int) -> Result:
        with self.lock:
            if self.killed_at is not None and not self.elected:
                return REFUSED
            self.rows.append(op)
            return ACKED


@dataclass
class FakeWriter:
    cluster: FakeCluster

    def write(self, op: int) -> Result:
        return self.cluster.write(op)

    def close(self) -> None:
        pass


@dataclass
class FakeStore:
    cluster: FakeCluster

    def prepare(self, run: str) -> None:
        self.cluster.prepared.append(run)

    def open_writer(self, worker: int) -> FakeWriter:
        self.cluster.opened += 1
        return FakeWriter(self.cluster)

    def read_back(self) -> Iterable[OpIds]:
        rows = np.array(self.cluster.rows, np.int64)
        yield rows[: len(rows) // 2]
        yield rows[len(rows) // 2 :]

    def discard(self) -> None:
        self.cluster.discarded += 1


@dataclass
class FakeObserver:
    cluster: FakeCluster
    group: str = GROUP
    closed: bool = False

    def sample(self) -> Observation:
        time.sleep(0.002)  # one that takes no time at all starves the load, in a split brain
        return self.cluster.observation()

    def close(self) -> None:
        self.closed = True


@dataclass(frozen=True)
class FakeFault:
    cluster: FakeCluster
    name: str = "SIGKILL a1"
    undo: UndoRecord = field(default_factory=lambda: UndoRecord("start", ("a1",)))

    def inject(self) -> Hit:
        self.cluster.kill()
        assert self.cluster.killed_at is not None
        return Hit(self.cluster.killed_at, "a1 is gone")


def stages(cluster: FakeCluster) -> tuple[Stage, ...]:
    def choose(seen: Seen, _: Random) -> Fault:
        assert seen[GROUP].leaders == ("a1",)
        return FakeFault(cluster)

    return (Stage(choose),)


def stream(cluster: FakeCluster, **more: object) -> Stream:
    options = {
        "name": "majority",
        "rate": 200,
        "workers": 2,
        "good_within": 0.2,
        "write_within": 0.5,
        "promise": Promise(rto=30),  # nothing here is about how fast this machine is
    }
    return Stream(group=GROUP, store=FakeStore(cluster), **(options | more))  # type: ignore[arg-type]


def drill(cluster: FakeCluster, **more: object) -> Drill:
    options: Mapping[str, object] = {
        "name": "fake-kill",
        "hypothesis": "nothing acknowledged is lost",
        "group": GROUP,
        "streams": (stream(cluster),),
        "observers": (FakeObserver(cluster),),
        "stages": stages(cluster),
        "healers": {"start": cluster.mend},
        "preflight": list,
        "converged": lambda: "a1 is down" if cluster.dead else None,
        "settings": lambda: {"w": "majority"},
        "versions": lambda: {"fake": "1"},
        "effect": Effect.NEW_LEADER,
        "timings": TIMINGS,
    } | more
    return Drill(**options)  # type: ignore[arg-type]


def threads_of_drills() -> list[str]:
    names = ("writer", "load pacer", "watch", "stall ticker")
    return [thread.name for thread in threading.enumerate() if any(n in thread.name for n in names)]


def until(true: Callable[[], bool], seconds: float = 60.0) -> Iterator[None]:
    """Spin until it is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
        yield
