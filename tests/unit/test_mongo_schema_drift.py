"""Which differences are found, and how they are said: each thing broken is one drift."""

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.errors import InvalidInputError
from cluster.schema.catalogue import BY_NAME
from cluster.schema.findings import Drift
from cluster.schema.types import Entity, Store
from mongo.schema import apply
from mongo.schema.compare import BRIDGE, bridge
from mongo.schema.drift import (
    collection_drift,
    defaults_drift,
    drift,
    places_drift,
    segment_drift,
)
from mongo.schema.indexes import ID_INDEX, IndexSpec, index_specs
from mongo.schema.live import LiveCollection
from mongo.schema.validator import validator
from tests.unit.mongo_samples import context

UTILISATEUR, NOTIFICATION = BY_NAME["UTILISATEUR"], BY_NAME["JOURNAL_NOTIFICATION"]
COMPETENCE, MESSAGE = BY_NAME["COMPETENCE"], BY_NAME["MESSAGE"]
ID = IndexSpec(ID_INDEX, (("_id", 1),))


def applied(entity: Entity) -> LiveCollection:
    """What `apply` leaves."""
    indexes = (ID, *index_specs(entity))
    return LiveCollection(entity.name, validator=validator(entity), indexes=indexes)


def with_index(entity: Entity, which: str, **changes: object) -> LiveCollection:
    """As applied, but for one index."""
    indexes = tuple(
        replace(index, **changes) if index.name == which else index  # type: ignore[arg-type]
        for index in applied(entity).indexes
    )
    return replace(applied(entity), indexes=indexes)


def without_index(entity: Entity, name: str) -> LiveCollection:
    found = applied(entity)
    return replace(found, indexes=tuple(one for one in found.indexes if one.name != name))


def of(entity: Entity, part: str, declared: str | None, found: str | None) -> Drift:
    return Drift(Store.MONGO, entity.name, part, declared, found)


def loosened(entity: Entity) -> LiveCollection:
    rules = validator(entity)
    rules["$jsonSchema"]["properties"]["reputation"]["maximum"] = 6
    del rules["$jsonSchema"]["properties"]["nom"]
    return replace(applied(entity), validator=rules)


def index_with(entity: Entity, extra: IndexSpec) -> LiveCollection:
    found = applied(entity)
    return replace(found, indexes=(*found.indexes, extra))


COURRIEL = "{courriel: 1}, unique"
CASES = [
    (UTILISATEUR, without_index(UTILISATEUR, "roles_1"), ("index roles_1", "{roles: 1}", None)),
    (
        UTILISATEUR,
        with_index(UTILISATEUR, "courriel_1", unique=False),
        ("index courriel_1", COURRIEL, "{courriel: 1}"),
    ),
    (
        UTILISATEUR,
        with_index(UTILISATEUR, "courriel_1", name="by_mail"),
        ("index courriel_1", COURRIEL, "{courriel: 1}, unique, named by_mail"),
    ),
    (
        UTILISATEUR,
        with_index(UTILISATEUR, "courriel_1", keys=(("nom", 1),)),
        ("index courriel_1", COURRIEL, "{nom: 1}, unique"),
    ),
    (
        UTILISATEUR,
        with_index(UTILISATEUR, "courriel_1", building=True),
        ("index courriel_1", COURRIEL, "{courriel: 1}, unique, being built"),
    ),
    (
        UTILISATEUR,
        with_index(UTILISATEUR, "courriel_1", more=(("sparse", "true"),)),
        ("index courriel_1", COURRIEL, "{courriel: 1}, unique, sparse true"),
    ),
    (
        UTILISATEUR,
        with_index(UTILISATEUR, "roles_1", hidden=True),
        ("index roles_1", "{roles: 1}", "{roles: 1}, hidden"),
    ),
    (
        NOTIFICATION,
        with_index(NOTIFICATION, "envoye_le_1", expire_after=60),
        (
            "index envoye_le_1",
            "{envoye_le: 1}, expires after 7776000 s",
            "{envoye_le: 1}, expires after 60 s",
        ),
    ),
    (
        COMPETENCE,
        with_index(COMPETENCE, "libelle_text", weights=(("libelle", 5),)),
        (
            "index libelle_text",
            "{libelle: text}, language none",
            "{libelle: text}, weights {libelle: 5}, language none",
        ),
    ),
    (
        COMPETENCE,
        with_index(
            COMPETENCE,
            "libelle_text",
            name="words_text",
            keys=(("disponibilite", "text"),),
            weights=(("disponibilite", 1),),
        ),
        (
            "index libelle_text",
            "{libelle: text}, language none",
            "{disponibilite: text}, language none, named words_text",
        ),
    ),
    (
        UTILISATEUR,
        index_with(UTILISATEUR, IndexSpec("nom_1", (("nom", 1),))),
        ("index nom_1", None, "{nom: 1}"),
    ),
    (
        UTILISATEUR,
        index_with(UTILISATEUR, IndexSpec(f"{BRIDGE}roles_1", (("roles", 1), ("_id", 1)))),
        ("index ops_bridge_roles_1", None, "{roles: 1, _id: 1}"),
    ),
    (
        UTILISATEUR,
        replace(applied(UTILISATEUR), validator=None),
        ("validator", "12 fields", None),
    ),
    (
        UTILISATEUR,
        loosened(UTILISATEUR),
        (
            "validator",
            "nom: {'bsonType': 'string', 'maxLength': 200}; reputation.maximum: 5",
            "nom: no rule; reputation.maximum: 6",
        ),
    ),
    (
        UTILISATEUR,
        replace(applied(UTILISATEUR), level="moderate"),
        ("validationLevel", "strict", "moderate"),
    ),
    (
        UTILISATEUR,
        replace(applied(UTILISATEUR), action="warn"),
        ("validationAction", "error", "warn"),
    ),
    (
        UTILISATEUR,
        replace(applied(UTILISATEUR), options=(("capped", "True"),)),
        ("capped", None, "True"),
    ),
    (
        UTILISATEUR,
        LiveCollection("UTILISATEUR", kind="view"),
        ("collection", "collection", "view"),
    ),
]


@pytest.mark.parametrize(("entity", "found", "expected"), CASES)
def test_each_thing_that_differs_is_one_drift(
    entity: Entity, found: LiveCollection, expected: tuple[str, str | None, str | None]
) -> None:
    assert list(collection_drift(entity, found)) == [of(entity, *expected)]


@pytest.mark.parametrize("entity", BY_NAME.values(), ids=lambda entity: entity.name)
def test_what_is_applied_has_no_drift(entity: Entity) -> None:
    if entity.store is Store.MONGO:
        assert list(collection_drift(entity, applied(entity))) == []


def test_a_shard_keys_own_index_is_no_drift() -> None:
    hashed = IndexSpec("id_session_hashed", (("id_session", "hashed"),))
    assert list(collection_drift(MESSAGE, index_with(MESSAGE, hashed))) == []


def test_collections_are_missing_or_undeclared() -> None:
    declared = {"MESSAGE": MESSAGE, "UTILISATEUR": UTILISATEUR}
    names = ("essai", "drill_7_retried", "ops_readiness", "ops_seed", "system.views")
    found = {name: LiveCollection(name) for name in names}
    found["UTILISATEUR"] = applied(UTILISATEUR)
    assert list(segment_drift("s", declared, found)) == [
        of(MESSAGE, "collection", "in s", None),
        Drift(Store.MONGO, "essai", "collection", None, "collection in s"),
    ]


@pytest.mark.parametrize(("found", "said"), [(1, "w: 1"), (None, None)])
def test_the_clusters_default_is_nobodys(found: int | None, said: str | None) -> None:
    assert list(defaults_drift("majority", found)) == [
        Drift(Store.MONGO, "", "default write concern", "w: majority", said)
    ]
    assert list(defaults_drift("majority", "majority")) == []
    assert list(defaults_drift(2, 2)) == []


def test_segments_on_another_shard() -> None:
    shards = {"a": "shard-a", "b": "shard-b", "c": "shard-c"}
    assert list(places_drift(shards, {"a": "shard-b", "b": "shard-b"})) == [
        Drift(Store.MONGO, "", "segment a", "on shard-a", "on shard-b"),
        Drift(Store.MONGO, "", "segment c", "on shard-c", None),
    ]


def test_a_segment_without_a_shard_is_named(tmp_path: Path) -> None:
    lacking = context(tmp_path, {"mongo.shards[1].segment": "other"})
    for ask in (drift, lambda context: apply.steps(context, prune=False)):
        with pytest.raises(InvalidInputError, match="segment: sessions_messages"):
            ask(lacking)


def test_what_stands_in_for_an_index_is_another_to_the_server() -> None:
    for entity in BY_NAME.values():
        for declared in index_specs(entity) if entity.store is Store.MONGO else ():
            standing = bridge(declared)
            if standing is None:
                assert declared.is_text
                continue
            assert standing.identity != declared.identity
            assert standing.unique == declared.unique
            assert standing.keys[: len(declared.keys)] == declared.keys
