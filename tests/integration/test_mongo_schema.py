"""`schema apply` and `schema diff` on the real cluster; every test leaves the schema applied."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, WriteError

from cluster.clock import wait_for
from cluster.errors import OpsError
from cluster.plan import Finished, Outcome, preview
from cluster.schema.catalogue import BY_NAME, collections
from cluster.schema.findings import Drift
from mongo import nodes
from mongo.client import Client, node_client, router_client
from mongo.credentials import APPLICATION, internal, login
from mongo.guarantees import collection
from mongo.schema import live
from mongo.schema.compare import BRIDGE
from mongo.schema.drift import drift
from mongo.schema.indexes import index_specs
from mongo.servers import servers
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab
from tests.integration.mongo_schema_run import applied, steps

pytestmark = pytest.mark.servers

Document = dict[str, Any]
MANY = 3000  # documents; few enough to be quick, the tests do not rest on how long a build takes


@pytest.fixture(scope="module")
def admin(shared_lab: Lab) -> Iterator[Client]:
    with live.admin(shared_lab.context) as client:
        yield client


@pytest.fixture
def context(shared_lab: Lab, admin: Client) -> Iterator[LocalContext]:
    """The shared cluster with the schema applied and nothing in it, before and after."""
    context = shared_lab.context
    _restore(context, admin)
    yield context
    _restore(context, admin)
    assert drift(context) == ()


def _restore(context: LocalContext, admin: Client) -> None:
    for entity in collections():
        admin[entity.home][entity.name].delete_many({})
    assert_done(applied(context, prune=True))


def assert_done(ends: dict[str, Finished]) -> None:
    assert {end.why for end in ends.values() if end.error} == set()


def users(client: Client) -> Collection[Document]:
    return client["users_skills"]["UTILISATEUR"]


def messages(client: Client) -> Collection[Document]:
    return client["sessions_messages"]["MESSAGE"]


def a_user(courriel: str) -> Document:
    _id = str(uuid.uuid4())
    return {
        "_id": _id,
        "id_utilisateur": _id,
        "nom": "Zoé",
        "courriel": courriel,
        "langue_preferee": "fr",
        "identite_verifiee": True,
        "reputation": 4.5,
        "score_fiabilite": 90,
        "roles": ["APPRENANT"],
        "cree_le": datetime.now(UTC),
    }


def a_message() -> Document:
    _id = str(uuid.uuid4())
    return {
        "_id": _id,
        "id_message": _id,
        "id_session": str(uuid.uuid4()),
        "id_expediteur": str(uuid.uuid4()),
        "texte": "Bonjour",
        "langue": "fr",
        "cree_le": datetime.now(UTC),
    }


def drop_all(admin: Client) -> None:
    for entity in collections():
        admin[entity.home].drop_collection(entity.name)


# From nothing, again, killed, two at once


def test_apply_on_nothing_and_again(context: LocalContext, admin: Client) -> None:
    drop_all(admin)
    missing = drift(context)
    assert {(each.entity, each.part, each.found) for each in missing} == {
        (entity.name, "collection", None) for entity in collections()
    }
    first = applied(context)
    assert_done(first)
    changed = {name for name, end in first.items() if end.outcome is Outcome.CHANGED}
    assert changed == {entity.name for entity in collections()}
    assert drift(context) == ()
    assert {end.outcome for end in applied(context).values()} == {Outcome.UNCHANGED}
    assert {row.outcome for row in preview(steps(context, ()))} == {Outcome.UNCHANGED}


def wrong_in_many_ways(admin: Client) -> None:
    """What takes a build, a change, a rebuild and a validator to mend."""
    found = users(admin)
    for index in ("id_utilisateur_1", "courriel_1", "roles_1"):
        found.drop_index(index)
    found.create_index("nom", name="courriel_1")
    found.create_index("roles", hidden=True)
    loosen(found)


def loosen(found: Collection[Document]) -> None:
    found.database.command({"collMod": found.name, "validator": {}, "validationLevel": "off"})


@pytest.mark.parametrize(
    ("moment", "fresh"),
    [
        ("create:answered", True),
        ("createIndexes:started", True),
        ("createIndexes:answered", True),
        ("createIndexes:answered", False),
        ("collMod:answered", False),
        ("dropIndexes:answered", False),
    ],
)
def test_killed_anywhere_and_run_again(
    shared_lab: Lab, context: LocalContext, admin: Client, moment: str, fresh: bool
) -> None:
    if fresh:
        users(admin).drop()
    else:
        wrong_in_many_ways(admin)
        users(admin).insert_one({"_id": "kept"})
    ended = subprocess.run(program(shared_lab, "UTILISATEUR", moment), timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    if not fresh:
        assert users(admin).delete_one({"_id": "kept"}).deleted_count == 1
    assert_done(applied(context, "UTILISATEUR"))
    assert drift(context) == ()


def program(lab: Lab, names: str, *moments: str) -> list[str]:
    module = "tests.integration.mongo_schema_run"
    return [sys.executable, "-m", module, str(lab.home), str(lab.topology), names, *moments]


@pytest.mark.parametrize("before", [drop_all, wrong_in_many_ways])
def test_two_operators_at_once(
    context: LocalContext, admin: Client, before: Callable[[Client], None]
) -> None:
    before(admin)
    with ThreadPoolExecutor(2) as pool:
        for ends in pool.map(lambda _: applied(context), range(2)):
            assert_done(ends)
    assert drift(context) == ()


# A filled cluster that is written to


@contextmanager
def frozen_secondary(context: LocalContext, shard: int) -> Iterator[None]:
    """A secondary that does nothing: no index build of its shard can be committed."""
    member = wait_for("a secondary", partial(_secondary, context, shard), seconds=30)
    [server] = [server for server in servers(context) if server.name == member]
    pid = context.target.state(server).pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _secondary(context: LocalContext, shard: int) -> str | None:
    for node in nodes.shards(context)[shard].nodes:
        with node_client(node, internal(context)) as client:
            if client.admin.command("hello").get("secondary"):
                return node.name
    return None


class Writer:
    """Writes messages, one after the other, as the application does."""

    def __init__(self, client: Client) -> None:
        self._collection = collection(client, BY_NAME["MESSAGE"])
        self._stop = threading.Event()
        self.written = 0

    def run(self) -> int:
        while not self._stop.is_set():
            self._collection.insert_one(a_message())
            self.written += 1
        return self.written

    def stop(self) -> None:
        self._stop.set()


def building(context: LocalContext) -> bool:
    return any("being built" in (each.found or "") for each in drift(context))


def test_writes_go_on_while_an_index_is_built(context: LocalContext, admin: Client) -> None:
    declared = [spec.name for spec in index_specs(BY_NAME["MESSAGE"])]
    for name in declared:
        messages(admin).drop_index(name)
    messages(admin).insert_many(a_message() for _ in range(MANY))
    with (
        router_client(nodes.routers(context), login(context, APPLICATION)) as app,
        ThreadPoolExecutor(2) as pool,
    ):
        writer = Writer(app)
        writing = pool.submit(writer.run)
        try:
            with frozen_secondary(context, 1):
                applying = pool.submit(applied, context, "MESSAGE")
                wait_for("the build", lambda: building(context), seconds=30)
                begun = writer.written
                wait_for("more writes", lambda: writer.written > begun + 20, seconds=30)
                assert building(context)
                assert not applying.done()
            assert_done(applying.result(timeout=120))
        finally:
            writer.stop()
        written = writing.result()  # the last one included: it may still be under way
        assert messages(admin).count_documents({}) == MANY + written
    assert drift(context) == ()


def test_killed_in_a_build_and_run_again(
    shared_lab: Lab, context: LocalContext, admin: Client
) -> None:
    messages(admin).drop_index("id_message_1")
    messages(admin).insert_many(a_message() for _ in range(MANY))
    with frozen_secondary(context, 1):
        applying = subprocess.Popen(program(shared_lab, "MESSAGE"))
        try:
            wait_for("the build", lambda: building(context), seconds=30)
        finally:
            applying.kill()
            assert applying.wait(30) == -signal.SIGKILL
    assert_done(applied(context, "MESSAGE"))
    assert drift(context) == ()


# Each kind of drift


def segment(client: Client) -> Database[Document]:
    return client["users_skills"]


def coll_mod(client: Client, name: str, **change: object) -> None:
    segment(client).command("collMod", name, **change)


def a_collection_is_gone(client: Client) -> None:
    segment(client).drop_collection("BADGE")


def an_index_is_gone(client: Client) -> None:
    users(client).drop_index("roles_1")


def an_index_has_other_keys(client: Client) -> None:
    users(client).drop_index("roles_1")
    users(client).create_index("nom", name="roles_1")


def an_index_has_another_order(client: Client) -> None:
    found = segment(client)["MEDIA"]
    found.drop_index("type_1_cree_le_-1")
    found.create_index([("type", 1), ("cree_le", 1)], name="type_1_cree_le_-1")


def an_index_has_another_name(client: Client) -> None:
    users(client).drop_index("courriel_1")
    users(client).create_index("courriel", name="mails", unique=True)


def an_index_is_not_unique(client: Client) -> None:
    users(client).drop_index("courriel_1")
    users(client).create_index("courriel")


def an_index_is_unique(client: Client) -> None:
    users(client).drop_index("roles_1")
    users(client).create_index("roles", unique=True)


def an_index_is_sparse(client: Client) -> None:
    users(client).drop_index("courriel_1")
    users(client).create_index("courriel", unique=True, sparse=True)


def an_index_is_hidden(client: Client) -> None:
    coll_mod(client, "UTILISATEUR", index={"name": "courriel_1", "hidden": True})


def what_expires_expires_early(client: Client) -> None:
    coll_mod(client, "EVENEMENT_ACTIVITE", index={"name": "cree_le_1", "expireAfterSeconds": 9**9})


def what_expires_stays(client: Client) -> None:
    found = segment(client)["EVENEMENT_ACTIVITE"]
    found.drop_index("cree_le_1")
    found.create_index("cree_le")


def what_stays_expires(client: Client) -> None:
    coll_mod(client, "UTILISATEUR", index={"name": "roles_1", "expireAfterSeconds": 9**9})


def words_weigh_more(client: Client) -> None:
    found = segment(client)["COMPETENCE"]
    found.drop_index("libelle_text")
    found.create_index([("libelle", "text")], weights={"libelle": 5}, default_language="none")


def words_are_french(client: Client) -> None:
    found = segment(client)["COMPETENCE"]
    found.drop_index("libelle_text")
    found.create_index([("libelle", "text")], name="mots", default_language="french")


def there_is_another_index(client: Client) -> None:
    users(client).create_index("nom")


def a_rule_is_looser(client: Client) -> None:
    options = next(users(client).database.list_collections(filter={"name": "UTILISATEUR"}))
    rules = options["options"]["validator"]
    rules["$jsonSchema"]["properties"]["reputation"]["maximum"] = 6
    coll_mod(client, "UTILISATEUR", validator=rules)


def there_are_no_rules(client: Client) -> None:
    coll_mod(client, "UTILISATEUR", validator={})


def rules_are_moderate(client: Client) -> None:
    coll_mod(client, "UTILISATEUR", validationLevel="moderate")


def rules_only_warn(client: Client) -> None:
    coll_mod(client, "UTILISATEUR", validationAction="warn")


def the_default_is_one(client: Client) -> None:
    client.admin.command({"setDefaultRWConcern": 1, "defaultWriteConcern": {"w": 1}})


Break = Callable[[Client], None]
BROKEN: list[tuple[Break, str, str]] = [
    (a_collection_is_gone, "BADGE", "collection"),
    (an_index_is_gone, "UTILISATEUR", "index roles_1"),
    (an_index_has_other_keys, "UTILISATEUR", "index roles_1"),
    (an_index_has_another_order, "MEDIA", "index type_1_cree_le_-1"),
    (an_index_has_another_name, "UTILISATEUR", "index courriel_1"),
    (an_index_is_not_unique, "UTILISATEUR", "index courriel_1"),
    (an_index_is_unique, "UTILISATEUR", "index roles_1"),
    (an_index_is_sparse, "UTILISATEUR", "index courriel_1"),
    (an_index_is_hidden, "UTILISATEUR", "index courriel_1"),
    (what_expires_expires_early, "EVENEMENT_ACTIVITE", "index cree_le_1"),
    (what_expires_stays, "EVENEMENT_ACTIVITE", "index cree_le_1"),
    (what_stays_expires, "UTILISATEUR", "index roles_1"),
    (words_weigh_more, "COMPETENCE", "index libelle_text"),
    (words_are_french, "COMPETENCE", "index libelle_text"),
    (there_is_another_index, "UTILISATEUR", "index nom_1"),
    (a_rule_is_looser, "UTILISATEUR", "validator"),
    (there_are_no_rules, "UTILISATEUR", "validator"),
    (rules_are_moderate, "UTILISATEUR", "validationLevel"),
    (rules_only_warn, "UTILISATEUR", "validationAction"),
    (the_default_is_one, "", "default write concern"),
]


@pytest.mark.parametrize(
    ("breaks", "entity", "part"), BROKEN, ids=lambda row: getattr(row, "__name__", None)
)
def test_what_is_broken_by_hand_is_one_drift_and_mended(
    context: LocalContext, admin: Client, breaks: Break, entity: str, part: str
) -> None:
    breaks(admin)
    [found] = drift(context)
    assert (found.entity, found.part) == (entity, part)
    ends = applied(context, prune=True)
    assert_done(ends)
    [changed] = [end for end in ends.values() if end.outcome is Outcome.CHANGED]
    assert entity in changed.step.name
    assert changed.why
    assert drift(context) == ()


def test_undeclared_things_stay_unless_they_are_to_go(context: LocalContext, admin: Client) -> None:
    users(admin).create_index("nom")
    segment(admin).create_collection("essai")
    try:
        end = applied(context, "UTILISATEUR")["UTILISATEUR"]
        assert end.outcome is Outcome.UNCHANGED
        assert "undeclared and left: nom_1" in end.why
        parts = {(each.entity, each.part, each.declared) for each in drift(context)}
        assert parts == {("UTILISATEUR", "index nom_1", None), ("essai", "collection", None)}
        assert_done(applied(context, prune=True))
        [left] = drift(context)
        assert (left.entity, left.found) == ("essai", "collection in users_skills")
    finally:
        segment(admin).drop_collection("essai")


def test_what_is_ours_is_no_drift(context: LocalContext, admin: Client) -> None:
    segment(admin).create_collection("drill_x_retried")
    try:
        assert "ops_readiness" in segment(admin).list_collection_names()
        assert drift(context) == ()
    finally:
        segment(admin).drop_collection("drill_x_retried")


def test_a_segment_on_another_shard(context: LocalContext) -> None:
    first, second, *others = context.topology.mongo.shards
    shards = (
        first.model_copy(update={"segment": second.segment}),
        second.model_copy(update={"segment": first.segment}),
        *others,
    )
    mongo = context.topology.mongo.model_copy(update={"shards": shards})
    swapped = replace(context, topology=context.topology.model_copy(update={"mongo": mongo}))
    assert [(each.part, each.declared, each.found) for each in drift(swapped)] == [
        ("segment users_skills", "on shard-b", "on shard-a"),
        ("segment sessions_messages", "on shard-a", "on shard-b"),
    ]
    ends = applied(swapped)
    assert "lives on shard-a, not on shard-b" in ends["users_skills"].why
    assert ends["UTILISATEUR"].outcome is Outcome.SKIPPED


def test_a_view_in_a_collections_place(context: LocalContext, admin: Client) -> None:
    segment(admin).drop_collection("BADGE")
    segment(admin).command("create", "BADGE", viewOn="UTILISATEUR", pipeline=[])
    try:
        assert [each.found for each in drift(context)] == ["view"]
        assert "is a view" in applied(context, "BADGE")["BADGE"].why
    finally:
        segment(admin).drop_collection("BADGE")


# What a person must put right first


def failed(context: LocalContext) -> OpsError:
    error = applied(context, "UTILISATEUR")["UTILISATEUR"].error
    assert isinstance(error, OpsError)
    assert "schema apply" in error.hint
    return error


@pytest.mark.parametrize("exists", [False, True])
def test_duplicates_are_named_and_nothing_is_lost(
    context: LocalContext, admin: Client, exists: bool
) -> None:
    for index in ("courriel_1", "roles_1"):
        users(admin).drop_index(index)
    if exists:
        users(admin).create_index("courriel")
    users(admin).insert_many([a_user("a@b.fr"), a_user("a@b.fr"), a_user("c@d.fr")])
    error = failed(context)
    assert error.message == (
        "users_skills.UTILISATEUR: index courriel_1 cannot be unique: "
        "more than one document has courriel 'a@b.fr'"
    )
    assert users(admin).count_documents({}) == 3
    indexes = users(admin).index_information()
    assert "roles_1" in indexes
    assert ("courriel_1" in indexes) is exists
    # A failed change does not leave writes refused that were taken before.
    users(admin).insert_one(a_user("c@d.fr"))
    users(admin).delete_many({"courriel": "a@b.fr"})
    users(admin).delete_one({"courriel": "c@d.fr"})
    assert_done(applied(context, "UTILISATEUR"))
    with pytest.raises(DuplicateKeyError):
        users(admin).insert_one(a_user("c@d.fr"))


def test_documents_that_break_a_tighter_validator(context: LocalContext, admin: Client) -> None:
    loosen(users(admin))
    bad = [a_user(f"{number}@b.fr") | {"reputation": 9} for number in range(3)]
    users(admin).insert_many([*bad, a_user("good@b.fr")])
    message = failed(context).message
    assert "3 documents break the declared validator" in message
    assert any(repr(user["_id"]) in message for user in bad)
    # The door is closed; what is inside can still be used, and put right.
    with pytest.raises(WriteError):
        users(admin).insert_one(a_user("new@b.fr") | {"reputation": 9})
    users(admin).update_one({"_id": bad[0]["_id"]}, {"$set": {"nom": "Léa"}})
    [found] = drift(context)
    assert (found.part, found.declared, found.found) == ("validationLevel", "strict", "moderate")
    users(admin).update_many({"reputation": 9}, {"$set": {"reputation": 5}})
    assert_done(applied(context, "UTILISATEUR"))
    assert users(admin).count_documents({}) == 4


def test_a_stand_in_that_a_killed_run_left_is_taken_away(
    context: LocalContext, admin: Client
) -> None:
    name = f"{BRIDGE}roles_1"
    users(admin).create_index([("roles", 1), ("_id", 1)], name=name)
    assert [each.part for each in drift(context)] == [f"index {name}"]
    assert_done(applied(context, "UTILISATEUR"))


def test_drifts_are_values(context: LocalContext, admin: Client) -> None:
    an_index_is_gone(admin)
    [found] = drift(context)
    assert isinstance(found, Drift)
    assert (found.declared, found.found) == ("{roles: 1}", None)
