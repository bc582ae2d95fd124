"""`data seed` on real stores: what is stored is what was drawn, whatever happened on the way."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime
from typing import cast

import psutil
import pytest
from psycopg import sql
from pymongo.errors import AutoReconnect

from cluster.clock import wait_for
from cluster.dataset.community import Document, Rows
from cluster.dataset.world import Plan, batches, shared
from cluster.schema.catalogue import BY_NAME, ENTITIES
from cluster.schema.types import Entity, Kind, Store
from mongo import nodes, seeding
from mongo.client import Client, router_client, set_client
from mongo.credentials import ADMIN, internal, login
from mongo.guarantees import collection
from postgres import guarantees
from postgres.guarantees import Way
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab

pytestmark = pytest.mark.servers

AS_OF = date(2026, 10, 31)
SMALL = Plan(300, 9_001, AS_OF)
TAKEN = Plan(300, 9_002, AS_OF)
LARGE = Plan(2_200, 9_003, AS_OF)  # three communities: it takes a while

Found = dict[str, object]


@pytest.fixture(scope="module")
def lab(shared_lab: Lab) -> Iterator[Lab]:
    shared_lab.run("schema", "apply")
    yield shared_lab
    with seeding.application(shared_lab.context) as client:
        for plan in (SMALL, TAKEN, LARGE):
            remove(shared_lab.context, client, plan)
        if not client["users_skills"][seeding.RECORDS].find_one():  # a developer's own need them
            collection(client, shared().entity).delete_many({})


def remove(context: LocalContext, client: Client, plan: Plan) -> None:
    """Take a data set back, the referring rows first."""
    rows = drawn(plan) | {"BADGE": []}
    with guarantees.session(context, Way.DIRECT) as connection:
        for entity in reversed(ENTITIES):
            keys = [row[entity.key] for row in rows.get(entity.name, [])]
            if entity.store is Store.MONGO:
                collection(client, entity).delete_many({"_id": {"$in": keys}})
            else:
                statement = sql.SQL("DELETE FROM {} WHERE id = ANY(%s::uuid[])").format(
                    table(entity)
                )
                connection.execute(statement, [keys])
    client["users_skills"][seeding.RECORDS].delete_one({"_id": plan.seed})


def table(entity: Entity) -> sql.Identifier:
    return sql.Identifier("payments", entity.name.lower())


def drawn(plan: Plan) -> dict[str, Rows]:
    rows: dict[str, Rows] = {"BADGE": shared().rows}
    for number in range(plan.communities):
        for batch in batches(plan.community(number)):
            rows.setdefault(batch.entity.name, []).extend(batch.rows)
    return rows


def differing(context: LocalContext, plan: Plan) -> list[str]:
    """The entities of which the stores hold anything else than what was drawn."""
    wrong = []
    with (
        seeding.application(context) as client,
        guarantees.session(context, Way.DIRECT) as connection,
    ):
        connection.execute("SET TimeZone TO 'UTC'")
        for name, rows in drawn(plan).items():
            entity = BY_NAME[name]
            wanted = {row[entity.key]: row for row in rows}
            if entity.store is Store.MONGO:
                found = collection(client, entity).find({"_id": {"$in": list(wanted)}})
                there = {row["_id"]: row for row in found}
            else:
                query = sql.SQL("SELECT * FROM {} WHERE id = ANY(%s::uuid[])").format(table(entity))
                cursor = connection.execute(query, [list(wanted)])
                names = [column.name for column in cursor.description or ()]
                there = {str(row[0]): plain(entity, names, row) for row in cursor}
            if there != wanted:
                wrong.append(f"{name}: {len(there)} of {len(wanted)} there")
    return wrong


def plain(entity: Entity, names: list[str], row: tuple[object, ...]) -> Document:
    """A row of PostgreSQL as it was drawn: keys as text, times without their zone."""
    found = dict(zip(names, row, strict=True))
    for field in entity.fields:
        value = found[field.name]
        if value is not None and field.kind is Kind.ID:
            found[field.name] = str(value)
        if value is not None and field.kind is Kind.DATETIME:
            found[field.name] = cast("datetime", value).replace(tzinfo=None)
    return found


def words(plan: Plan, *more: str) -> tuple[str, ...]:
    numbers = ("--users", str(plan.users), "--seed", str(plan.seed), "--as-of", str(plan.as_of))
    return ("data", "seed", *numbers, *more)


def test_what_is_stored_is_what_was_drawn_and_only_once(lab: Lab) -> None:
    first = cast("Found", lab.json(*words(SMALL, "--workers", "1")))
    assert differing(lab.context, SMALL) == []
    counts = {name: len(rows) for name, rows in drawn(SMALL).items()}
    entities = cast("list[Found]", first["entities"])
    assert {one["entity"]: one["rows"] for one in entities} == counts
    assert sum(cast("int", one["added"]) for one in entities) == first["added"]
    assert first["users"] == SMALL.users
    again = lab.run(*words(SMALL, "--workers", "2"))
    assert "nothing to change" in again.stderr
    assert differing(lab.context, SMALL) == []


def test_another_day_means_the_day_of_what_is_there(lab: Lab) -> None:
    lab.run(*words(SMALL))
    numbers = ("data", "seed", "--seed", str(SMALL.seed))
    later = lab.run(*numbers, "--users", str(SMALL.users))
    assert f"seed {SMALL.seed}, {AS_OF}" in later.stderr
    assert "nothing to change" in later.stderr
    more = lab.run(*numbers, "--users", "3000", code=1)
    assert "3,000 would not be the same people" in more.stderr


def test_references_hold_over_both_stores(lab: Lab) -> None:
    lab.run(*words(SMALL))
    checked = cast("Found", lab.json("data", "check"))
    assert checked["clean"] is True


def test_killed_and_then_with_an_election_in_the_middle_it_is_finished(lab: Lab) -> None:
    killed = begun(lab, words(LARGE, "--workers", "1"))
    children = psutil.Process(killed.pid).children(recursive=True)
    assert len(children) > 1
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    wait_for("the workers' end", lambda: not any(map(alive, children)), seconds=60)
    assert differing(lab.context, LARGE) != []

    second = begun(lab, words(LARGE, "--workers", "1", "--output", "json"))
    shard = nodes.shards(lab.context)[1]
    with set_client(shard, internal(lab.context)) as client, suppress(AutoReconnect):
        client.admin.command({"replSetStepDown": 10, "force": True})
    shown, said = second.communicate()
    assert second.returncode == 0, said
    assert "looking again after an election" in said
    finished = json.loads(shown)
    assert 0 < finished["added"] < finished["rows"]
    assert differing(lab.context, LARGE) == []


def begun(lab: Lab, arguments: tuple[str, ...]) -> "subprocess.Popen[str]":
    """A run of which a community is stored, and others are not."""
    process = started(lab, arguments)
    assert process.stderr is not None
    for line in process.stderr:
        if " rows" in line:
            return process
    raise AssertionError(f"it ended before: {process.wait()}")


def started(lab: Lab, arguments: tuple[str, ...]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        lab.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_a_killed_worker_is_said_and_nothing_is_left(lab: Lab) -> None:
    run = started(lab, words(LARGE, "--workers", "1"))
    worker = wait_for("a worker", lambda: spawned(run.pid), seconds=60)
    os.kill(worker.pid, signal.SIGKILL)
    _, said = run.communicate()
    assert run.returncode == 1
    assert "a worker process ended" in said
    assert "Traceback" not in said
    assert not alive(worker)


def spawned(pid: int) -> psutil.Process | None:
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children():
            if "spawn_main" in " ".join(child.cmdline()):
                return child
    return None


def test_somebody_elses_document_is_in_the_way(lab: Lab) -> None:
    ours = drawn(TAKEN)["UTILISATEUR"][3]
    key = "00000000-0000-4000-8000-000000000001"
    theirs = {**ours, "_id": key, "id_utilisateur": key}
    with seeding.application(lab.context) as client:
        users = collection(client, BY_NAME["UTILISATEUR"])
        users.insert_one(theirs)
        try:
            refused = lab.run(*words(TAKEN), code=1)
        finally:
            users.delete_one({"_id": key})
    assert "UTILISATEUR: another document has the same courriel" in refused.stderr
    lab.run(*words(TAKEN))
    assert differing(lab.context, TAKEN) == []


def test_without_the_schema_nothing_is_written(lab: Lab) -> None:
    with seeding.application(lab.context) as client:
        place = client["sessions_messages"]["AVIS_IA"]
        if place.estimated_document_count() > LARGE.users:
            pytest.skip("a lab with data of somebody's own")
        with router_client(nodes.routers(lab.context), login(lab.context, ADMIN)) as admin:
            admin[place.database.name].drop_collection(place.name)
        refused = lab.run("data", "seed", "--users", "10", "--seed", "9004", code=1)
        assert seeding.recorded(client, 9_004) is None
    assert "AVIS_IA" in refused.stderr
    assert "schema apply" in refused.stderr
    lab.run("schema", "apply")
