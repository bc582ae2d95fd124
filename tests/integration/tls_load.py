"""Clients that write and read all the while, each by TLS, and count what became of it."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

import httpx
import numpy as np
import psycopg
from pymongo.errors import PyMongoError

from cluster.drill.contracts import Writer
from cluster.drill.ledger import op_id
from cluster.drill.outcome import Outcome
from cluster.tls_context import client_context
from manifests.services import places
from mongo import writer as mongo
from postgres import names
from postgres import writer as postgres
from skillswap_ops.wiring import LocalContext

EVERY_SECONDS = 0.05
WITHIN = 5.0


class Store(Protocol):
    """What a stream writes to."""

    def prepare(self, run: str) -> None: ...
    def open_writer(self, worker: int) -> Writer: ...
    def read_back(self) -> "Iterator[object]": ...
    def discard(self) -> None: ...


@dataclass
class Stream:
    """One client: `ask` is called again and again, and says "" or what was wrong."""

    name: str
    ask: Callable[[int], str]
    fine: int = 0
    wrong: Counter[str] = field(default_factory=Counter)

    def run(self, stop: threading.Event) -> None:
        """Ask until it is to stop."""
        while not stop.wait(EVERY_SECONDS):
            said = self.ask(self.fine + sum(self.wrong.values()))
            if said:
                self.wrong[said] += 1
            else:
                self.fine += 1


@dataclass
class Ledger:
    """Writes operations to a store, and remembers which were acknowledged."""

    store: Store
    number: int
    acked: list[int] = field(default_factory=list)
    retries: int = 0
    _writer: Writer | None = None

    def write(self, sequence: int) -> str:
        """One operation."""
        try:
            self._writer = self._writer or self.store.open_writer(self.number)
        except (psycopg.Error, PyMongoError) as error:
            return f"NOT SENT: {str(error).splitlines()[0]}"
        op = op_id(self.number, sequence)
        result = self._writer.write(op)
        self.retries += result.retries
        if result.reopen:
            self._writer = None
        if result.outcome is not Outcome.ACKED:
            return f"{result.outcome.name}: {result.reason}"
        self.acked.append(op)
        return ""

    def lost(self) -> int:
        """How many acknowledged operations are not there, or there twice."""
        there = np.concatenate([*self.store.read_back(), np.array([], dtype=np.int64)])  # type: ignore[arg-type]
        return len(set(self.acked) - {*there.tolist()}) + len(there) - len({*there.tolist()})


@dataclass(frozen=True)
class Load:
    """All of it; what it found is whole after `end`."""

    streams: tuple[Stream, ...]
    ledgers: tuple[Ledger, ...]
    stop: threading.Event
    threads: tuple[threading.Thread, ...]

    def end(self) -> None:
        """Stop asking."""
        self.stop.set()
        for thread in self.threads:
            thread.join()


@contextmanager
def under_load(context: LocalContext, *, api: bool = True) -> Iterator[Load]:
    """Run it beside the block; without services, not `api`."""
    stores: list[Store] = [
        *(
            mongo.SegmentStore(
                context, mongo.WritePath(segment, "tls", retries=True, within=WITHIN)
            )
            for segment in context.topology.mongo.segments
        ),
        postgres.LedgerTable(context, postgres.WritePath("pooled", names.POOLED_PORT, WITHIN)),
        postgres.LedgerTable(context, postgres.WritePath("direct", names.DIRECT_PORT, WITHIN)),
        postgres.LedgerTable(
            context, postgres.WritePath("fresh", names.POOLED_PORT, WITHIN, fresh=True)
        ),
    ]
    run, stop = uuid4().hex[:8], threading.Event()
    ledgers = tuple(Ledger(store, number) for number, store in enumerate(stores, 1))
    with ExitStack() as stack:
        for store in stores:
            store.prepare(run)
            stack.callback(store.discard)
        streams = (
            *(Stream(f"ledger {one.number}", one.write) for one in ledgers),
            *(
                Stream(f"api {each}", _get(context, stack, each))
                for each in ("kept", "fresh")
                if api
            ),
        )
        threads = tuple(threading.Thread(target=one.run, args=(stop,)) for one in streams)
        load = Load(streams, ledgers, stop, threads)
        for thread in threads:
            thread.start()
        try:
            yield load
        finally:
            load.end()


def _get(context: LocalContext, stack: ExitStack, how: str) -> Callable[[int], str]:
    """Ask the gateway through each proxy in turn, over a connection that is kept or a new one."""
    bases = [f"https://{node.at(places.PORT)}" for node in places.proxies(context.topology)]
    limits = httpx.Limits(max_keepalive_connections=10 if how == "kept" else 0)
    transport = httpx.HTTPTransport(verify=client_context(context.trust), limits=limits)
    client = stack.enter_context(httpx.Client(transport=transport, timeout=WITHIN))

    def ask(number: int) -> str:
        try:
            answer = client.get(f"{bases[number % len(bases)]}/healthz")
        except httpx.HTTPError as error:
            return repr(error)
        return "" if answer.status_code == 200 else f"HTTP {answer.status_code}"

    return ask
