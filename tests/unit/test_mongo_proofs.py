"""The pure parts of `schema verify`: probes, plans, and what a member's log says."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from bson import decode, encode
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure

from cluster.errors import RefusedError, UnreachableError
from cluster.schema import catalogue
from cluster.schema.catalogue import BY_NAME
from cluster.schema.guarantees import FAST, RECORD, SENSITIVE
from cluster.schema.types import Entity, Field, Index, Kind, Order, Query
from mongo.schema.indexes import index_spec
from mongo.schema.live import LiveCollection
from mongo.schema.proofs.collection import differs, index_text, let_in, standing, unused
from mongo.schema.proofs.concerns import wrong_report, wrong_write
from mongo.schema.proofs.overheard import MARK, Heard, is_ours, parse_log
from mongo.schema.proofs.places import strays
from mongo.schema.proofs.plans import find_command, winning_indexes
from mongo.schema.proofs.probes import (
    ALL_PROBES,
    EXPIRED,
    PATTERNS,
    PREFIX,
    PROBES,
    Maker,
    bad_documents,
    crowd,
    duplicate,
    expired,
)
from mongo.schema.proofs.trial import Line, run, tried
from tests.unit.mongo_samples import ANSWERS, answer

NOW = datetime(2026, 11, 23, 10, 30, 0, 123456, tzinfo=UTC)
COLLECTIONS = pytest.mark.parametrize("entity", catalogue.collections(), ids=lambda one: one.name)
Document = Mapping[str, Any]


def maker() -> Maker:
    return Maker(Random(7), NOW)


# Probes: a second reading of the declarations, without MongoDB


def faults(entity: Entity, document: Document) -> list[str]:
    """The rules that a document breaks."""
    found = [name for name in document if name not in {"_id", *(f.name for f in entity.fields)}]
    if document.get("_id") != document.get(entity.key) and entity.key in document:
        found.append("_id")
    for field in entity.fields:
        if field.name in document:
            found += [f"{field.name} {rule}" for rule in broken(field, document[field.name])]
        elif field.required:
            found.append(f"{field.name} missing")
    return found


def broken(field: Field, value: object) -> list[str]:
    if field.kind is Kind.STRINGS and isinstance(value, list):
        return [rule for one in value for rule in broken_text(field, one)]
    if field.kind in {Kind.ID, Kind.STRING}:
        return broken_text(field, value)
    if field.kind is Kind.POINT:
        return [] if is_place(value) else ["place"]
    if not isinstance(value, TYPES[field.kind]):
        return ["type"]
    return broken_number(field, value) if isinstance(value, int | float) else []


TYPES: Mapping[Kind, tuple[type, ...]] = {
    Kind.STRINGS: (list,),
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float),
    Kind.BOOLEAN: (bool,),
    Kind.DATETIME: (datetime,),
}


def broken_text(field: Field, value: object) -> list[str]:
    if not isinstance(value, str):
        return ["type"]
    rules = {
        "word": bool(field.values) and value not in field.values,
        "pattern": field.pattern is not None and not re.search(field.pattern, value),
        "length": field.longest is not None and len(value) > field.longest,
    }
    return [rule for rule, is_broken in rules.items() if is_broken]


def broken_number(field: Field, value: float) -> list[str]:
    low = field.minimum is not None and value < field.minimum
    high = field.maximum is not None and value > field.maximum
    return ["minimum"] * low + ["maximum"] * high


def is_place(value: object) -> bool:
    if not isinstance(value, dict) or value.keys() != {"type", "coordinates"}:
        return False
    pair = value["coordinates"]
    if value["type"] != "Point" or len(pair) != 2:
        return False
    return abs(pair[0]) <= 180 and abs(pair[1]) <= 90


@COLLECTIONS
def test_good_documents_are_good(entity: Entity) -> None:
    made = maker()
    for document in (made.document(entity), made.bare(entity)):
        assert faults(entity, document) == []
        assert decode(encode(dict(document)), codec_options=None) is not None
    required = {field.name for field in entity.fields if field.required}
    assert made.bare(entity).keys() == {"_id", *required}


@COLLECTIONS
def test_a_bad_document_breaks_one_rule_alone(entity: Entity) -> None:
    """So that each rule's absence is seen; a key that is no text also differs from `_id`."""
    made = bad_documents(maker(), entity)
    assert len({bad.what for bad in made}) == len(made)
    for bad in made:
        found = faults(entity, bad.document)
        beside = (
            ["_id"] if bad.what in {f"{entity.key}: {x}" for x in ("null", "wrong type")} else []
        )
        assert len(found) == 1 + len(beside), (bad.what, found)
        assert found[: len(beside)] == beside


@COLLECTIONS
def test_every_rule_has_its_bad_document(entity: Entity) -> None:
    told = {bad.what for bad in bad_documents(maker(), entity)}
    assert {"an undeclared field", f"_id is not {entity.key}"} <= told
    for field in entity.fields:
        expected = {
            "null": True,
            "wrong type": True,
            "missing": field.required,
            "not one of its words": bool(field.values),
            "does not fit its pattern": field.pattern is not None,
            "too small": field.minimum is not None,
            "too large": field.maximum is not None,
            "latitude -91 is no place": field.kind is Kind.POINT,
            "wrong type of an element": field.kind is Kind.STRINGS,
        }
        for what, is_due in expected.items():
            assert (f"{field.name}: {what}" in told) == is_due, f"{field.name}: {what}"
        bounded_by_pattern = field.pattern is not None and field.name != "courriel"
        is_due = field.longest is not None and not bounded_by_pattern
        assert (f"{field.name}: too long" in told) == is_due, field.name


@COLLECTIONS
def test_whatever_gets_in_is_recognised(entity: Entity) -> None:
    made = maker()
    documents = [made.document(entity), made.bare(entity)]
    documents += [bad.document for bad in bad_documents(made, entity)]
    assert all(in_range(document["_id"], PROBES) for document in documents)
    for index in entity.indexes:
        if index.expire_after:
            one = expired(made, entity, index)
            assert one["_id"] == one[entity.key]
            assert not in_range(one["_id"], PROBES)
            assert in_range(one["_id"], ALL_PROBES)
            assert faults(entity, one) == []
            assert one[index.fields[0]] < NOW - timedelta(seconds=index.expire_after)


def in_range(value: str, probes: Document) -> bool:
    return bool(probes["_id"]["$gte"] <= value < probes["_id"]["$lt"])


@pytest.mark.parametrize("prefix", [PREFIX, EXPIRED])
def test_no_uuid_of_a_service_is_taken_for_a_probe(prefix: str) -> None:
    """RFC 9562: the third group begins with the version, and there is no version 0."""
    assert maker().id(prefix).startswith(prefix)
    assert maker().id(prefix)[14] == "0", "as no UUID has it"
    assert not any(
        in_range(f"0b5e55ed-5c4e-{v}000-8000-000000000000", ALL_PROBES) for v in "123478"
    )


def test_every_pattern_of_the_catalogue_can_be_met() -> None:
    fields = [field for entity in catalogue.collections() for field in entity.fields]
    patterns = {field.pattern for field in fields if field.pattern is not None}
    assert patterns == set(PATTERNS)
    for pattern, make in PATTERNS.items():
        assert re.fullmatch(pattern, make("012345678901"))


def test_texts_are_used_once() -> None:
    made = maker()
    documents = [made.document(BY_NAME["UTILISATEUR"]) for _ in range(100)]
    for name in ("_id", "courriel", "nom", "cree_le"):
        assert len({document[name] for document in documents}) == 100
    assert all(one["cree_le"].microsecond % 1000 == 0 for one in documents), "MongoDB cuts it off"


# Indexes

INDEXES = [
    pytest.param(entity, index, id=f"{entity.name} {index_spec(index).name}")
    for entity in catalogue.collections()
    for index in entity.indexes
]


@pytest.mark.parametrize(("entity", "index"), INDEXES)
def test_the_crowd_is_not_found_by_the_query_and_is_by_others(entity: Entity, index: Index) -> None:
    made = maker()
    target = made.document(entity)
    others = crowd(made, entity, index, target)
    equal = index.serves.equal
    assert len(others) == len(equal)
    for name, other in zip(equal, others, strict=True):
        assert [one for one in equal if other[one] != target[one]] == [name]
        assert other["_id"] != target["_id"]


@pytest.mark.parametrize(("entity", "index"), INDEXES)
def test_no_other_index_serves_a_query_as_well(entity: Entity, index: Index) -> None:
    """A tie would be decided by chance. What another index can serve must tell its probe apart."""
    query = index.serves
    for other in entity.indexes:
        if other is not index and helps(other, query):
            ids = [name for name in query.equal if entity.field(name).kind is Kind.ID]
            assert ids, f"{index_spec(other).name} may win, and no id makes the probe the only one"
            assert set(query.equal) - set(other.fields[: len(query.equal)])


def helps(index: Index, query: Query) -> bool:
    """Whether the planner considers it at all: by its first field."""
    if any(key.order in {Order.TEXT, Order.SPHERE} for key in index.keys):
        return False
    first = index.fields[0]
    sorts = [field.removeprefix("-") for field in query.sort[:1]]
    return first in {*query.equal, query.since, *sorts}


@pytest.mark.parametrize(("entity", "index"), [p for p in INDEXES if p.values[1].unique])
def test_a_duplicate_is_one_in_this_index_alone(entity: Entity, index: Index) -> None:
    made = maker()
    target = made.document(entity)
    second = duplicate(made, entity, index, target)
    assert second["_id"] != target["_id"]
    for other in (one for one in entity.indexes if one.unique):
        same = all(second[name] == target[name] for name in other.fields)
        assert same == (other is index)


def test_queries_as_a_service_sends_them() -> None:
    made = maker()
    session, skill = made.document(BY_NAME["SESSION"]), made.document(BY_NAME["COMPETENCE"])
    by_what = {
        index.serves.what: find_command(entity, index.serves, document)
        for entity, document in ((BY_NAME["SESSION"], session), (BY_NAME["COMPETENCE"], skill))
        for index in entity.indexes
    }
    assert by_what["the sessions of two people"] == {
        "find": "SESSION",
        "filter": {
            "id_apprenant": session["id_apprenant"],
            "id_enseignant": session["id_enseignant"],
        },
        "sort": {"debut": 1},
    }
    assert by_what["reminders: what comes"]["filter"] == {
        "statut": "PROPOSEE",
        "debut": {"$gte": session["debut"]},
    }
    assert by_what["sessions near a place"]["filter"] == {
        "point_lieu": {"$nearSphere": {"$geometry": session["point_lieu"], "$maxDistance": 1000}}
    }
    assert by_what["skills by words"]["filter"] == {"$text": {"$search": skill["libelle"]}}
    assert by_what["matching by language"]["filter"] == {"langues": "fr"}
    newest = BY_NAME["GROUPE"].indexes[2].serves
    assert find_command(BY_NAME["GROUPE"], newest, {}) == {
        "find": "GROUPE",
        "filter": {},
        "sort": {"cree_le": -1},
    }


# What explain says


@pytest.mark.parametrize(
    ("captured", "names"),
    [
        ("index", {"u_1_p_1_r_1"}),
        ("text", {"t_text"}),
        ("near", {"g_2dsphere"}),
        ("scan", set()),
        ("slots", {"p_1_r_1_s_-1"}),  # explainVersion 2
    ],
)
def test_a_captured_plans_indexes(captured: str, names: set[str]) -> None:
    assert winning_indexes(answer(f"explain_{captured}")) == (frozenset(names),)


def by_mongos(*captured: str) -> dict[str, Any]:
    """As mongos puts the shards' answers together (MongoDB Manual, Explain Results)."""
    shards = [
        {"shardName": f"shard-{name}", **answer(f"explain_{name}")["queryPlanner"]}
        for name in captured
    ]
    stage = "SHARD_MERGE" if len(shards) > 1 else "SINGLE_SHARD"
    plan = {"mongosPlannerVersion": 1, "winningPlan": {"stage": stage, "shards": shards}}
    return {"queryPlanner": plan}


def test_mongos_tells_of_every_shard() -> None:
    index, slots, none = frozenset({"u_1_p_1_r_1"}), frozenset({"p_1_r_1_s_-1"}), frozenset[str]()
    assert winning_indexes(by_mongos("index")) == (index,)
    assert winning_indexes(by_mongos("index", "slots", "scan")) == (index, slots, none)


def test_a_shard_that_has_nothing_says_nothing() -> None:
    there, empty = by_mongos("index", "scan"), by_mongos("scan")
    there["queryPlanner"]["winningPlan"]["shards"][1]["winningPlan"] = {"stage": "EOF"}
    assert winning_indexes(there) == (frozenset({"u_1_p_1_r_1"}),)
    empty["queryPlanner"]["winningPlan"]["shards"][0]["winningPlan"] = {"stage": "EOF"}
    assert winning_indexes(empty) == (frozenset(),)


@pytest.mark.parametrize(
    ("winners", "reason"),
    [
        ((frozenset({"a_1"}),), ""),
        ((frozenset({"a_hashed"}),), ""),
        ((frozenset({"b_1"}),), "its query uses b_1"),
        ((frozenset({"a_1"}), frozenset[str]()), "its query uses a scan of the whole collection"),
        ((), "the server explained no plan"),
    ],
)
def test_an_index_is_used_on_every_shard_or_not(
    winners: tuple[frozenset[str], ...], reason: str
) -> None:
    assert unused(winners, {"a_1", "a_hashed"}) == reason


def test_an_index_of_another_name_is_the_same_index() -> None:
    index = BY_NAME["AVIS"].indexes[2]
    wanted = index_spec(index)
    other = type(wanted)(name="mine", keys=wanted.keys)
    assert standing(LiveCollection("AVIS", indexes=(other,)), index) == other
    assert standing(LiveCollection("AVIS", indexes=(other, wanted)), index) == wanted
    assert standing(LiveCollection("AVIS"), index) is None
    assert differs(other, index) == ""
    hidden = type(wanted)(name="mine", keys=wanted.keys, hidden=True)
    assert differs(hidden, index) == f"is {hidden.text}, declared {wanted.text}"


def test_lines_are_named_for_what_breaks() -> None:
    assert [index_text(index) for index in BY_NAME["UTILISATEUR"].indexes] == [
        'id_utilisateur_1 serves "a user by id"',
        'unique index courriel_1 refuses a duplicate, serves "log-in by e-mail"',
        'roles_1 serves "users who have a role"',
        'localisation_2dsphere serves "matching by proximity"',
    ]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], ""),
        (["a"], "does not refuse a"),
        (list("abcde"), "does not refuse a, b, c, d, e"),
        (list("abcdefg"), "does not refuse a, b, c, d, e and 2 more"),
    ],
)
def test_bad_documents_that_got_in_are_named(names: list[str], said: str) -> None:
    assert let_in(names) == said


# What members say

LOG = (ANSWERS / "verify_log.txt").read_text("utf-8").splitlines()
COMMENT = f"{MARK} 1 AVIS"
WRITE = Heard(
    "m",
    primary=True,
    command="delete",
    comment=COMMENT,
    concern={"w": "majority", "j": True, "wtimeout": 0, "provenance": "clientSupplied"},
)


def test_a_captured_log_tells_of_our_commands() -> None:
    """One line a command: the write itself, which has no concern, is logged beside it."""
    wrong = ['{"half a line', "{}", '{"attr": {"command": "text"}}', LOG[0].replace(MARK, "other")]
    found = list(parse_log([*wrong, *LOG, f"{MARK}: no JSON"], "m", primary=True))
    assert found == [WRITE, Heard("m", primary=True, command="find", comment=COMMENT, concern={})]


def concern(**fields: object) -> Heard:
    return Heard("m", True, "delete", COMMENT, {"provenance": "clientSupplied", **fields})


def test_the_declared_concern_is_the_one_that_was_worked_by() -> None:
    assert wrong_write(SENSITIVE, [WRITE]) == ""
    assert wrong_write(RECORD, [concern(w="majority")]) == ""
    assert wrong_write(FAST, [concern(w=1)]) == ""
    assert wrong_write(SENSITIVE, []) == "no member's log tells of the write"
    assert wrong_write(SENSITIVE, [concern(w="majority")]) == "m acknowledged at w:majority"
    assert wrong_write(SENSITIVE, [WRITE, concern(w=1)]) == "m acknowledged at w:1"
    assert wrong_write(FAST, [concern(w="majority")]) == "m acknowledged at w:majority"
    assert wrong_write(RECORD, [WRITE]) == "m acknowledged at w:majority, j:true"
    by_default = concern(w="majority", provenance="customDefault")
    said = "m was asked for no write concern and took w:majority"
    assert wrong_write(RECORD, [by_default]) == said


def test_a_report_is_a_secondarys() -> None:
    primary = Heard("a", primary=True, command="find", comment=COMMENT, concern={})
    secondary = Heard("b", primary=False, command="find", comment=COMMENT, concern={})
    assert wrong_report([secondary]) == ""
    assert wrong_report([secondary, primary]) == "the primary a answered"
    assert wrong_report([]) == "no member's log tells of the read"


def test_only_our_own_filter_is_taken_away() -> None:
    assert is_ours(
        {"$or": [{"millis": {"$gte": 100}}, {"command.comment": {"$regex": f"^{MARK}"}}]}
    )
    assert not is_ours({"millis": {"$gte": 50}})


def test_strays_are_named() -> None:
    held = {"shard-a": ["AVIS"], "shard-b": ["AVIS", "MESSAGE"], "shard-c": []}
    assert strays(["shard-b"], held) == "shard-a has AVIS"
    assert strays(["shard-a", "shard-b"], held) == ""


# Trials


def raising(error: Exception) -> Line:
    def trial() -> str:
        raise error

    return Line("E", "r", trial)


@pytest.mark.parametrize(
    ("error", "reason", "silent"),
    [
        (RefusedError("no"), "no", False),
        (UnreachableError("shard-a-1 does not answer"), "shard-a-1 does not answer", True),
        (AutoReconnect("gone"), "the routers does not answer: gone", True),
        (OperationFailure("not so", 2, {"errmsg": "not so"}), "the routers: not so (2)", False),
        (
            OperationFailure("x", 133, {"errmsg": "no primary", "codeName": "Failed"}),
            "the routers: no primary (Failed)",
            True,
        ),
        (
            BulkWriteError({"writeErrors": [{"index": 0, "errmsg": "E11000 dup"}]}),
            "the routers: E11000 dup",
            False,
        ),
    ],
)
def test_errors_are_reasons(error: Exception, reason: str, silent: bool) -> None:
    assert tried(raising(error).trial) == (reason, reason if silent else "")


def test_a_silent_server_is_asked_no_more() -> None:
    never: list[str] = []

    def trial() -> str:
        never.append("asked")
        return ""

    lines = [Line("E", "a", lambda: ""), raising(UnreachableError("gone")), Line("E", "b", trial)]
    found = [(proof.requirement, str(proof.outcome), proof.reason) for proof in run(lines)]
    assert found == [("a", "passed", ""), ("r", "failed", "gone"), ("b", "failed", "gone")]
    assert never == []
