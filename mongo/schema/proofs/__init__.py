"""`schema verify` for MongoDB: every requirement of the data model, tried on the live servers.

What is tried goes through the routers, as an application's commands do. Documents that a trial
needs are made up, recognisable, and removed afterwards; real ones are never touched. Two runs at
once on one cluster would remove each other's: the command holds the cluster's lock.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from random import SystemRandom

from cluster.context import Context
from cluster.schema.findings import Outcome, Proof
from cluster.schema.types import Entity, Store
from mongo import nodes
from mongo.client import SET_SECONDS, router_client
from mongo.credentials import ADMIN, APPLICATION, login
from mongo.schema.proofs import collection, concerns, places
from mongo.schema.proofs.bench import Bench, Clients
from mongo.schema.proofs.concerns import Hearing
from mongo.schema.proofs.probes import ALL_PROBES, Maker
from mongo.schema.proofs.removal import Removal
from mongo.schema.proofs.trial import Line, run, tried

WORKERS = 6  # collections at once
OnProof = Callable[[Proof], None]
Job = Callable[[], list[Proof]]


def prove(
    context: Context, entities: Sequence[Entity], on_proof: OnProof = lambda _: None
) -> tuple[Proof, ...]:
    """Try every requirement of these entities' collections; `on_proof` is told of each in turn.

    Whole it takes two periods of the servers' TTL monitor (60 s by default) where any of them has
    a TTL index, else seconds. A server that does not answer is the reason of failed proofs.
    """
    social = [entity for entity in entities if entity.store is Store.MONGO]
    with _clients(context) as clients:
        maker = Maker(SystemRandom(), datetime.now(UTC))
        verification = Verification(context, clients, maker, social)
        proofs = []
        for found in verification.proofs():
            on_proof(found)
            proofs.append(found)
    return tuple(proofs)


@contextmanager
def _clients(context: Context) -> Iterator[Clients]:
    with ExitStack() as stack:
        application, admin = (
            stack.enter_context(
                router_client(nodes.routers(context), login(context, user), seconds=SET_SECONDS)
            )
            for user in (APPLICATION, ADMIN)
        )
        yield Clients(application, admin)


@dataclass(frozen=True)
class Verification:
    """One run over these collections."""

    context: Context
    clients: Clients
    maker: Maker
    entities: Sequence[Entity]

    def proofs(self) -> Iterator[Proof]:
        """All of them, in the order of the entities, the ones that wait at the end."""
        reason, _ = tried(self._answers)
        if reason:
            yield from self._unproved(reason)
            return
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="prove") as pool:
            try:
                list(pool.map(_sweep_all, self._benches))
                yield from self._tried(pool)
            finally:
                list(pool.map(_sweep_all, self._benches))

    def _tried(self, pool: ThreadPoolExecutor) -> Iterator[Proof]:
        removals = self._removals
        put = list(pool.map(lambda one: run([one.put])[0], removals))
        for job in [pool.submit(job) for job in self._jobs()]:
            yield from job.result()
        for removal, before in zip(removals, put, strict=True):
            failed = before.outcome is Outcome.FAILED
            yield before if failed else run([removal.gone])[0]

    def _jobs(self) -> Iterator[Job]:
        yield partial(run, list(self._cluster_lines()))
        for segment in self._segments:
            yield partial(
                concerns.proofs,
                self.context,
                segment,
                self._of(segment),
                self.clients,
                self.maker,
            )
        for bench in self._benches:
            yield partial(_tried_and_swept, bench)

    def _cluster_lines(self) -> Iterator[Line]:
        yield concerns.default_line(self.context)
        for segment in self._segments:
            yield places.line(self.context, segment)

    def _unproved(self, reason: str) -> Iterator[Proof]:
        for line in self._cluster_lines():
            yield line.proof(reason)
        yield from concerns.judged(self.entities, Hearing(), reason)
        for bench in self._benches:
            yield from (line.proof(reason) for line in collection.lines(bench))
        yield from (removal.gone.proof(reason) for removal in self._removals)

    def _answers(self) -> str:
        for client in (self.clients.application, self.clients.admin):
            client.admin.command("ping")
        return ""

    @property
    def _segments(self) -> list[str]:
        return list(dict.fromkeys(entity.home for entity in self.entities))

    def _of(self, segment: str) -> list[Entity]:
        return [entity for entity in self.entities if entity.home == segment]

    @property
    def _benches(self) -> list[Bench]:
        return [Bench(entity, self.clients, self.maker) for entity in self.entities]

    @property
    def _removals(self) -> list[Removal]:
        return [
            Removal(self.context, bench, index)
            for bench in self._benches
            for index in bench.entity.indexes
            if index.expire_after is not None
        ]


def _tried_and_swept(bench: Bench) -> list[Proof]:
    try:
        return run(collection.lines(bench))
    finally:
        bench.sweep()


def _sweep_all(bench: Bench) -> None:
    bench.sweep(ALL_PROBES)
