"""An overloaded machine is noticed, and excuses what is late; never what is lost."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cluster.clock import wait_for
from cluster.drill.pressure import SOURCE, Gauge, Reading, overloaded, waited

LINES = "some avg10=2.94 avg60=11.92 avg300=48.80 total={}\nfull avg10=0.00 total=0\n"


def test_the_kernels_text_is_read() -> None:
    assert waited(LINES.format(8_730_773_086)) == pytest.approx(8730.773086)
    with pytest.raises(ValueError, match="invalid literal"):
        waited("")


@pytest.mark.parametrize(
    ("waits", "idles", "share"),
    [
        (1.0, 0.0, 1.0),
        (0.9, 0.1, 0.9),
        (0.9, 0.5, None),  # wake-ups beside an idle processor
        (0.5, 0.0, None),  # busy, and nobody waits much
        (0.8, 0.0, None),
    ],
)
def test_both_waiting_and_busy_is_overloaded(
    waits: float, idles: float, share: float | None
) -> None:
    before, after = Reading(100, 1000), Reading(100 + 5 * waits, 1000 + 5 * idles)
    found = overloaded(before, after, 5, 0.8)
    assert found is None if share is None else found == pytest.approx(share)


@pytest.mark.parametrize(("share", "told"), [(1.0, True), (0.2, False)])
def test_a_share_above_the_limit_is_told(share: float, told: bool) -> None:
    shares: list[float] = []
    looked = threading.Semaphore(0)

    def read() -> Reading:
        looked.release()
        return Reading(time.monotonic() * share, 0.0)

    gauge = Gauge(lambda found, _: shares.append(found), 0.8, read, 0.02)
    gauge.start()
    for _ in range(5):
        assert looked.acquire(timeout=10)
    gauge.stop()
    assert bool(shares) is told


def test_a_kernel_that_does_not_say_is_no_trouble() -> None:
    def read() -> Reading:
        raise FileNotFoundError

    gauge = Gauge(lambda *_: None, 0.8, read)
    gauge.start()
    gauge.join(10)
    assert not gauge.is_alive()


@pytest.mark.skipif(not SOURCE.exists(), reason="this kernel keeps no pressure statistics")
def test_more_work_than_processors_is_felt() -> None:
    """The real gauge beside more busy processes than there are processors."""
    told = threading.Event()
    gauge = Gauge(lambda *_: told.set(), 0.8, interval=0.5)
    busy = 4 * (os.cpu_count() or 1)
    children = []
    try:
        for _ in range(busy):
            child = os.posix_spawn("/bin/sh", ["sh", "-c", "while :; do :; done"], {})
            children.append(child)
        gauge.start()
        wait_for("an overload", told.is_set, seconds=30)
    finally:
        gauge.stop()
        for child in children:
            os.kill(child, 9)
        with ThreadPoolExecutor(1) as pool:
            list(pool.map(lambda pid: os.waitpid(pid, 0), children))
