"""The load generator: open-loop, intents first, and it always ends."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from cluster.drill.contracts import OpIds, Stream, Writer
from cluster.drill.eventlog import EventLog, read_events
from cluster.drill.events import ReasonSeen
from cluster.drill.history import History, read_ledger
from cluster.drill.ledger import LedgerWriter
from cluster.drill.load import Load
from cluster.drill.meter import Meter
from cluster.drill.outcome import ACKED, Outcome, Result
from cluster.drill.recorder import Recorder
from cluster.drill.stall import Ticker
from tests.unit.drill_fakes import threads_of_drills, until

Write = Callable[[int], Result]


@dataclass
class Store:
    """Writes by calling a function."""

    do: Write
    opens: Callable[[], None] = lambda: None
    opened: int = 0
    closed: int = 0
    release: threading.Event = field(default_factory=threading.Event)

    def prepare(self, run: str) -> None: ...

    def open_writer(self, worker: int) -> Writer:
        self.opens()
        self.opened += 1
        return self  # type: ignore[return-value]

    def write(self, op: int) -> Result:
        return self.do(op)

    def close(self) -> None:
        self.closed += 1
        self.release.set()

    def read_back(self) -> Iterable[OpIds]:
        return []

    def discard(self) -> None: ...


@dataclass
class Rig:
    """A load with its files."""

    folder: Path
    stalls: list[tuple[str, float]] = field(default_factory=list)

    def load(self, *streams: Stream) -> Load:
        self.ledger = LedgerWriter(self.folder / "ledger.bin", "r")
        self.events = EventLog(
            self.folder / "events.jsonl", time.monotonic_ns, datetime.now(UTC), lambda _: None
        )
        recorder = Recorder(self.ledger, self.events)
        return Load(streams, self.ledger, recorder, lambda *stall: self.stalls.append(stall))

    def run(self, seconds: float, *streams: Stream) -> tuple[int, int]:
        load = self.load(*streams)
        start = load.start()
        time.sleep(seconds + (start - time.monotonic_ns()) / 1e9)
        return load.stop()

    def histories(self) -> dict[int, History]:
        self.ledger.close()
        ledger = read_ledger(self.folder / "ledger.bin")
        assert ledger.damage == ""
        return ledger.streams

    def reasons(self) -> dict[int, str]:
        events = read_events(self.folder / "events.jsonl")
        return {e.what.code: e.what.text for e in events if isinstance(e.what, ReasonSeen)}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    yield Rig(tmp_path)
    for _ in until(lambda: not threads_of_drills()):
        pass


def stream(store: Store, **more: object) -> Stream:
    options = {"rate": 200, "workers": 2, "good_within": 0.1, "write_within": 0.1} | more
    return Stream("s", "g", store, **options)  # type: ignore[arg-type]


def patient(store: Store, **more: object) -> Stream:
    """One whose operations are sent however long this machine stalls."""
    return stream(store, good_within=20, write_within=20, **more)


def test_operations_are_due_at_fixed_times_and_sent_then(rig: Rig) -> None:
    written: list[int] = []
    store = Store(lambda op: written.append(op) or ACKED)
    until_ns, stuck = rig.run(0.5, patient(store), patient(store, rate=50))
    fast, slow = rig.histories()[1], rig.histories()[2]
    assert set(np.diff(fast.due)) == {5_000_000}
    assert set(np.diff(slow.due)) == {20_000_000}
    assert fast.due[0] == slow.due[0]
    assert (fast.sent >= fast.due).all()
    assert np.min(fast.sent - fast.due) < 20_000_000
    assert fast.having(Outcome.ACKED).all()
    assert len(fast) >= 100
    assert len(written) == len(fast) + len(slow)
    assert until_ns == max(fast.due[-1] + 5_000_000, slow.due[-1] + 20_000_000)
    assert stuck == 0
    assert store.opened == store.closed == 4


def test_nothing_is_sent_before_its_intent_is_on_disk(rig: Rig) -> None:
    missing: list[int] = []
    path = rig.folder / "ledger.bin"

    def look(op: int) -> Result:
        rows = np.fromfile(path, np.int64, offset=512).reshape(-1, 4)[:, 0]
        if op not in rows:
            missing.append(op)
        return ACKED

    rig.run(0.3, patient(Store(look), rate=50))
    assert missing == []
    assert rig.histories()[1].having(Outcome.ACKED).all()


def test_a_slow_store_does_not_slow_the_load(rig: Rig) -> None:
    """Closed-loop, one worker would offer 20 operations a second."""

    def slow(_: int) -> Result:
        time.sleep(0.05)
        return ACKED

    rig.run(0.6, stream(Store(slow), workers=1))
    history = rig.histories()[1]
    assert set(np.diff(history.due)) == {5_000_000}
    unsent = history.having(Outcome.UNSENT)
    assert unsent.any()
    assert (history.sent[unsent] == 0).all()
    assert rig.reasons() == {1: "no free worker in time"}
    acked = history.having(Outcome.ACKED)
    assert (history.sent[acked] - history.due[acked] <= 110_000_000).all()


def test_outcomes_and_reasons_are_recorded(rig: Rig) -> None:
    answers = [ACKED, Result(Outcome.FAILED, "25006", retries=300), Result(Outcome.UNKNOWN, "gone")]
    count = iter(range(10_000))
    rig.run(0.2, patient(Store(lambda _: answers[next(count) % 3]), workers=1))
    history = rig.histories()[1]
    texts = rig.reasons() | {0: ""}
    seen = {
        (int(outcome), texts[int(reason)], int(retries))
        for outcome, reason, retries in zip(
            history.outcome, history.reason, history.retries, strict=True
        )
    }
    assert seen == {(2, "", 0), (3, "25006", 255), (4, "gone", 0)}


def test_an_exception_is_unknown_and_reopens(rig: Rig) -> None:
    def crash(_: int) -> Result:
        raise KeyError("secret")

    store = Store(crash)
    rig.run(0.1, patient(store, workers=1, rate=50))
    history = rig.histories()[1]
    assert history.having(Outcome.UNKNOWN).all()
    assert (history.sent > 0).all()
    assert rig.reasons() == {1: "unmapped KeyError"}
    assert store.opened == store.closed == len(history)


def test_a_writer_that_cannot_be_opened_is_unsent(rig: Rig) -> None:
    def refuse() -> None:
        raise ConnectionRefusedError("127.0.0.1")

    rig.run(0.1, stream(Store(lambda _: ACKED, refuse)))
    assert rig.histories()[1].having(Outcome.UNSENT).all()
    assert rig.reasons() == {1: "no connection: ConnectionRefusedError"}


def test_reopen_is_the_writers_wish(rig: Rig) -> None:
    store = Store(lambda _: Result(Outcome.FAILED, "x"))
    rig.run(0.1, patient(store, workers=1))
    assert store.opened == 1


def test_more_reasons_than_codes_share_the_last(rig: Rig) -> None:
    sent: list[int] = []
    store = Store(lambda op: sent.append(op) or Result(Outcome.FAILED, f"reason {op}"))
    load = rig.load(patient(store, rate=1000))
    load.start()
    for _ in until(lambda: len(sent) > 300):
        pass
    load.stop()
    assert len(rig.histories()[1]) > 300
    assert len(rig.reasons()) == 255
    assert rig.reasons()[255] == "(other reasons)"
    assert set(rig.histories()[1].reason.tolist()) == set(range(1, 256))


def test_a_stuck_writer_is_closed_and_its_operation_unknown(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.drill.load.GRACE", 0.05)
    store = Store(lambda _: ACKED)
    stuck_ops: list[int] = []

    def hang(op: int) -> Result:
        stuck_ops.append(op)
        store.release.wait(300)
        return ACKED  # too late to be recorded

    store.do = hang
    _, stuck = rig.run(0.1, stream(store, workers=1))
    history = rig.histories()[1]
    assert stuck == 0  # closing it has freed it
    assert store.closed == 1
    assert history.outcome[0] == Outcome.UNKNOWN
    assert history.having(Outcome.UNSENT)[1:].all()
    assert len(stuck_ops) == 1


def test_a_writer_that_hangs_for_good_does_not_hold_up_the_end(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.drill.load.GRACE", 0.05)
    monkeypatch.setattr("cluster.drill.load.RELEASED", 0.05)
    free = threading.Event()

    def hang(_: int) -> Result:
        free.wait(300)
        return ACKED

    store = Store(hang)
    began = time.monotonic()
    _, stuck = rig.run(0.1, stream(store))
    assert time.monotonic() - began < 5
    assert stuck == 2
    history = rig.histories()[1]
    assert history.outcome[:2].tolist() == [Outcome.UNKNOWN, Outcome.UNKNOWN]
    assert history.having(Outcome.UNSENT)[2:].all()
    free.set()


def test_a_full_disk_ends_the_load(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    load = rig.load(stream(Store(lambda op: written.append(op) or ACKED)))
    load.start()
    for _ in until(lambda: len(written) > 10):
        pass

    def full(_file: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    for _ in until(lambda: load.failure is not None):
        pass
    monkeypatch.undo()
    load.stop()
    assert isinstance(load.failure, OSError)
    history = rig.histories()[1]
    intended = {int(op) & 0xFFFFFFFF for op in written}
    assert intended <= set(range(len(history)))  # nothing was sent without its intent on disk


def test_a_load_that_never_began_can_be_stopped(rig: Rig) -> None:
    assert rig.load(stream(Store(lambda _: ACKED))).stop()[1] == 0


def test_a_slow_disk_is_a_stall(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fdatasync
    slow = iter([0.6])

    def sync(file: int) -> None:
        time.sleep(next(slow, 0.0))
        real(file)

    load = rig.load(stream(Store(lambda _: ACKED)))
    load.start()
    time.sleep(0.6)
    monkeypatch.setattr(os, "fdatasync", sync)
    for _ in until(lambda: bool(rig.stalls)):
        pass
    load.stop()
    source, seconds = max(rig.stalls, key=lambda stall: stall[1])
    assert source == "ledger"
    assert 0.2 < seconds < 1.5  # 0.6 less the quarter of a second that intents are ahead


def test_the_ticker_reports_how_long_the_harness_stood_still() -> None:
    times = iter([10.0, 10.05, 12.05, 12.1])
    stalls: list[tuple[str, float]] = []
    ticker = Ticker(lambda *stall: stalls.append(stall), 0.25, lambda: next(times, 12.1))
    ticker.start()
    for _ in until(lambda: bool(stalls)):
        pass
    ticker.stop()
    assert [(source, round(seconds, 3)) for source, seconds in stalls] == [("ticker", 1.95)]


def test_the_meter_knows_the_newest_full_window() -> None:
    meter = Meter("s", 10, 1_000_000_000)
    second = 1_000_000_000
    for tenth in range(100):
        due = 50 * second + tenth * second // 10
        meter.intended(due)
        if not 30 <= tenth < 40:
            meter.settled(due, due + 1000, Outcome.ACKED, "")
        else:
            meter.settled(due, due + 1000, Outcome.FAILED, "no")

    def steady(now: float, since: float) -> bool:
        return meter.steady(round(now * second), round(since * second), 5 * second, 99)

    assert steady(60, 54)  # the window is [54, 59)
    assert not steady(60, 54.5)  # it began before that
    assert not steady(59.8, 50)  # [53.8, 58.8) has two bad ones
    live = meter.live(60 * second)
    assert (live.acked, live.failed, live.last_reason) == (90, 10, "no")
    assert live.acked_rate == 10


TICKING = """
import sys
from cluster.drill.stall import Ticker
ticker = Ticker(lambda source, seconds: print(seconds, flush=True), 0.25)
ticker.start()
print("ready", flush=True)
sys.stdin.read()
ticker.stop()
"""


def test_a_stopped_process_notices_that_it_stood_still() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", TICKING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.7)  # the stall itself
    process.send_signal(signal.SIGCONT)
    assert float(process.stdout.readline()) > 0.5
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()
