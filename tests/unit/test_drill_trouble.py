"""A harness in trouble: stopped for a while, or out of disk; told clearly, and never a verdict.

The drill runs in a process of its own, on a cluster in memory: that one is not what is tested.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.drill.evidence import load_run, runs
from cluster.drill.journal import Journal
from cluster.drill.judge import recheck
from cluster.drill.verdict import Conclusion, Validity

CHILD = """
import json, resource, sys
from pathlib import Path
from cluster.drill.events import Injected
from cluster.drill.evidence import EVENTS, LEDGER, runs
from cluster.drill.runner import Hooks, Options, run_drill
import pytest
from tests.unit.drill_fakes import RULES, FakeCluster, drill, quicken, stream
quicken(pytest.MonkeyPatch())
drills, full = Path(sys.argv[1]), sys.argv[2] == "full disk"
cluster = FakeCluster()

def on_event(event):
    if isinstance(event.what, Injected):
        if full:  # no file may grow much beyond the ledger's size now
            size = (runs(drills)[0] / LEDGER).stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 2000, size + 2000))
        print("hit", flush=True)

plan = drill(cluster, streams=(stream(cluster, rate=2000, workers=4),))
summary = run_drill(plan, drills, Options(7, "0.1.0", RULES), Hooks(on_event))
print(json.dumps([summary.exit_code, summary.reasons, cluster.dead, len(cluster.mended)]))
"""


@contextmanager
def drill(folder: Path, trouble: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), trouble],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout
    assert process.stdout.readline() == "hit\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def end(process: "subprocess.Popen[str]") -> tuple[int, list[str], bool, int]:
    out, _ = process.communicate(timeout=60)
    code, reasons, dead, mended = json.loads(out)
    return code, reasons, dead, mended


def test_a_drill_that_was_stopped_for_a_while_decides_nothing(tmp_path: Path) -> None:
    with drill(tmp_path, "stopped") as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)  # the stall itself
        process.send_signal(signal.SIGCONT)
        code, reasons, dead, _ = end(process)
    assert code == 3
    assert [reason for reason in reasons if reason.startswith("stood still for 1.")]
    assert not dead
    (folder,) = runs(tmp_path)
    longest = max(load_run(folder).timeline.stalls, key=lambda stall: stall.seconds)
    assert 1.3 < longest.seconds < 10
    verdict = recheck(folder)
    assert verdict.conclusion is Conclusion.INCONCLUSIVE
    (harness, *_) = [finding for finding in verdict.findings if finding.check == "harness"]
    assert harness.validity is Validity.UNKNOWN


def test_a_full_disk_breaks_the_load_off_and_still_undoes(tmp_path: Path) -> None:
    with drill(tmp_path, "full disk") as process:
        code, reasons, dead, mended = end(process)
    assert code == 3
    assert "the load broke off: [Errno 27] File too large" in reasons
    assert (dead, mended) == (False, 1)
    Journal(tmp_path).refuse_if_open()
    (folder,) = runs(tmp_path)
    verdict = recheck(folder)
    assert verdict.conclusion is Conclusion.INCONCLUSIVE
    assert not [f for f in verdict.findings if f.validity is Validity.INVALID]
