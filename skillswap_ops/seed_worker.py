"""A process that makes communities and stores them; it ends with the process that began it."""

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from multiprocessing.synchronize import Event
from typing import TypeVar

import mongo.seeding
import postgres.seeding
from cluster.clock import wait_for
from cluster.dataset import world
from cluster.dataset.world import Batch, Plan
from cluster.errors import OpsError
from cluster.schema.types import Store
from mongo.client import Client
from skillswap_ops.options import Selection
from skillswap_ops.wiring import LocalContext, local_context

PATIENCE_SECONDS = 180  # longer than any failover within the SLA (TP3 §5: PostgreSQL 2 min)
EVERY_SECONDS = 0.5
T = TypeVar("T")


@dataclass(frozen=True)
class Stored:
    """Rows by entity: all that are there now, and those of them that were added."""

    rows: "Counter[str]"
    added: "Counter[str]"

    def __add__(self, other: "Stored") -> "Stored":
        return Stored(self.rows + other.rows, self.added + other.added)


@dataclass(frozen=True)
class _Place:
    """Where this process stores what."""

    context: LocalContext
    client: Client
    plan: Plan
    known: int
    stop: Event


_open = ExitStack()
_here: list[_Place] = []


def begin(selection: Selection, plan: Plan, known: int, stop: Event) -> None:
    """Prepare the process.

    `known`: so many users may be there already. `stop` is set when all is to end.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    context = local_context(selection, must_exist=True)
    client = _open.enter_context(mongo.seeding.application(context))
    _here.append(_Place(context, client, plan, known, stop))


def _end_with_parent() -> None:
    """A pool's processes wait for work for ever; nothing may be left behind a killed parent."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def shared() -> Stored:
    """Store what all communities refer to."""
    return _documents(_here[0], world.shared(), look_first=True)


def store(numbers: range) -> Stored:
    """Store these communities: each entity after those that it refers to, payments last."""
    place = _here[0]
    communities = [place.plan.community(number) for number in numbers]
    look_first = communities[0].first < place.known
    total = Stored(Counter(), Counter())
    payments = []
    for batch in world.merged(communities):
        if batch.entity.store is Store.POSTGRES:
            payments.append(batch)
        else:
            total += _documents(place, batch, look_first=look_first)
    return total + _payments(place, payments, look_first=look_first)


def _documents(place: _Place, batch: Batch, *, look_first: bool) -> Stored:
    def attempt(again: bool) -> int:  # noqa: FBT001 - `_patiently` calls it
        return mongo.seeding.store(
            place.client, batch.entity, batch.rows, look_first=look_first or again
        )

    added = _patiently(batch.entity.name, attempt)
    name = batch.entity.name
    return Stored(Counter({name: len(batch.rows)}), Counter({name: added}))


def _payments(place: _Place, batches: list[Batch], *, look_first: bool) -> Stored:
    if not batches:
        return Stored(Counter(), Counter())

    def attempt(again: bool) -> dict[str, int]:  # noqa: FBT001
        return postgres.seeding.store(place.context, batches, look_first=look_first or again)

    added = _patiently("payments", attempt)
    rows = {batch.entity.name: len(batch.rows) for batch in batches}
    return Stored(Counter(rows), Counter(added))


def _patiently(what: str, attempt: Callable[[bool], T]) -> T:
    """The attempt's result; it is made again, and told so, while a server does not answer."""
    tries = count()

    def probe() -> tuple[T]:
        if _here[0].stop.is_set():
            raise OpsError("stopped, because another worker failed")
        return (attempt(next(tries) > 0),)

    return wait_for(f"storing {what}", probe, seconds=PATIENCE_SECONDS, every=EVERY_SECONDS)[0]
