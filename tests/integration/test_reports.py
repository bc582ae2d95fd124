"""Reports on real replicas: right, from a secondary and a standby, and truthful about their age."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import cast

import pytest

from cluster.clock import wait_for
from cluster.inventory import Kind, Node
from cluster.schema.sessions_messages import MESSAGE, SEGMENT, SESSION
from mongo import guarantees, nodes
from mongo.client import Client, node_client, router_client
from mongo.credentials import ADMIN, APPLICATION, login
from mongo.set_model import State
from postgres import patroni
from postgres.client import superuser
from postgres.scopes import primary_scope
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab
from tests.integration.reference_rows import Row, Rows, stored

pytestmark = pytest.mark.servers

Record = dict[str, object]
LONG_AGO = ("--months", "400")
JANUARY = datetime(1999, 1, 31, 23, 59, tzinfo=UTC)
FEBRUARY = datetime(1999, 2, 1, tzinfo=UTC)
HUGE = 9_007_199_254_740_993  # 2^53 + 1: a float has it not


@pytest.fixture(scope="module")
def lab(shared_lab: Lab) -> Lab:
    shared_lab.run("schema", "apply")
    return shared_lab


def report(lab: Lab, *words: str) -> tuple[Record, list[Record]]:
    """What a report says, and its rows."""
    answer = cast("Record", lab.json("report", *words))
    return answer, cast("list[Record]", answer["rows"])


def source(answer: Record) -> Record:
    """The first that answered."""
    return cast("list[Record]", answer["answered_by"])[0]


def rows_of(rows: Sequence[Record], **fields: object) -> list[Record]:
    """The rows with these fields: others may have been there before."""
    return [row for row in rows if fields.items() <= row.items()]


# What they say


def test_reputation_counts_what_learners_say_of_a_teacher(lab: Lab) -> None:
    rows = Rows()
    teacher = rows.make("UTILISATEUR", nom="Ada Lovelace")
    key = teacher["id_utilisateur"]
    for stars in (5, 4, 3):
        given = rows.make("SESSION", id_enseignant=key, statut="REALISEE")
        review(rows, given, key, note_etoiles=stars, pedagogie=2)
    rows.make("SESSION", id_enseignant=key, statut="ANNULEE")
    followed = rows.make("SESSION", id_apprenant=key, statut="REALISEE")
    review(rows, followed, key, note_etoiles=1)
    everybody = ("reputation", "--top", "10000", "--least")
    with stored(lab.context, rows):
        _, ranked = report(lab, *everybody, "3")
        _, pickier = report(lab, *everybody, "4")
    assert rows_of(ranked, id=key) == [
        {
            "id": key,
            "name": "Ada Lovelace",
            "sessions": 3,
            "reviews": 3,
            "stars": 4.0,
            "punctuality": 1.0,
            "pedagogy": 2.0,
            "motivation": 1.0,
            "communication": 1.0,
        }
    ]
    assert not rows_of(pickier, id=key)


def review(rows: Rows, session: Row, target: object, **notes: int) -> None:
    rows.make("AVIS", id_session=session["id_session"], id_cible=target, **notes)


def test_sessions_are_counted_by_month_and_status(lab: Lab) -> None:
    rows = Rows()
    for moment, status in (
        (JANUARY, "REALISEE"),
        (JANUARY, "REALISEE"),
        (FEBRUARY, "REALISEE"),
        (FEBRUARY, "ABSENCE"),
    ):
        rows.make("SESSION", debut=moment, fin=moment, statut=status)
    with stored(lab.context, rows):
        _, found = report(lab, "sessions", *LONG_AGO)
        shown = lab.run("report", "sessions", *LONG_AGO).stdout
    assert found[:3] == [
        {"month": "1999-01", "status": "REALISEE", "sessions": 2},
        {"month": "1999-02", "status": "REALISEE", "sessions": 1},
        {"month": "1999-02", "status": "ABSENCE", "sessions": 1},
    ]
    assert "not behind the primary; as of 20" in shown
    assert all(len(line) <= 100 for line in shown.splitlines())


def test_revenue_is_exact_by_month_and_currency(lab: Lab) -> None:
    rows = Rows()
    for status, amount in (("PAYEE", HUGE), ("REMBOURSEE", 6), ("EN_ATTENTE", 7)):
        rows.make("FACTURE", emise_le=JANUARY, statut=status, montant=amount, devise="CHF")
    rows.make("FACTURE", emise_le=FEBRUARY, statut="PAYEE", montant=1, devise="CHF")
    with stored(lab.context, rows):
        _, found = report(lab, "revenue", *LONG_AGO)
        shown = lab.run("report", "revenue", *LONG_AGO).stdout
    assert found[0] == {
        "month": "1999-01",
        "currency": "CHF",
        "invoices": 2,
        "refunds": 1,
        "paid_minor": HUGE + 6,
        "refunded_minor": 6,
        "net_minor": HUGE,
        "paid": "90071992547409.99",
        "refunded": "0.06",
        "net": "90071992547409.93",
    }
    assert (found[1]["month"], found[1]["paid_minor"]) == ("1999-02", 1)
    assert "90,071,992,547,409.99" in shown
    assert all(len(line) <= 100 for line in shown.splitlines())


def test_subscriptions_are_counted_by_offer_and_status(lab: Lab) -> None:
    key = {"offer": "VIP", "status": "SUSPENDU"}
    rows = Rows()
    rows.make("ABONNEMENT", formule="VIP", statut="SUSPENDU")
    _, before = report(lab, "subscriptions")
    with stored(lab.context, rows):
        _, after = report(lab, "subscriptions")
    counted = [rows_of(found, **key) for found in (before, after)]
    had = counted[0][0]["subscriptions"] if counted[0] else 0
    assert counted[1] == [{**key, "subscriptions": cast("int", had) + 1}]


# Who answers


def test_sessions_are_read_on_the_secondary_that_is_named(lab: Lab) -> None:
    members = shard_members(lab.context)
    before = {node.name: reads(lab.context, node) for node in members}
    answer, _ = report(lab, "sessions")
    grew = {node.name for node in members if reads(lab.context, node) > before[node.name]}
    assert source(answer)["role"] == "secondary"
    assert {source(answer)["member"]} == grew
    assert state(lab.context, source(answer)["member"]) is State.SECONDARY


def test_from_primary_reads_the_primary(lab: Lab) -> None:
    members = shard_members(lab.context)
    before = {node.name: reads(lab.context, node) for node in members}
    answer, _ = report(lab, "sessions", "--from", "primary")
    grew = {node.name for node in members if reads(lab.context, node) > before[node.name]}
    assert {source(answer)["member"]} == grew
    assert state(lab.context, source(answer)["member"]) is State.PRIMARY


def test_revenue_is_read_on_the_standby(lab: Lab) -> None:
    context = lab.context
    leader = patroni.leader_of(primary_scope(context))
    standbys = [node for node in primary_scope(context).members if node != leader]
    answer, _ = report(lab, "revenue")
    assert source(answer)["role"] == "standby"
    assert source(answer)["member"] in {node.name for node in standbys}
    answer, _ = report(lab, "revenue", "--from", "primary")
    assert (source(answer)["role"], source(answer)["member"]) == ("primary", leader.name)


# How old it is


def test_an_idle_standby_is_not_called_stale(lab: Lab) -> None:
    """Its last commit may be of any age."""
    answer, _ = report(lab, "revenue")
    assert (answer["staleness_seconds"], source(answer)["staleness_bytes"]) == (0.0, 0)


def test_a_standby_that_does_not_replay_is_as_old_as_its_last_commit(lab: Lab) -> None:
    """The commit is acknowledged, for the standby has it on disk; its reports do not show it."""
    context = lab.context
    with replay_held(context):
        first, _ = report(lab, "revenue", *LONG_AGO)
        second, _ = report(lab, "revenue", *LONG_AGO)
    for answer in (first, second):
        assert source(answer)["role"] == "standby"
        assert cast("int", source(answer)["staleness_bytes"]) > 0
    assert seconds(first) > 0
    assert seconds(second) > seconds(first)
    assert first["as_of"] == second["as_of"]
    answer = wait_for("the standby", lambda: fresh(lab, "revenue"), seconds=60)
    assert cast("str", answer["as_of"]) > cast("str", second["as_of"])


@contextmanager
def replay_held(context: LocalContext) -> Iterator[None]:
    """Replay waits on every standby for a reader of a table that the primary locked and left.

    It waits for max_standby_streaming_delay (30 s) at most. Patroni resumes a replay that was
    paused by function within seconds.
    """
    scope, database = primary_scope(context), context.topology.postgres.database
    leader = patroni.leader_of(scope)
    with ExitStack() as stack:
        primary = stack.enter_context(superuser(context, leader, database))
        primary.execute("SET synchronous_commit = remote_apply")
        primary.execute("CREATE TABLE payments.drill_held ()")
        stack.callback(primary.execute, "DROP TABLE payments.drill_held")
        for node in scope.members:
            if node != leader:
                reader = stack.enter_context(superuser(context, node, database))
                reader.execute("BEGIN")
                stack.callback(reader.execute, "ROLLBACK")
                reader.execute("SELECT FROM payments.drill_held")
        primary.execute("SET synchronous_commit = on")
        with primary.transaction():
            primary.execute("LOCK TABLE payments.drill_held IN ACCESS EXCLUSIVE MODE")
            primary.execute("SELECT pg_logical_emit_message(true, 'skillswap-ops', 'report')")
        yield


def test_secondaries_that_do_not_apply_are_as_old_as_their_newest_write(lab: Lab) -> None:
    context = lab.context
    rows = Rows()
    rows.make("MESSAGE")
    extra = rows.make("MESSAGE")
    with stored(context, rows):
        with application_of(context) as client, applying_stopped(context):
            guarantees.collection(client, MESSAGE).update_one(
                {"_id": extra["_id"]}, {"$set": {"texte": "later"}}
            )
            first, _ = report(lab, "sessions")
            second, _ = report(lab, "sessions")
            unread, _ = report(lab, "sessions", "--from", "primary")
        answer = wait_for("a secondary", lambda: fresh(lab, "sessions"), seconds=60)
    assert source(first)["role"] == "secondary"
    assert 0 < seconds(first) < seconds(second)
    assert seconds(unread) == 0
    assert first["as_of"] == second["as_of"]
    assert cast("str", answer["as_of"]) > cast("str", second["as_of"])


@contextmanager
def applying_stopped(context: LocalContext) -> Iterator[None]:
    """The secondaries of the segment are locked against writes, replication's as well."""
    with ExitStack() as stack:
        for node in shard_members(context):
            if state(context, node.name) is State.SECONDARY:
                client = stack.enter_context(node_client(node, login(context, ADMIN), seconds=30))
                client.admin.command({"fsync": 1, "lock": True})
                stack.callback(client.admin.command, {"fsyncUnlock": 1})
        yield


def test_where_no_secondary_can_answer_it_is_refused(lab: Lab) -> None:
    context = lab.context
    with in_maintenance(context):
        refused = lab.run("report", "sessions", code=1)
        assert "no secondary of shard-b can answer" in refused.stderr
        assert "--from primary" in refused.stderr
        lab.run("report", "sessions", "--from", "primary")
    report(lab, "sessions")


@contextmanager
def in_maintenance(context: LocalContext) -> Iterator[None]:
    """The secondaries of the segment replicate, and answer nobody."""
    with ExitStack() as stack:
        for node in shard_members(context):
            if state(context, node.name) is State.SECONDARY:
                client = stack.enter_context(node_client(node, login(context, ADMIN), seconds=30))
                client.admin.command({"replSetMaintenance": True})
                stack.callback(client.admin.command, {"replSetMaintenance": False})
        yield
    for node in shard_members(context):
        wait_for(node.name, lambda name=node.name: serves(context, name), seconds=60)


def serves(context: LocalContext, name: str) -> bool:
    return state(context, name) in {State.PRIMARY, State.SECONDARY}


def fresh(lab: Lab, name: str) -> Record | None:
    answer, _ = report(lab, name)
    return answer if answer["staleness_seconds"] == 0 else None


def seconds(answer: Record) -> float:
    return cast("float", answer["staleness_seconds"])


def shard_members(context: LocalContext) -> tuple[Node, ...]:
    """The data-bearing members of the sessions' shard."""
    [shard] = context.topology.mongo.segments[SEGMENT]
    return context.inventory.of(Kind.SHARD, group=shard.name)


def state(context: LocalContext, name: object) -> State:
    node = context.inventory.named(str(name))
    with node_client(node, login(context, ADMIN), seconds=10) as client:
        return State(client.admin.command("replSetGetStatus")["myState"])


def reads(context: LocalContext, node: Node) -> int:
    """How many reads of SESSION this member has served, by its own count."""
    with node_client(node, login(context, ADMIN), seconds=10) as client:
        counts = client.admin.command("top")["totals"].get(f"{SEGMENT}.{SESSION.name}", {})
    return sum(counts[kind]["count"] for kind in ("queries", "getmore", "commands") if counts)


@contextmanager
def application_of(context: LocalContext) -> Iterator[Client]:
    account = login(context, APPLICATION)
    with router_client(nodes.routers(context), account, seconds=30) as client:
        yield client
