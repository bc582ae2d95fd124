"""`schema verify` of MongoDB: all green; one thing broken by hand, and exactly its line is red."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Network
from random import Random
from typing import Any

import pytest
from pymongo import WriteConcern
from pymongo.collection import Collection

from cluster.clock import wait_for
from cluster.inventory import inventory
from cluster.plan import Outcome as StepOutcome
from cluster.plan import execute
from cluster.schema import catalogue
from cluster.schema.catalogue import BY_NAME
from cluster.schema.findings import Outcome, Proof
from cluster.schema.types import Entity
from mongo import guarantees, nodes
from mongo.client import Client, Document, router_client, set_client
from mongo.credentials import ADMIN, login
from mongo.schema import apply, proofs
from mongo.schema.proofs import overheard, removal
from mongo.schema.proofs.probes import EXPIRED, PREFIX, Maker, expired
from mongo.schema.validator import validator
from mongo.sharding import default_write_concern
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab

pytestmark = pytest.mark.servers

AVIS, JOURNAL, MESSAGE = BY_NAME["AVIS"], BY_NAME["JOURNAL_NOTIFICATION"], BY_NAME["MESSAGE"]
VALIDATOR = "the validator refuses bad documents"
UNIQUE = (
    "unique index id_session_1_id_emetteur_1 refuses a duplicate, "
    'serves "one\'s review of a session"'
)
NEWEST = 'id_cible_1_cree_le_-1 serves "the newest about a user"'
TTL = "TTL index envoye_le_1 removes what is 90 days past envoye_le"
DEFAULT = "the cluster's default write concern is w:majority"
Red = dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def context(shared_lab: Lab) -> Iterator[LocalContext]:
    """The data model on the cluster, and TTL monitors that look every second."""
    made = shared_lab.context
    ends = execute(apply.steps(made, prune=False), lambda _: None)
    assert not [end for end in ends if end.outcome is StepOutcome.FAILED]
    with hurried_monitors(made):
        yield made


@contextmanager
def hurried_monitors(context: LocalContext) -> Iterator[None]:
    with each_primary(context) as clients:
        before = [
            client.admin.command({"getParameter": 1, "ttlMonitorSleepSecs": 1})
            for client in clients
        ]
        try:
            for client in clients:
                client.admin.command({"setParameter": 1, "ttlMonitorSleepSecs": 1})
            yield
        finally:
            for client, found in zip(clients, before, strict=True):
                seconds = found["ttlMonitorSleepSecs"]
                client.admin.command({"setParameter": 1, "ttlMonitorSleepSecs": seconds})


@contextmanager
def each_primary(context: LocalContext) -> Iterator[list[Client]]:
    first, second = nodes.shards(context)[:2]
    admin = login(context, ADMIN)
    with set_client(first, admin) as one, set_client(second, admin) as two:
        yield [one, two]


@pytest.fixture
def client(context: LocalContext) -> Iterator[Client]:
    """The administrator; afterwards the data model is whole again."""
    with router_client(nodes.routers(context), login(context, ADMIN)) as found:
        yield found
    mend(context)


def mend(context: LocalContext) -> None:
    ends = execute(apply.steps(context, prune=True), lambda _: None)
    assert not [end.why for end in ends if end.outcome is StepOutcome.FAILED]


def place(client: Client, entity: Entity) -> Collection[Document]:
    return client[entity.home].get_collection(entity.name, write_concern=WriteConcern("majority"))


def red(found: tuple[Proof, ...]) -> Red:
    """The failed lines, with their reasons."""
    return {(p.entity, p.requirement): p.reason for p in found if p.outcome is Outcome.FAILED}


def verified(context: LocalContext, *entities: Entity) -> Red:
    return red(proofs.prove(context, entities))


def test_every_line_is_green_and_told_once(context: LocalContext) -> None:
    """Of collections without a TTL index: nothing has to be waited for."""
    told: list[Proof] = []
    waiting = [one for one in catalogue.ENTITIES if any(i.expire_after for i in one.indexes)]
    entities = [one for one in catalogue.ENTITIES if one not in waiting]
    found = proofs.prove(context, entities, told.append)
    assert red(found) == {}
    assert tuple(told) == found
    assert len({(proof.entity, proof.requirement) for proof in found}) == len(found)


# One thing broken by hand

Break = Callable[[Collection[Document]], object]


def change(**options: Any) -> Break:
    return lambda broken: broken.database.command({"collMod": broken.name, **options})


def loosened(field: str, rule: str) -> dict[str, Any]:
    made = validator(AVIS)
    del made["$jsonSchema"]["properties"][field][rule]
    return made


def without_required(field: str) -> dict[str, Any]:
    made = validator(AVIS)
    made["$jsonSchema"]["required"].remove(field)
    return made


def not_unique(broken: Collection[Document]) -> None:
    broken.drop_index("id_session_1_id_emetteur_1")
    broken.create_index([("id_session", 1), ("id_emetteur", 1)])


BROKEN: dict[str, tuple[Break, str, str]] = {
    "index dropped": (
        lambda broken: broken.drop_index("id_cible_1_cree_le_-1"),
        NEWEST,
        "there is no such index",
    ),
    "index hidden": (
        change(index={"name": "id_cible_1_cree_le_-1", "hidden": True}),
        NEWEST,
        "is {id_cible: 1, cree_le: -1}, hidden, declared {id_cible: 1, cree_le: -1}; "
        "its query uses cree_le_1",
    ),
    "unique index dropped": (
        lambda broken: broken.drop_index("id_session_1_id_emetteur_1"),
        UNIQUE,
        "there is no such index",
    ),
    "index no longer unique": (
        not_unique,
        UNIQUE,
        "is {id_session: 1, id_emetteur: 1}, declared {id_session: 1, id_emetteur: 1}, unique; "
        "takes a duplicate of (id_session, id_emetteur)",
    ),
    "bound taken away": (
        change(validator=loosened("note_etoiles", "maximum")),
        VALIDATOR,
        "does not refuse note_etoiles: too large",
    ),
    "length taken away": (
        change(validator=loosened("commentaire", "maxLength")),
        VALIDATOR,
        "does not refuse commentaire: too long",
    ),
    "type taken away": (
        change(validator=loosened("cree_le", "bsonType")),
        VALIDATOR,
        "does not refuse cree_le: null, cree_le: wrong type",
    ),
    "no longer required": (
        change(validator=without_required("id_cible")),
        VALIDATOR,
        "does not refuse id_cible: missing",
    ),
    "key and _id may differ": (
        change(validator={"$jsonSchema": validator(AVIS)["$jsonSchema"]}),
        VALIDATOR,
        "does not refuse _id is not id_avis",
    ),
    "unknown fields allowed": (
        change(
            validator={
                "$jsonSchema": {**validator(AVIS)["$jsonSchema"], "additionalProperties": True},
                "$expr": validator(AVIS)["$expr"],
            }
        ),
        VALIDATOR,
        "does not refuse an undeclared field; lets a bad document be changed and stay bad",
    ),
    "validator refuses all": (
        change(validator={"$expr": False}),
        VALIDATOR,
        "refuses a good document (code 121)",
    ),
    "moderate": (
        change(validationLevel="moderate"),
        VALIDATOR,
        "lets a bad document be changed and stay bad (validationLevel is moderate)",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_by_hand_is_the_red_line(
    context: LocalContext, client: Client, name: str
) -> None:
    breaks, line, reason = BROKEN[name]
    breaks(place(client, AVIS))
    assert verified(context, AVIS, MESSAGE) == {("AVIS", line): reason}


@pytest.mark.parametrize(
    ("options", "how"),
    [
        ({"validationAction": "warn"}, "(validationAction is warn)"),
        ({"validationLevel": "off"}, "(validationLevel is off)"),
        ({"validator": {}}, "(there is no validator)"),
    ],
)
def test_a_validator_that_does_not_bite_is_the_red_line(
    context: LocalContext, client: Client, options: dict[str, Any], how: str
) -> None:
    change(**options)(place(client, AVIS))
    found = verified(context, AVIS)
    assert list(found) == [("AVIS", VALIDATOR)]
    reason = found["AVIS", VALIDATOR]
    assert reason.startswith("does not refuse id_avis: null, id_avis: wrong type, ")
    assert reason.endswith(f"more; lets a bad document be changed and stay bad {how}")


def test_a_dropped_collection_is_red_in_each_of_its_lines(
    context: LocalContext, client: Client
) -> None:
    place(client, AVIS).drop()
    found = verified(context, AVIS, MESSAGE)
    assert {entity for entity, _ in found} == {"AVIS"}
    assert set(found.values()) == {"there is no collection AVIS in sessions_messages"}
    assert "AVIS" not in client[AVIS.home].list_collection_names(), "a probe made it again"


def test_the_default_write_concern_is_a_line_of_its_own(
    context: LocalContext, client: Client
) -> None:
    """What routers give to writes; once mended every router does, not when it reads again."""
    for router in nodes.routers(context):
        with router_client([router], login(context, ADMIN)) as one:
            one.admin.command({"setDefaultRWConcern": 1, "defaultWriteConcern": {"w": 1}})
    assert verified(context, AVIS) == {("", DEFAULT): "router-1 says w:1"}
    mend(context)
    for router in nodes.routers(context):
        with router_client([router], login(context, ADMIN)) as one:
            assert default_write_concern(one, in_memory=True) == "majority"


def test_a_collection_on_another_segments_shard_is_found(
    context: LocalContext, client: Client
) -> None:
    with each_primary(context) as (stranger, _):
        try:
            stranger[AVIS.home]["AVIS"].insert_one({"_id": 1})
            line = ("", "segment sessions_messages lives on shard-b")
            assert verified(context, AVIS) == {line: "shard-a has AVIS"}
        finally:
            stranger.drop_database(AVIS.home)


# TTL


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        (lambda broken: broken.drop_index("envoye_le_1"), "there is no such index"),
        (
            change(index={"name": "envoye_le_1", "expireAfterSeconds": 1}),
            "is {envoye_le: 1}, expires after 1 s, declared {envoye_le: 1}, "
            "expires after 7776000 s",
        ),
    ],
)
def test_a_broken_ttl_index_is_the_red_line(
    context: LocalContext, client: Client, breaks: Break, reason: str
) -> None:
    breaks(place(client, JOURNAL))
    assert verified(context, JOURNAL) == {(JOURNAL.name, TTL): reason}


def test_a_monitor_that_is_off_is_the_red_line(
    context: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with each_primary(context) as (_, primary):
        primary.admin.command({"setParameter": 1, "ttlMonitorEnabled": False})
        try:
            reason = "the TTL monitor of shard-b's primary is off (ttlMonitorEnabled)"
            assert verified(context, JOURNAL) == {(JOURNAL.name, TTL): reason}
            monkeypatch.setattr(removal, "monitor_period", lambda *_: 0.0)
            monkeypatch.setattr(removal, "SLACK", 0.5)
            reason = "did not remove an expired document within 0.5 s"
            assert verified(context, JOURNAL) == {(JOURNAL.name, TTL): reason}
        finally:
            primary.admin.command({"setParameter": 1, "ttlMonitorEnabled": True})


# What the application would do


def test_a_weaker_write_than_declared_is_heard(
    context: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("AVIS", "writes are acknowledged at w:majority, j:true")
    monkeypatch.setattr(guarantees, "write_concern", lambda _: WriteConcern(1))
    assert verified(context, AVIS) == {line: f"{primary_name(context)} acknowledged at w:1"}
    monkeypatch.setattr(guarantees, "write_concern", lambda _: WriteConcern())
    assert verified(context, AVIS) == {
        line: f"{primary_name(context)} was asked for no write concern and took w:majority"
    }


def test_reports_that_read_the_primary_are_heard(
    context: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarantees, "reporting", guarantees.collection)
    reason = f"the primary {primary_name(context)} answered"
    assert verified(context, AVIS) == {("AVIS", "reports read a secondary"): reason}


def primary_name(context: LocalContext) -> str:
    with each_primary(context) as (_, primary):
        me = primary.admin.command("hello")["me"]
    return nodes.names(context)[me]


# Nothing is left, nothing else is touched


def test_only_probes_are_removed_and_all_of_them(context: LocalContext, client: Client) -> None:
    """Also those of a run that was killed; real documents stay, whatever they look like."""
    near = [PREFIX.replace("0000", "4000") + "0000-000000000000", "0b5e55ed-5c4e-0002-x"]
    left = [f"{PREFIX}0000-000000000000", f"{EXPIRED}0000-000000000000"]
    avis = place(client, AVIS)
    rows = [{"_id": one, "id_session": one} for one in (*near, *left)]
    try:
        avis.insert_many(rows, bypass_document_validation=True)
        assert verified(context, AVIS) == {}
        assert [row["_id"] for row in avis.find({}, {"_id": 1}).sort("_id")] == sorted(near)
    finally:
        avis.delete_many({"_id": {"$in": near}})


def test_members_log_as_before(context: LocalContext) -> None:
    """An operator's profiling filter is kept, one that a killed run left is taken away."""
    own = {"millis": {"$gte": 50}}
    left = {"$or": [{"millis": {"$gte": 100}}, {"command.comment": {"$regex": overheard.MARK}}]}
    for found, kept in ((own, own), (left, None)):
        with each_primary(context) as (_, primary):
            database = primary[AVIS.home]
            try:
                database.command({"profile": 0, "filter": found})
                assert verified(context, AVIS) == {}
                assert database.command({"profile": -1}).get("filter") == kept
            finally:
                database.command({"profile": 0, "filter": "unset"})


def test_silent_servers_are_reasons_not_tracebacks(
    context: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobodys = IPv4Network("127.13.0.0/16")
    local = context.topology.local.model_copy(update={"network": nobodys})
    nowhere = context.topology.model_copy(update={"local": local})
    with monkeypatch.context() as patched:
        patched.setattr(proofs, "SET_SECONDS", 0.5)
        found = proofs.prove(replace(context, inventory=inventory(nowhere)), [AVIS])
    assert {proof.outcome for proof in found} == {Outcome.FAILED}
    assert all("does not answer" in proof.reason for proof in found)
    assert [p.requirement for p in found] == [p.requirement for p in proofs.prove(context, [AVIS])]


# The whole, last: by now the monitors have slept their old sleep


def test_every_requirement_of_every_collection_holds(context: LocalContext, client: Client) -> None:
    await_monitors(client)
    found = proofs.prove(context, catalogue.ENTITIES)
    assert red(found) == {}
    entities = catalogue.collections()
    indexes = sum(len(entity.indexes) for entity in entities)
    # Of each collection: key, validator, write concern, reports. Two segments and the default.
    assert len(found) == indexes + 4 * len(entities) + 3


def await_monitors(client: Client) -> None:
    """MongoDB 6.0's monitor takes a new ttlMonitorSleepSecs when its old sleep is over."""
    made = Maker(Random(1), datetime.now(UTC))
    for entity in (JOURNAL, BY_NAME["EVENEMENT_ACTIVITE"]):
        index = next(one for one in entity.indexes if one.expire_after)
        document, collection = expired(made, entity, index), place(client, entity)
        collection.insert_one(document)
        gone = partial(is_gone, collection, document)
        wait_for("the TTL monitor's first short period", gone, seconds=90)


def is_gone(collection: Collection[Document], document: Document) -> bool:
    return collection.find_one({"_id": document["_id"]}) is None
