"""The check of a history of ten million operations: time beside a bare pass, and memory.

The goal is 30 s and 1 GB. The time is told, beside one pass of CRC-32 over the same bytes, the
least that any check of every record must do; the memory is asserted.
"""

import json
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from cluster.drill.contracts import OpIds, Promise
from cluster.drill.evidence import CONFIG, EVENTS, LEDGER, READ_BACK, RunConfig
from cluster.drill.history import Flags, Times
from cluster.drill.ledger import INTENT, RECORD, Records, checksums, header, op_id
from cluster.drill.outcome import Outcome
from tests.unit.drill_samples import MadeUp, ns

OPERATIONS = 10_000_000
STEP_NS = 100_000  # between two operations of the run
PART = 500_000  # operations written at a time
MEMORY_MB = 1000
DOWN = (20, 25)  # seconds; the fault of the made-up run comes at 20
LOST, TWICE = 30, 31  # sequences

CHILD = """
import json, resource, sys, time
from pathlib import Path
from cluster.drill.runner import conclude
began = time.monotonic()
summary = conclude(Path(sys.argv[1]))
seconds = time.monotonic() - began
flows = [stream.compared for stream in summary.streams]
print(json.dumps({
    "seconds": seconds,
    "processor": time.process_time(),
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "conclusion": summary.conclusion,
    "intended": sum(stream.intended for stream in summary.streams),
    "lost": [flow.lost for flow in flows],
    "duplicate": [flow.duplicate for flow in flows],
    "recovered": [flow.recovered > 0 for flow in flows],
    "sustained": summary.stamps.sustained,
}))
"""


def write_run(folder: Path, streams: int) -> Path:
    """A run of ten million operations, an outage in it, one write lost and one applied twice."""
    run = MadeUp(promise=Promise(rto=30), seconds=1).write(folder / "run")
    config = RunConfig.model_validate_json((run / CONFIG).read_bytes())
    rate = 1e9 / STEP_NS / streams
    flows = tuple(
        config.streams[0].model_copy(update={"number": n, "name": f"flow {n}", "rate": rate})
        for n in range(1, streams + 1)
    )
    config = config.model_copy(update={"streams": flows})
    (run / CONFIG).write_text(config.model_dump_json())
    with (run / LEDGER).open("wb") as file:
        file.write(header("bench"))
        for first in range(0, OPERATIONS, PART):
            _records(first, streams).tofile(file)
    sequence = np.arange(OPERATIONS // streams)
    for flow in flows:
        _write_read_back(run, flow.number, sequence, streams)
    assert (run / EVENTS).exists()
    return run


def _due(turn: Times) -> Times:
    return ns(0) + turn * STEP_NS


def _down(due: Times) -> Flags:
    down: Flags = (due >= ns(DOWN[0])) & (due < ns(DOWN[1]))
    return down


def _records(first: int, streams: int) -> Records:
    """Intents and outcomes as a run writes them: by time, outcomes of many workers mixed."""
    turn = np.arange(first, first + PART)
    due = _due(turn)
    took = np.random.default_rng(first).integers(1_000_000, 40_000_000, PART)
    records = np.zeros((2, PART), RECORD)
    records["op"] = ((turn % streams + 1) << op_id(1, 0).bit_length() - 1) | turn // streams
    records["first"] = due
    records["second"] = due - 200_000_000, due + took
    down = np.where(turn % 2, Outcome.UNKNOWN, Outcome.FAILED)
    records["kind"] = np.full(PART, INTENT), np.where(_down(due), down, Outcome.ACKED)
    records["reason"][1] = np.where(_down(due), 1 + turn % 2, 0)
    flat = records.reshape(-1)
    flat = flat[np.argsort(flat["second"], kind="stable")]
    flat["check"] = checksums(flat)
    return flat


def _write_read_back(run: Path, number: int, sequence: Times, streams: int) -> None:
    turn = sequence * streams + number - 1
    kept = ~_down(_due(turn)) | (turn % 2 == 1)  # the unknown ones had executed
    kept[LOST] = False
    rows: OpIds = op_id(number, 0) | sequence[kept]
    rows = np.append(rows, np.int64(op_id(number, TWICE)))
    np.random.default_rng(number).shuffle(rows)
    np.save(run / READ_BACK.format(number=number), rows)


def bare_pass(path: Path) -> tuple[float, float]:
    """Seconds for a CRC-32 of the file, in this process, and seconds of processor."""
    began, processor, check = time.monotonic(), time.process_time(), 0
    with path.open("rb") as file:
        while part := file.read(1 << 24):
            check = zlib.crc32(part, check)
    return time.monotonic() - began, time.process_time() - processor


@pytest.mark.parametrize("streams", [1, 4])
def test_ten_million_operations(tmp_path: Path, streams: int) -> None:
    run = write_run(tmp_path, streams)
    bare, bare_processor = bare_pass(run / LEDGER)
    told = json.loads(subprocess.check_output([sys.executable, "-c", CHILD, str(run)], text=True))
    print(
        f"\n{told['intended']:,} operations in {streams} streams, "
        f"{(run / LEDGER).stat().st_size / 1e6:,.0f} MB: checked in {told['seconds']:.1f} s "
        f"({told['processor']:.1f} s of processor), {told['peak_mb']:.0f} MB resident; beside one "
        f"bare pass of {bare:.1f} s ({bare_processor:.1f} s): {told['seconds'] / bare:.1f} "
        f"({told['processor'] / bare_processor:.1f})"
    )
    assert told["intended"] == OPERATIONS
    assert told["lost"] == told["duplicate"] == [1] * streams
    assert told["recovered"] == [turn % 2 == 1 or streams == 1 for turn in range(streams)]
    assert told["conclusion"] == "fail"
    assert 5 <= told["sustained"] < 5.1
    assert told["peak_mb"] < MEMORY_MB
