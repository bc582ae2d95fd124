"""What the local target breaks without root, on plain processes that carry its mark."""

import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cluster.clock import SYSTEM_CLOCK, wait_for
from cluster.errors import InvalidInputError, OpsError, RefusedError
from cluster.layout import Layout
from cluster.local.target import LocalTarget
from cluster.target import CanFreeze, CanKill, CanThrottle, CanWipe
from tests.unit.local_processes import Start, server, start, target

__all__ = ["start", "target"]

# Forks for ever, as PostgreSQL does when it is busy: there is always a child just born.
FORKING = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("runs", flush=True)
while True:
    if os.fork() == 0:
        time.sleep(0.05)
        os._exit(0)
    time.sleep(0.002)
"""
IDLE = "import time; print('runs', flush=True); time.sleep(600)"
BUSY = """
import os, select, sys
print("runs", flush=True)
while True:
    if select.select([sys.stdin], [], [], 0)[0] and sys.stdin.readline() and os.fork() == 0:
        while True:
            pass
"""
PARENT = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        time.sleep(600)
print("runs", flush=True)
time.sleep(600)
"""


def states(process: "subprocess.Popen[str]") -> set[str]:
    parent = psutil.Process(process.pid)
    found = set()
    for each in (parent, *parent.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it has ended since they were listed
            found.add(each.status())
    return found


def test_frozen_with_its_children_and_nobody_else(target: LocalTarget, start: Start) -> None:
    frozen, other = start("pg1", PARENT), start("pg2", PARENT)
    hit = target.freeze([server("pg1")])
    assert states(frozen) == {psutil.STATUS_STOPPED}
    assert psutil.STATUS_STOPPED not in states(other)
    assert (
        hit.proof == f"SIGSTOP: pg1 (4 {psutil.Process(frozen.pid).name()}) stand still (state T)"
    )
    target.thaw([server("pg1")])
    assert psutil.STATUS_STOPPED not in states(frozen)
    target.thaw([server("pg1")])


def test_nothing_born_meanwhile_escapes(target: LocalTarget, start: Start) -> None:
    forking = start("pg1", FORKING)
    for _ in range(5):
        target.freeze([server("pg1")])
        assert states(forking) <= {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
        target.thaw([server("pg1")])
        assert psutil.STATUS_STOPPED not in states(forking)


def test_thawed_by_another_process_from_names_alone(
    target: LocalTarget, start: Start, tmp_path: Path
) -> None:
    frozen = start("redis", PARENT)
    target.freeze([server("redis")])
    healer = LocalTarget(Layout(tmp_path), target.user, "supervisord")
    healer.thaw([server("redis"), server("never-started")])
    assert psutil.STATUS_STOPPED not in states(frozen)


def test_nothing_to_freeze(target: LocalTarget) -> None:
    with pytest.raises(OpsError, match="nothing of pg1 runs"):
        target.freeze([server("pg1")])


def test_frozen_servers_can_be_killed(target: LocalTarget, start: Start) -> None:
    frozen = start("pg1", PARENT)
    target.freeze([server("pg1")])
    assert "4 processes" in target.kill([server("pg1")]).proof
    wait_for("its end", lambda: frozen.poll() is not None, seconds=5)


def test_wiped_but_for_the_folder_and_what_links_point_to(
    target: LocalTarget, start: Start, tmp_path: Path
) -> None:
    victim = server("shard-a-1")
    data, outside = target.layout.data(victim.node), tmp_path / "outside"
    (data / "journal").mkdir(parents=True)
    data.chmod(0o710)
    (data / "journal" / "log").write_text("12345")
    (data / ".hidden").write_text("123")
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (data / "link").symlink_to(outside)
    (data / "journal" / "dangling").symlink_to("nowhere")
    before = data.stat()
    process = start("shard-a-1", IDLE)
    hit = target.wipe(victim)
    wait_for("its end", lambda: process.poll() is not None, seconds=5)
    assert list(data.iterdir()) == []
    assert (outside / "kept").read_text() == "kept"
    after = data.stat()
    assert (after.st_mode, after.st_uid, after.st_ino) == (
        before.st_mode,
        before.st_uid,
        before.st_ino,
    )
    links = len(str(outside)) + len("nowhere")
    assert f"1 processes of shard-a-1 are gone; 4 files of {8 + links} bytes" in hit.proof
    with pytest.raises(OpsError, match="was empty already"):
        target.wipe(victim)


def test_a_linked_data_folder_is_not_wiped(
    target: LocalTarget, start: Start, tmp_path: Path
) -> None:
    victim = server("shard-a-1")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    data = target.layout.data(victim.node)
    data.parent.mkdir(parents=True)
    data.symlink_to(tmp_path / "elsewhere")
    process = start("shard-a-1", IDLE)
    with pytest.raises(RefusedError, match="symbolic link"):
        target.wipe(victim)
    assert process.poll() is None
    assert (tmp_path / "elsewhere" / "kept").exists()


def used(process: "subprocess.Popen[str]") -> float:
    """Processor seconds of a process and of the children that it has."""
    parent = psutil.Process(process.pid)
    return sum(sum(each.cpu_times()[:2]) for each in (parent, *parent.children()))


def test_throttled_to_its_share_with_children_that_come_later(
    target: LocalTarget, start: Start
) -> None:
    busy = start("pg1", BUSY)
    hit = target.throttle([server("pg1")], 0.2)
    assert "stood still in" in hit.proof
    before = len(psutil.Process(busy.pid).children())
    assert busy.stdin is not None
    busy.stdin.write("fork\n")
    busy.stdin.flush()
    wait_for("a child", lambda: len(psutil.Process(busy.pid).children()) > before, seconds=10)
    [child] = psutil.Process(busy.pid).children()
    looks: list[bool] = []
    wait_for("the child being found", lambda: child.status() == psutil.STATUS_STOPPED, seconds=5)
    for _ in range(100):
        looks.append(child.status() == psutil.STATUS_STOPPED)
        SYSTEM_CLOCK.sleep(0.01)
    assert 0.5 < sum(looks) / len(looks) < 0.98
    target.release([server("pg1")])
    target.release([server("pg1")])
    for _ in range(30):
        assert psutil.STATUS_STOPPED not in states(busy)
        SYSTEM_CLOCK.sleep(0.01)


def test_a_throttle_uses_that_share_of_a_processor(target: LocalTarget, start: Start) -> None:
    """Of a processor that others load too: it may get less, and never much more."""
    busy = start("pg1", BUSY)
    target.throttle([server("pg1")], 0.25)
    began, before = SYSTEM_CLOCK.monotonic(), used(busy)
    SYSTEM_CLOCK.sleep(2)
    assert used(busy) - before < 0.4 * (SYSTEM_CLOCK.monotonic() - began)
    target.release([server("pg1")])


def test_a_throttle_left_behind_is_released_by_another(
    target: LocalTarget, start: Start, tmp_path: Path
) -> None:
    """As after kill -9 of the program that throttled, at the worst moment."""
    busy = start("pg1", BUSY)
    program = (
        "from pathlib import Path\n"
        "from tests.unit.local_processes import local_target, server\n"
        f"target = local_target(Path({str(tmp_path)!r}))\n"
        "target.throttle([server('pg1')], 0.05)\n"
        "print('runs', flush=True)\n"
        "import time; time.sleep(600)"
    )
    harness = start("harness", program)
    wait_for("a stop", lambda: states(busy) == {psutil.STATUS_STOPPED}, seconds=5, every=0.001)
    harness.kill()
    harness.wait()
    assert states(busy) == {psutil.STATUS_STOPPED}
    target.release([server("pg1")])
    assert psutil.STATUS_STOPPED not in states(busy)


def test_throttling_needs_a_share_and_something_that_runs(
    target: LocalTarget, start: Start
) -> None:
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        target.throttle([server("pg1")], 1.0)
    with pytest.raises(OpsError, match="nothing of pg1 runs"):
        target.throttle([server("pg1")], 0.5)


@pytest.mark.parametrize("need", [CanKill, CanFreeze, CanThrottle, CanWipe])
def test_what_needs_no_root_is_not_lacking(target: LocalTarget, need: type) -> None:
    assert target.lacks(need) == ""
