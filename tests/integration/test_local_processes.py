"""One program of a server, out of everything that it started."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from cluster.clock import SYSTEM_CLOCK, wait_for
from cluster.local import processes
from cluster.local.processes import Owned


@pytest.fixture
def family() -> Iterator[tuple[Owned, Owned]]:
    """A shell that has started a shell, as a postmaster has its backends."""
    script = "sh -c 'sleep 60; true' & wait"
    parent = psutil.Popen(["sh", "-c", script], stdin=subprocess.DEVNULL)
    [child] = wait_for(
        "the child", lambda: [c for c in parent.children() if c.name() == "sh"], seconds=60
    )
    yield _owned(parent), _owned(child)
    for process in (parent, *_everyone(child)):
        with suppress(psutil.Error):
            process.kill()
    parent.wait()


def test_the_head_of_a_family_is_the_one_that_nobody_of_it_started(
    family: tuple[Owned, Owned],
) -> None:
    parent, child = family
    assert processes.heads([child, parent]) == (parent,)
    assert processes.heads([child]) == (child,)


def test_exactly_that_process_is_ended(family: tuple[Owned, Owned]) -> None:
    parent, child = family
    before = SYSTEM_CLOCK.monotonic()
    assert processes.end([parent], SYSTEM_CLOCK) >= before
    assert not processes.alive(parent.pid)
    assert processes.alive(child.pid)


def test_another_process_of_that_pid_is_not_hit(family: tuple[Owned, Owned]) -> None:
    parent, _ = family
    earlier = Owned(parent.pid, parent.created - 5, parent.server, parent.name)
    processes.end([earlier], SYSTEM_CLOCK)
    assert processes.alive(parent.pid)


def _everyone(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _owned(process: psutil.Process) -> Owned:
    return Owned(process.pid, process.create_time(), "pg1", process.name())
