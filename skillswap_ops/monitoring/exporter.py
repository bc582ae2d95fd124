"""Looks at every node at once, with a deadline, and gives Prometheus what was seen.

A node that does not answer holds the others up once at most: its question stays with the thread
that waits for it; it is not asked again before that has ended, and then is hardly waited for.

Where most nodes are slow to say nothing while this machine's processors are overloaded, it is the
exporter that is blind, and not they that are down: such a look has no readings but its own.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

import mongo.metrics
import postgres.metrics
from cluster.context import Context
from cluster.drill.pressure import Reading as Pressure
from cluster.drill.pressure import overloaded
from cluster.drill.pressure import read as read_pressure
from cluster.inventory import Node
from cluster.metrics import METRICS, NODE, PREFIX, Reader, Reading, Type, values
from manifests import redis
from skillswap_ops.monitoring import records

DEADLINE = 2.5  # seconds; a scrape of Prometheus's own gives up after 10
RECORDS_SECONDS = 60.0  # between two looks at what is written down
SLOW_SECONDS = 0.2  # so long one is waited for whose last question was not answered
OVERLOADED = 0.9  # of a look's time something waited for a busy processor
BLIND = 0.5  # of the nodes say nothing in time


def all_readers(context: Context) -> tuple[Reader, ...]:
    """Every node of the topology."""
    return (
        *mongo.metrics.readers(context),
        *postgres.metrics.readers(context),
        *redis.readers(context),
    )


@dataclass(frozen=True)
class Answer:
    """What a node said after so many seconds; no readings: nothing, or an error."""

    seconds: float
    readings: Sequence[Reading] | None


@dataclass(eq=False)
class _Asked:
    """A reader, and its last question. `slow`: that was not answered, and took its time."""

    reader: Reader
    question: "Future[Answer] | None" = None
    slow: bool = False

    @property
    def free(self) -> bool:
        """Whether it may be asked: an answer to an older question would be old news."""
        return self.question is None or self.question.done()


def pressure_now() -> Pressure | None:
    """What of its time this machine has waited; None where the kernel does not say."""
    try:
        return read_pressure()
    except (OSError, ValueError):
        return None


class Looker:
    """Asks all readers at once. One look at a time."""

    def __init__(
        self,
        readers: Sequence[Reader],
        deadline: float = DEADLINE,
        pressure: Callable[[], Pressure | None] = pressure_now,
    ) -> None:
        self._all = [_Asked(reader) for reader in readers]
        self._deadline, self._pressure = deadline, pressure
        self._pool = ThreadPoolExecutor(max(1, len(readers)), thread_name_prefix="read")
        self._lock = threading.Lock()

    def look(self) -> list[Reading]:
        """What they say now, and for each whether it said anything."""
        began, before = time.monotonic(), self._pressure()
        with self._lock:
            fresh = [one for one in self._all if one.free]
            for one in fresh:
                one.question = self._pool.submit(_read, one.reader)
            wait([one.question for one in fresh if one.question and not one.slow], self._deadline)
            wait([one.question for one in fresh if one.question and one.slow], SLOW_SECONDS)
            found: list[Reading] = []
            for one in self._all:
                done = one.question if one in fresh and one.free else None
                answer = done.result() if done else None
                one.slow = answer is None or (
                    answer.readings is None and answer.seconds > SLOW_SECONDS
                )
                found += _of_node(one.reader.node, answer)
            late = sum(not one.free for one in self._all)
        seconds = time.monotonic() - began
        after = self._pressure()
        share = overloaded(before, after, seconds, OVERLOADED) if before and after else None
        slow = sum(one.slow for one in self._all)
        blind = is_blind(slow, len(self._all), overload=share is not None)
        return [
            *([] if blind else found),
            Reading("exporter_blind", blind),
            Reading("exporter_late_readers", late),
            Reading("exporter_read_seconds", seconds),
        ]

    def close(self) -> None:
        """Let go of all connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for one in self._all:
            one.reader.close()


def is_blind(slow: int, asked: int, *, overload: bool) -> bool:
    """Whether a look says more of an overloaded machine than of the nodes. Pure.

    `slow` are silent, and not because their ports are closed: that is known at once.
    """
    return overload and slow > BLIND * asked


def _read(reader: Reader) -> Answer:
    began = time.monotonic()
    try:
        readings: Sequence[Reading] | None = reader.read()
    except Exception:  # noqa: BLE001 - one node, or our own defect, must not hide all the others
        readings = None
    return Answer(time.monotonic() - began, readings)


def _of_node(node: Node, answer: Answer | None) -> list[Reading]:
    words = (node.name, node.kind.value, node.group, node.region, node.zone)
    labels = dict(zip(NODE, words, strict=True))
    if answer is None or answer.readings is None:
        return [Reading("node_up", 0, labels)]
    return [
        Reading("node_up", 1, labels),
        Reading("node_answer_seconds", answer.seconds, labels),
        *answer.readings,
    ]


class Unprotected:
    """Adds up the time that commits waited for no standby, though one is wanted."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._sums: dict[str, float] = {}
        self._since: dict[str, float] = {}

    def add(self, readings: Sequence[Reading]) -> list[Reading]:
        """The sums with this look. Between two looks it was as at both: else as at the first."""
        now = self._monotonic()
        primaries = values(readings, "postgres_primaries")
        standbys = values(readings, "postgres_synchronous_standbys")
        for (scope,), wanted in values(readings, "postgres_synchronous_wanted").items():
            since = self._since.pop(scope, now)
            self._sums[scope] = self._sums.get(scope, 0.0) + now - since
            if wanted and primaries[scope,] and not standbys[scope,]:
                self._since[scope] = now
        return [
            Reading("postgres_unprotected_seconds", seconds, {"scope": scope})
            for scope, seconds in self._sums.items()
        ]


class Exporter(Collector):
    """What Prometheus scrapes."""

    def __init__(
        self,
        context: Context,
        readers: Sequence[Reader] | None = None,
        pressure: Callable[[], Pressure | None] = pressure_now,
    ) -> None:
        self._context = context
        asked = all_readers(context) if readers is None else readers
        self._looker = Looker(asked, pressure=pressure)
        self._unprotected = Unprotected()
        self._records: tuple[float, Sequence[Reading]] | None = None
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep_records, name="records", daemon=True)

    def start(self) -> None:
        """Begin to read what is written down, again and again."""
        self._keeper.start()

    def close(self) -> None:
        """End."""
        self._over.set()
        self._looker.close()

    def readings(self) -> list[Reading]:
        """One look at everything."""
        seen = self._looker.look()
        if values(seen, "node_up"):
            seen += mongo.metrics.of_sets(self._context, seen)
            seen += postgres.metrics.of_scopes(self._context, seen)
            seen += self._unprotected.add(seen)
        seen += _storage(self._context)
        if self._records:
            at, kept = self._records
            age = Reading("records_age_seconds", time.monotonic() - at)
            seen += [age, *kept]
        return seen

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """For prometheus_client."""
        return families(self.readings())

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: else registering would look at the cluster."""
        return []

    def _keep_records(self) -> None:
        while not self._over.is_set():
            self._records = (time.monotonic(), records.read(self._context))
            self._over.wait(RECORDS_SECONDS)


def families(
    readings: Iterable[Reading],
) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
    """Readings as prometheus_client has them, in the catalogue's order; each series once."""
    seen = list(readings)
    for metric in METRICS:
        series = values(seen, metric.name)
        if not series:
            continue
        make = CounterMetricFamily if metric.type is Type.COUNTER else GaugeMetricFamily
        family = make(PREFIX + metric.name, metric.help, labels=metric.labels)
        for labels, value in series.items():
            family.add_metric(labels, value)
        yield family


def _storage(context: Context) -> list[Reading]:
    """The volumes of the nodes' data, where this machine has them."""
    found = []
    for node in context.inventory.nodes:
        for volume, folder in (
            ("data", context.layout.data(node)),
            ("wal", context.layout.wal(node)),
        ):
            try:
                there = os.statvfs(folder)
            except OSError:
                continue
            labels = {"node": node.name, "volume": volume}
            free, size = there.f_bavail * there.f_frsize, there.f_blocks * there.f_frsize
            found.append(Reading("node_storage_free_bytes", free, labels))
            found.append(Reading("node_storage_size_bytes", size, labels))
    return found
