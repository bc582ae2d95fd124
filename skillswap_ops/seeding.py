"""Seeds both stores: the plan, the worker processes, what is tried again, and what was stored."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from multiprocessing import get_context

import mongo.seeding
from cluster.dataset.record import Record, planned
from cluster.dataset.world import Plan
from cluster.errors import InconclusiveError, OpsError
from cluster.lock import exclusive
from cluster.schema.catalogue import ENTITIES, SEGMENTS
from mongo.references import assert_applied as assert_collections
from postgres import guarantees
from postgres.guarantees import Way
from postgres.references import assert_applied as assert_tables
from skillswap_ops import seed_worker
from skillswap_ops.options import Selection
from skillswap_ops.seed_worker import Stored
from skillswap_ops.wiring import LocalContext, local_context

AGAIN = "run the same command again: it goes on from there"
QUEUED = 2  # groups that a worker has before it: its own and the next
TOGETHER = 5  # communities: about 70,000 rows, 100 MB in a worker
SHARES = 4  # groups that each worker has at least, where there are enough communities
MOST_WORKERS = 64
TRACKER = "ignore:resource_tracker:UserWarning"


@dataclass(frozen=True)
class EntityRows:
    """The rows of one entity that are there now, and how many of them this run added."""

    entity: str
    store: str
    rows: int
    added: int


@dataclass(frozen=True)
class Seeded:
    """What a run did. `seconds` are of this run alone."""

    users: int
    seed: int
    as_of: date
    workers: int
    rows: int
    added: int
    seconds: float
    entities: tuple[EntityRows, ...]


@dataclass(frozen=True)
class Progress:
    """How far it is: users whose rows are stored, rows by entity; `round` 2 looks again."""

    users: int
    of: int
    rows: "Counter[str]"
    round: int = 1


OnProgress = Callable[[Progress], None]


def default_workers() -> int:
    """One for two processors.

    A worker makes rows far faster than the servers store them, which on the local target share its
    processors: measured on two, a second worker slowed them down by a fifth.
    """
    return min(MOST_WORKERS, max(1, (os.cpu_count() or 1) // 2))


def seed(
    selection: Selection,
    users: int,
    number: int,
    as_of: date | None,
    workers: int,
    on_progress: OnProgress,
) -> Seeded:
    """Store the data set, or what is missing of it.

    Raises RefusedError where the schema is not applied, or other data is in the way; OpsError where
    a worker failed; UnreachableError where a server did not come back in time.
    """
    context = local_context(selection, must_exist=True)
    began = context.clock.monotonic()
    with exclusive(context.layout.root / "seed.lock", "data seed"):
        plan, known = _begin(context, users, number, as_of)
        terms = _elections(context)
        first = _round(selection, plan, known, workers, on_progress, 1)
        added = first.added
        if terms is None or terms != _elections(context):
            # What was acknowledged at w:1 before an election may have been taken back.
            added = added + _round(selection, plan, plan.users, workers, on_progress, 2).added
    return _summary(plan, workers, first.rows, added, context.clock.monotonic() - began)


def _begin(context: LocalContext, users: int, number: int, as_of: date | None) -> tuple[Plan, int]:
    """The plan, noted; and how many of its users may be there already."""
    with guarantees.session(context, Way.DIRECT) as connection:
        assert_tables(connection, context.topology.postgres.database)
    with mongo.seeding.application(context) as client:
        assert_collections(client, SEGMENTS)
        found = mongo.seeding.recorded(client, number)
        plan = planned(found, users, number, as_of, datetime.now(UTC).date())
        mongo.seeding.record(client, plan, Record(plan.users, plan.as_of))
    return plan, found.users if found else 0


def _elections(context: LocalContext) -> tuple[int, ...] | None:
    with suppress(InconclusiveError):
        return mongo.seeding.elections(context)
    return None


def _round(
    selection: Selection,
    plan: Plan,
    known: int,
    workers: int,
    on_progress: OnProgress,
    number: int,
) -> Stored:
    """Store every community, in several processes; the shared documents first."""
    total, users = Stored(Counter(), Counter()), 0
    on_progress(Progress(0, plan.users, Counter(), number))
    _hush()
    processes = get_context("spawn")
    stop = processes.Event()
    executor = ProcessPoolExecutor(
        min(workers, plan.communities),
        processes,
        seed_worker.begin,
        (selection, plan, known, stop),
    )
    try:
        total += executor.submit(seed_worker.shared).result()
        for numbers, stored in _results(executor, groups(plan, workers), workers * QUEUED):
            total += stored
            users += sum(plan.community(number).size for number in numbers)
            on_progress(Progress(users, plan.users, total.rows, number))
    except BrokenProcessPool as error:
        raise OpsError(
            "a worker process ended (killed, or out of memory)", f"{AGAIN}; try fewer --workers"
        ) from error
    finally:
        stop.set()
        executor.shutdown(cancel_futures=True)
    return total


def _hush() -> None:
    """A run that was stopped leaves semaphores that Python removes; nobody needs to read of it.

    The process that removes them takes its filters of warnings from here.
    """
    if TRACKER not in sys.warnoptions:
        sys.warnoptions.append(TRACKER)


def groups(plan: Plan, workers: int) -> list[range]:
    """Which communities are stored together: few where there are few, so that all workers work.

    Larger batches cost the servers less: fewer waits for a majority, fewer leaps between indexes.
    """
    size = max(1, min(TOGETHER, plan.communities // (workers * SHARES)))
    everybody = range(plan.communities)
    return [everybody[at : at + size] for at in range(0, plan.communities, size)]


def _results(
    executor: ProcessPoolExecutor, work: Iterable[range], most: int
) -> Iterable[tuple[range, Stored]]:
    """Each group as it is stored; never more than `most` under way."""
    left = iter(work)
    running: dict[Future[Stored], range] = {}
    while True:
        for numbers in islice(left, most - len(running)):
            running[executor.submit(seed_worker.store, numbers)] = numbers
        if not running:
            return
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            yield running.pop(future), future.result()


def _summary(
    plan: Plan, workers: int, rows: "Counter[str]", added: "Counter[str]", seconds: float
) -> Seeded:
    entities = tuple(
        EntityRows(entity.name, entity.store.value, rows[entity.name], added[entity.name])
        for entity in ENTITIES
    )
    return Seeded(
        plan.users,
        plan.seed,
        plan.as_of,
        workers,
        rows.total(),
        added.total(),
        round(seconds, 1),
        entities,
    )
