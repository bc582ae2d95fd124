"""The data model on both engines: apply, diff and verify, each engine's part put together."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import mongo.schema.apply
import mongo.schema.drift
import mongo.schema.proofs
import mongo.schema.spread_steps
import postgres.schema.drift
import postgres.schema.proofs
import postgres.schema.steps
from cluster.context import Context
from cluster.lock import exclusive
from cluster.plan import Event, Finished, Step, execute
from cluster.schema.findings import Drift, Outcome, Proof
from cluster.schema.types import Entity, Store


def schema_steps(context: Context, *, prune: bool) -> tuple[Step, ...]:
    """What makes both engines hold what is declared."""
    return (
        *mongo.schema.apply.steps(context, prune=prune),
        *postgres.schema.steps.steps(context, prune=prune),
    )


def apply(
    context: Context, steps: Sequence[Step], on_event: Callable[[Event], None]
) -> list[Finished]:
    """Run the steps; operators on other machines are held apart by the engines themselves."""
    with exclusive(context.layout.lock, "schema apply"):
        return execute(steps, on_event)


def spread_steps(context: Context) -> tuple[Step, ...]:
    """What spreads every segment that several shards name; refused where no mongos runs."""
    return mongo.schema.spread_steps.steps(context)


def drifts(context: Context) -> tuple[Drift, ...]:
    """Every difference between declarations and live servers, in either direction."""
    return (*mongo.schema.drift.drift(context), *postgres.schema.drift.drift(context))


def prove(
    context: Context, entities: Sequence[Entity], on_proof: Callable[[Proof], None]
) -> tuple[Proof, ...]:
    """Try every requirement of these entities on the live servers, both engines at once.

    One at a time: two would remove each other's trial documents.
    """
    with (
        exclusive(context.layout.lock, "schema verify"),
        ThreadPoolExecutor(2, thread_name_prefix="verify") as pool,
    ):
        social = [entity for entity in entities if entity.store is Store.MONGO]
        money = [entity for entity in entities if entity.store is Store.POSTGRES]
        running = []
        if social:
            running.append(pool.submit(mongo.schema.proofs.prove, context, social, on_proof))
        if money:
            running.append(pool.submit(postgres.schema.proofs.prove, context, money, on_proof))
        return tuple(proof for future in running for proof in future.result())


def failed(proofs: Sequence[Proof]) -> int:
    """How many requirements do not hold."""
    return sum(proof.outcome is Outcome.FAILED for proof in proofs)
