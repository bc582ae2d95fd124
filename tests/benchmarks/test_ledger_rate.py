"""How many durable operations a second the harness itself can offer: load, ledger and recorder.

The store answers after a millisecond, as a near server would; it is not what is measured. Each
rate runs once with a ledger in memory and once on the disk, beside what the same disk gives to a
bare loop of `write` and `fdatasync`. Only the promised rate is asserted.
"""

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from cluster.drill.contracts import OpIds, Stream
from cluster.drill.eventlog import EventLog
from cluster.drill.history import read_ledger
from cluster.drill.ledger import RECORD, LedgerWriter
from cluster.drill.load import TICK, Load
from cluster.drill.outcome import ACKED, Outcome, Result
from cluster.drill.recorder import Recorder
from cluster.drill.stall import Ticker

PROMISED = 2_000
RATES = (PROMISED, 4_000, 8_000, 16_000)
SECONDS = float(os.environ.get("SKILLSWAP_OPS_BENCH_SECONDS", "10"))
STALL = 1.0  # seconds: what makes a run inconclusive
MEMORY = Path("/dev/shm")


class Near:
    """A store that answers after a millisecond."""

    def prepare(self, run: str) -> None: ...

    def open_writer(self, worker: int) -> "Near":
        return self

    def write(self, op: int) -> Result:
        time.sleep(0.001)
        return ACKED

    def close(self) -> None: ...

    def read_back(self) -> Iterable[OpIds]:
        return []

    def discard(self) -> None: ...


@dataclass(frozen=True)
class Kept:
    """How a load kept up."""

    rate: float  # durable acknowledgements a second, over the intended ones
    not_acked: int
    longest_stall: float
    late_ms: tuple[float, float]  # sent after due: median, 99th percentile
    processor: float  # cores


def offered(folder: Path, rate: float) -> Kept:
    """Offer `rate` operations a second, and look at what the ledger says."""
    stalls: list[float] = [0.0]
    ledger = LedgerWriter(folder / "ledger.bin", "bench")
    events = EventLog(folder / "events", time.monotonic_ns, datetime.now(UTC), lambda _: None)
    ticker = Ticker(lambda _, seconds: stalls.append(seconds), 0.1)
    stream = Stream("bench", "g", Near(), rate=rate, workers=min(255, round(rate / 125)))
    load = Load([stream], ledger, Recorder(ledger, events), lambda _, late: stalls.append(late))
    processor = time.process_time()
    ticker.start()
    began = load.start()
    time.sleep(SECONDS)
    until, _ = load.stop()
    ticker.stop()
    processor = time.process_time() - processor
    ledger.close()
    events.close()
    history = read_ledger(folder / "ledger.bin").streams[1]
    acked = history.having(Outcome.ACKED)
    late = (history.sent[acked] - history.due[acked]) / 1e6
    return Kept(
        int(acked.sum()) / ((until - began) / 1e9),
        int((~acked).sum()),
        max(stalls),
        (float(np.median(late)), float(np.percentile(late, 99))),
        processor / SECONDS,
    )


def bare_rate(folder: Path, rate: float) -> float:
    """The same two records an operation, a commit each tick, as fast as the disk takes them."""
    piece = bytes(round(2 * rate * TICK) * RECORD.itemsize)
    file = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    began, count = time.monotonic(), 0
    while time.monotonic() - began < 2:
        os.write(file, piece)
        os.fdatasync(file)
        count += 1
    os.close(file)
    return count * rate * TICK / (time.monotonic() - began)


@pytest.fixture(params=["memory", "disk"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "disk":
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


@pytest.mark.parametrize("rate", RATES)
def test_the_ledger_keeps_up(folder: Path, rate: int) -> None:
    where = "memory" if MEMORY in folder.parents else "disk"
    kept, bare = offered(folder, rate), bare_rate(folder, rate)
    print(
        f"\n{rate:,}/s durable in {where}: kept {kept.rate:,.0f}/s, {kept.not_acked} not acked, "
        f"sent {kept.late_ms[0]:.1f} ms after due (p99 {kept.late_ms[1]:.0f}), longest stall "
        f"{kept.longest_stall:.2f} s, {kept.processor:.2f} cores; "
        f"of a bare write+fdatasync loop's {bare:,.0f}/s: {kept.rate / bare:.2f}"
    )
    if rate == PROMISED:
        assert kept.not_acked == 0
        assert kept.longest_stall < STALL
