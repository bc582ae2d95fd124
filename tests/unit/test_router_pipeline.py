"""Aggregations: what they read and write is found wherever it stands."""

from collections.abc import Mapping
from typing import Any

import bson
import pytest

from mongo.router.authz import need, place
from mongo.router.document import Document
from mongo.router.errors import Code, CommandError
from mongo.router.pipeline import PLAIN, Pipeline, analyse

D = "d"


def _analyse(*stages: Mapping[str, Any], bypass: bool = False, collection: str = "c") -> Pipeline:
    documents = [Document(bson.encode(stage)) for stage in stages]
    return analyse(D, collection, documents, bypass_validation=bypass)


def _reads(*names: str) -> set[Any]:
    return {need(place(D, name), "find") for name in names}


LOOKUP = {"from": "l", "as": "x", "localField": "a", "foreignField": "b"}
GRAPH = {"from": "g", "startWith": "$a", "connectFromField": "a", "connectToField": "b", "as": "x"}


@pytest.mark.parametrize(
    ("stages", "read"),
    [
        ([], {"c"}),
        ([{"$match": {"$lookup": 1}}], {"c"}),
        ([{"$lookup": LOOKUP}], {"c", "l"}),
        (
            [{"$lookup": {"from": "l", "as": "x", "pipeline": [{"$lookup": GRAPH}]}}],
            {"c", "l", "g"},
        ),
        ([{"$graphLookup": GRAPH}], {"c", "g"}),
        ([{"$unionWith": "u"}], {"c", "u"}),
        ([{"$unionWith": {"coll": "u", "pipeline": [{"$unionWith": "v"}]}}], {"c", "u", "v"}),
        ([{"$facet": {"one": [{"$lookup": LOOKUP}], "two": [{"$limit": 1}]}}], {"c", "l"}),
        ([{"$facet": {"one": [{"$unionWith": {"coll": "u"}}]}}], {"c", "u"}),
        ([{"$lookup": {"as": "x", "pipeline": [{"$documents": []}]}}], {"c", ""}),
    ],
)
def test_what_is_read(stages: list[Mapping[str, Any]], read: set[str]) -> None:
    found = _analyse(*stages)
    assert set(found.needs) | _reads("") == _reads(*read, "")
    assert not found.writes
    assert found.databases == frozenset()


@pytest.mark.parametrize(
    ("stage", "database", "collection", "actions"),
    [
        ({"$out": "o"}, D, "o", {"insert", "remove"}),
        ({"$out": {"db": "e", "coll": "o"}}, "e", "o", {"insert", "remove"}),
        ({"$merge": "o"}, D, "o", {"insert", "update"}),
        ({"$merge": {"into": "o"}}, D, "o", {"insert", "update"}),
        ({"$merge": {"into": {"db": "e", "coll": "o"}}}, "e", "o", {"insert", "update"}),
        ({"$merge": {"into": {"coll": "o"}}}, D, "o", {"insert", "update"}),
        ({"$merge": {"into": "o", "whenMatched": "replace"}}, D, "o", {"insert", "update"}),
        ({"$merge": {"into": "o", "whenMatched": "fail"}}, D, "o", {"insert"}),
        ({"$merge": {"into": "o", "whenMatched": []}}, D, "o", {"insert", "update"}),
        (
            {"$merge": {"into": "o", "whenMatched": "merge", "whenNotMatched": "discard"}},
            D,
            "o",
            {"update"},
        ),
    ],
)
def test_what_is_written(
    stage: Mapping[str, Any], database: str, collection: str, actions: set[str]
) -> None:
    found = _analyse({"$match": {}}, stage)
    assert found.writes
    assert set(found.needs) == _reads("c") | {need(place(database, collection), *actions)}
    assert found.databases == {database} - {D}
    assert f"{database}.{collection}" in found.collections


def test_writing_without_validation_is_a_right_of_its_own() -> None:
    wanted = need(place(D, "o"), "insert", "remove", "bypassDocumentValidation")
    assert wanted in _analyse({"$out": "o"}, bypass=True).needs


def test_first_stages_that_do_not_read_documents() -> None:
    assert _analyse({"$collStats": {}}).needs == (need(place(D, "c"), "collStats"),)
    assert _analyse({"$indexStats": {}}).needs == (need(place(D, "c"), "indexStats"),)
    assert _analyse({"$planCacheStats": {}}).needs == (need(place(D, "c"), "planCacheRead"),)
    stream = _analyse({"$changeStream": {}})
    assert stream.change_stream
    assert stream.needs == (need(place(D, "c"), "changeStream", "find"),)


@pytest.mark.parametrize(
    "stage",
    [
        {"$backupCursor": {}},
        {"$currentOp": {}},
        {"$listCatalog": {}},
        {"$listSessions": {}},
        {"$mergeCursors": {}},
        {"$_internalInhibitOptimization": {}},
        {"$queue": []},
        {"$search": {}},
        {"$futureStage": {}},
        {},
        {"$match": {}, "$out": "o"},
        {"$facet": {"one": [{"$mergeCursors": {}}]}},
        {"$lookup": {"from": "l", "as": "x", "pipeline": [{"$currentOp": {}}]}},
        {"$unionWith": {"coll": "u", "pipeline": [{"$listCatalog": {}}]}},
    ],
)
def test_stages_that_are_not_known_are_refused_wherever_they_stand(stage: dict[str, Any]) -> None:
    with pytest.raises(CommandError) as raised:
        _analyse(stage)
    assert raised.value.code == Code.UnrecognizedStage


@pytest.mark.parametrize(
    "stage",
    [
        {"$lookup": {"as": "x"}},
        {"$lookup": {"as": "x", "pipeline": []}},
        {"$lookup": {"from": 1, "as": "x"}},
        {"$lookup": {"from": {"db": "config", "coll": "shards"}, "as": "x"}},
        {"$lookup": "l"},
        {"$lookup": {"from": "l", "as": "x", "pipeline": [1]}},
        {"$unionWith": {}},
        {"$unionWith": 1},
        {"$facet": []},
        {"$facet": {"one": "x"}},
        {"$out": 1},
        {"$out": {"db": "e", "coll": "o", "timeseries": {"timeField": "t"}}},
        {"$merge": {}},
        {"$merge": {"into": "o", "whenMatched": "nonsense"}},
        {"$merge": {"into": "o", "whenMatched": [{"$lookup": LOOKUP}]}},
        {"$changeStream": {"allChangesForCluster": True}},
    ],
)
def test_what_cannot_be_read_is_refused(stage: dict[str, Any]) -> None:
    if stage == {"$facet": []}:
        assert _analyse(stage).needs  # an empty list of facets: the server refuses it
        return
    with pytest.raises(CommandError):
        _analyse(stage)


def test_a_field_given_twice_cannot_hide_a_collection() -> None:
    spec = Document(bson.encode({"as": "x"}))
    twice = spec.edited((), b"\x02from\0\x02\0\0\0a\0" + b"\x02from\0\x02\0\0\0b\0")
    lookup = b"\x03$lookup\0" + twice
    stage = Document(Document(bson.encode({})).edited((), lookup))
    with pytest.raises(CommandError) as raised:
        analyse(D, "c", [stage])
    assert raised.value.code == Code.FailedToParse


def test_depth_is_bounded() -> None:
    stage: dict[str, Any] = {"$match": {}}
    for _ in range(25):
        stage = {"$facet": {"x": [stage]}}
    with pytest.raises(CommandError):
        _analyse(stage)


def test_plain_stages_name_no_collection() -> None:
    assert not PLAIN & {"$lookup", "$graphLookup", "$unionWith", "$out", "$merge", "$facet"}
