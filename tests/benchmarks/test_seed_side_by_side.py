"""Seeding beside a bare loop over the same kind of rows, made before: rows a second, as a ratio.

The bare loop is what a person would write: one client, `insert_many` of a thousand at a time
through the same routers with the same write concerns, COPY of a thousand at a time through the
same proxy. It makes nothing, looks after no failure, and leaves payments in their first states,
which the database demands of new rows. Ours is the whole of `seeding.seed`, with the making of the
rows and the start of its processes. Both begin with empty collections and tables with all their
indexes, validators and triggers. Nothing is asserted.

SKILLSWAP_OPS_BENCH_USERS and SKILLSWAP_OPS_BENCH_ROUNDS make it larger.
"""

import os
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from psycopg import sql

from cluster.dataset.community import Rows
from cluster.dataset.world import Plan, batches
from cluster.schema.catalogue import BY_NAME, ENTITIES, collections, tables
from cluster.schema.types import Entity, Store
from mongo import nodes, seeding
from mongo.client import router_client
from mongo.credentials import ADMIN, login
from mongo.guarantees import collection
from postgres import guarantees
from postgres.guarantees import Way
from postgres.seeding import way_to
from skillswap_ops import seeding as ours
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab, make_lab, remove_lab

pytestmark = pytest.mark.servers
ROUNDS = int(os.environ.get("SKILLSWAP_OPS_BENCH_ROUNDS", "3"))
USERS = int(os.environ.get("SKILLSWAP_OPS_BENCH_USERS", "20000"))
AT_ONCE = 1_000
T = TypeVar("T")
AS_OF = datetime.now(UTC).date()


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Its own, gone at the end: what is timed after it must not run beside a filled cluster."""
    lab = make_lab("127.93.0.0/16", "bench-seed")
    try:
        lab.run("provision")
        yield lab
    finally:
        lab.run("destroy", "--yes", code=None)
        remove_lab(lab)


def empty(lab: Lab) -> None:
    """Empty collections and tables, with everything that is declared of them."""
    context = lab.context
    with router_client(nodes.routers(context), login(context, ADMIN), seconds=120) as client:
        for entity in collections():
            client[entity.home].drop_collection(entity.name)
        client["users_skills"].drop_collection(seeding.RECORDS)
    lab.run("schema", "apply")
    with guarantees.session(context, Way.DIRECT) as connection:
        for entity in reversed(tables()):
            connection.execute(sql.SQL("DELETE FROM {}").format(table(entity)))


def table(entity: Entity) -> sql.Identifier:
    return sql.Identifier("payments", entity.name.lower())


def drawn(plan: Plan) -> dict[str, Rows]:
    rows: dict[str, Rows] = {entity.name: [] for entity in ENTITIES}
    for number in range(plan.communities):
        for batch in batches(plan.community(number)):
            rows[batch.entity.name] += batch.rows
    return rows


def in_first_states(entity: Entity, rows: Rows) -> list[tuple[object, ...]]:
    names = [field.name for field in entity.fields]
    states = entity.states
    if states:
        rows = [{**row, states.field: way_to(states, str(row[states.field]))[0]} for row in rows]
    return [tuple(row.get(name) for name in names) for row in rows]


def pieces(rows: list[T]) -> Iterator[list[T]]:
    for at in range(0, len(rows), AT_ONCE):
        yield rows[at : at + AT_ONCE]


def bare(context: LocalContext, rows: dict[str, Rows]) -> float:
    """Seconds of the bare loop alone."""
    payments = {
        name: in_first_states(BY_NAME[name], held)
        for name, held in rows.items()
        if BY_NAME[name].store is Store.POSTGRES
    }
    with (
        seeding.application(context) as client,
        guarantees.session(context, Way.DIRECT) as connection,
    ):
        client.admin.command("ping")
        connection.execute("SET TimeZone TO 'UTC'")
        began = time.monotonic()
        for name, held in rows.items():
            entity = BY_NAME[name]
            if entity.store is Store.MONGO:
                for documents in pieces(held):
                    collection(client, entity).insert_many(documents)
                continue
            for tuples in pieces(payments[name]):
                copying = sql.SQL("COPY {} FROM STDIN").format(table(entity))
                with connection.cursor().copy(copying) as copy:
                    for one in tuples:
                        copy.write_row(one)
        return time.monotonic() - began


def seeded(lab: Lab, plan: Plan) -> ours.Seeded:
    return ours.seed(
        lab.selection, plan.users, plan.seed, plan.as_of, ours.default_workers(), lambda _: None
    )


def test_seed_beside_a_bare_loop(lab: Lab) -> None:
    plan = Plan(USERS, 1, AS_OF)
    rows = drawn(plan)
    count = sum(map(len, rows.values()))
    ratios = []
    for turn in range(ROUNDS):
        rates = {}
        for which in ("ours", "bare") if turn % 2 else ("bare", "ours"):
            empty(lab)
            if which == "ours":
                done = seeded(lab, plan)
                rates[which] = done.added / done.seconds
            else:
                rates[which] = count / bare(lab.context, rows)
        ratios.append(rates["ours"] / rates["bare"])
        print(
            f"\nseed {count:,} rows: ours {rates['ours']:,.0f} rows/s, "
            f"bare loop {rates['bare']:,.0f} rows/s; ratio {ratios[-1]:.2f}"
        )
    print(
        f"seed beside a bare loop: ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}), goal at least 0.8, {len(ratios)} pairs"
    )
