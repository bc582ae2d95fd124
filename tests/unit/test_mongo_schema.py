"""Entities as validators and indexes, and what a server says of them."""

import re
from typing import Any

import pytest

from cluster.schema.catalogue import BY_NAME, collections
from cluster.schema.guarantees import FAST
from cluster.schema.types import Entity, Field, Index, Key, Kind, Order, Query, Store
from cluster.schema.words import UUID_PATTERN
from mongo.schema.compare import differences, sort_out
from mongo.schema.indexes import IndexSpec, index_spec, index_specs, parse_index
from mongo.schema.live import parse_collection
from mongo.schema.validator import property_of, validator, whole_text
from tests.unit.mongo_samples import answer

UUID_RULE = {
    "bsonType": "string",
    "maxLength": 36,
    "pattern": UUID_PATTERN.removesuffix("$") + r"\z",
}


# Validators


def test_an_entity_as_a_validator() -> None:
    assert validator(BY_NAME["UTILISATEUR_BADGE"]) == {
        "$jsonSchema": {
            "title": "UTILISATEUR_BADGE",
            "bsonType": "object",
            "required": ["_id", "id_utilisateur_badge", "id_utilisateur", "id_badge", "obtenu_le"],
            "additionalProperties": False,
            "properties": {
                "_id": {"bsonType": "string"},
                "id_utilisateur_badge": UUID_RULE,
                "id_utilisateur": UUID_RULE,
                "id_badge": UUID_RULE,
                "obtenu_le": {"bsonType": "date"},
            },
        },
        "$expr": {"$eq": ["$_id", "$id_utilisateur_badge"]},
    }


@pytest.mark.parametrize(
    ("field", "rule"),
    [
        (Field("a", Kind.STRING, longest=9), {"bsonType": "string", "maxLength": 9}),
        (Field("a", Kind.STRING, values=("X", "Y")), {"bsonType": "string", "enum": ["X", "Y"]}),
        (
            Field("a", Kind.STRINGS, values=("X",)),
            {"bsonType": "array", "items": {"bsonType": "string", "enum": ["X"]}},
        ),
        (
            Field("a", Kind.STRINGS, pattern="^b$"),
            {"bsonType": "array", "items": {"bsonType": "string", "pattern": r"^b\z"}},
        ),
        (
            Field("a", Kind.INTEGER, minimum=1, maximum=5),
            {"bsonType": ["int", "long"], "minimum": 1, "maximum": 5},
        ),
        (Field("a", Kind.MONEY, minimum=1), {"bsonType": ["int", "long"], "minimum": 1}),
        (
            Field("a", Kind.NUMBER, minimum=0.5, maximum=1.0),
            {"bsonType": ["int", "long", "double"], "minimum": 0.5, "maximum": 1},
        ),
        (Field("a", Kind.BOOLEAN), {"bsonType": "bool"}),
    ],
)
def test_a_field_as_a_rule(field: Field, rule: dict[str, object]) -> None:
    assert property_of(field) == rule


def test_a_place_is_longitude_then_latitude() -> None:
    rule = property_of(Field("a", Kind.POINT))
    longitude, latitude = rule["properties"]["coordinates"]["items"]
    assert (longitude["minimum"], longitude["maximum"]) == (-180, 180)
    assert (latitude["minimum"], latitude["maximum"]) == (-90, 90)
    assert rule["required"] == ["type", "coordinates"]


def test_a_pattern_does_not_let_a_line_break_end_the_text() -> None:
    assert whole_text("^a$") == r"^a\z"
    assert whole_text(r"a\$") == r"a\$"
    assert whole_text("a") == "a"
    # PCRE knows \z, Python before 3.14 spells it \Z.
    assert not re.search(whole_text("^a$").replace(r"\z", r"\Z"), "a\n")


@pytest.mark.parametrize("entity", collections(), ids=lambda entity: entity.name)
def test_every_kind_of_every_entity_is_rendered(entity: Entity) -> None:
    schema = validator(entity)["$jsonSchema"]
    assert set(schema["properties"]) == {"_id", *(field.name for field in entity.fields)}
    assert set(schema["required"]) <= set(schema["properties"])
    assert entity.key in schema["required"]


# Indexes


def test_indexes_have_the_servers_own_names() -> None:
    names = [index.name for entity in collections() for index in index_specs(entity)]
    assert {"courriel_1", "id_cible_1_cree_le_-1", "libelle_text", "point_lieu_2dsphere"} <= {
        *names
    }


def test_no_entity_has_two_indexes_of_one_identity() -> None:
    for entity in collections():
        specs = index_specs(entity)
        assert len({spec.identity for spec in specs}) == len(specs), entity.name


@pytest.mark.parametrize(
    ("index", "document", "text"),
    [
        (
            Index((Key("a"), Key("b", Order.DESCENDING)), Query(""), unique=True),
            {"name": "a_1_b_-1", "key": {"a": 1, "b": -1}, "unique": True},
            "{a: 1, b: -1}, unique",
        ),
        (
            Index((Key("a"),), Query(""), expire_after=60),
            {"name": "a_1", "key": {"a": 1}, "expireAfterSeconds": 60},
            "{a: 1}, expires after 60 s",
        ),
        (
            Index((Key("a", Order.TEXT),), Query("")),
            {
                "name": "a_text",
                "key": {"a": "text"},
                "weights": {"a": 1},
                "default_language": "none",
                "language_override": "language",
            },
            "{a: text}, language none",
        ),
        (
            Index((Key("a", Order.SPHERE),), Query("")),
            {"name": "a_2dsphere", "key": {"a": "2dsphere"}},
            "{a: 2dsphere}",
        ),
    ],
)
def test_an_index_as_a_command_and_in_words(
    index: Index, document: dict[str, object], text: str
) -> None:
    assert index_spec(index).document == document
    assert index_spec(index).text == text


def test_keys_keep_their_order() -> None:
    spec = index_spec(Index((Key("b"), Key("a")), Query("")))
    assert list(spec.document["key"]) == ["b", "a"]


# What a server says


@pytest.mark.parametrize("name", ["COMPETENCE", "JOURNAL_NOTIFICATION"])
def test_what_was_applied_reads_back_as_declared(name: str) -> None:
    entity, said = BY_NAME[name], answer(f"schema_{name.lower()}")
    found = parse_collection(said["collection"], said["indexes"])
    assert (found.level, found.action, found.options) == ("strict", "error", ())
    assert found.validator is not None
    assert differences(validator(entity), found.validator) == []
    indexes = sort_out(entity, found.indexes)
    assert all(wanted.ready for wanted in indexes.wanted)
    assert indexes.undeclared == ()
    assert {index.name for index in found.indexes} == {
        "_id_",
        *(index.name for index in index_specs(entity)),
    }


def test_a_collection_without_rules() -> None:
    found = parse_collection({"name": "x", "type": "collection", "options": {"capped": True}}, ())
    assert (found.validator, found.level, found.action) == (None, "strict", "error")
    assert found.options == (("capped", "True"),)


def test_an_index_that_is_being_built_says_so() -> None:
    row = {"name": "x", "type": "collection"}
    spec = {"v": 2, "key": {"a": 1}, "name": "a_1"}
    [index] = parse_collection(row, [{"spec": spec, "building": True}]).indexes
    assert index == IndexSpec("a_1", (("a", 1),), building=True)


def test_a_sharded_collections_index_counts_once() -> None:
    row = {"name": "x", "type": "collection"}
    spec = {"v": 2, "key": {"a": 1}, "name": "a_1"}
    said = [{"spec": spec, "shard": "shard-a"}, {"spec": spec, "shard": "shard-c"}]
    assert len(parse_collection(row, said).indexes) == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"key": {"a": 1.0}, "expireAfterSeconds": 60.0}, "{a: 1}, expires after 60 s"),
        (
            {"key": {"a": 1}, "expireAfterSeconds": float("nan")},
            "{a: 1}, expires after -1 s",
        ),
        ({"key": {"a": 1}, "sparse": True}, "{a: 1}, sparse true"),
        ({"key": {"a": "hashed"}, "hidden": True}, "{a: hashed}, hidden"),
        ({"key": {"a": 1}, "prepareUnique": True}, "{a: 1}, refuses new duplicates"),
        (
            {"key": {"a": 1}, "partialFilterExpression": {"a": {"$exists": True}}},
            "{a: 1}, where a exists",
        ),
        (
            {"key": {"a": 1}, "partialFilterExpression": {"a": {"$gt": 5}}},
            "{a: 1}, partialFilterExpression {'a': {'$gt': 5}}",
        ),
        (
            {
                "key": {"z": 1, "_fts": "text", "_ftsx": 1},
                "weights": {"b": 10, "a": 1},
                "default_language": "french",
                "language_override": "langue",
            },
            "{z: 1, a: text, b: text}, weights {b: 10}, language french, override langue",
        ),
    ],
)
def test_what_a_person_may_have_made(options: dict[str, Any], text: str) -> None:
    assert parse_index({"v": 2, "name": "x", **options}).text == text


def test_an_entity_of_no_index_has_none() -> None:
    bare = Entity("X", Store.MONGO, "s", "a", (Field("a", Kind.ID),), FAST)
    assert index_specs(bare) == ()
    assert sort_out(bare, ()).wanted == ()
