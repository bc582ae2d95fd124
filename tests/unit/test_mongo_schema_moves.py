"""What is done to a collection, move by move, played on a server that keeps MongoDB's rules."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.schema.catalogue import BY_NAME
from cluster.schema.types import Entity
from mongo.schema.compare import BRIDGE, bridge
from mongo.schema.indexes import ID_INDEX, IndexSpec, index_specs
from mongo.schema.live import LiveCollection
from mongo.schema.moves import (
    Build,
    Change,
    Create,
    Drop,
    MakeUnique,
    Move,
    Stuck,
    Validate,
    moves,
)
from mongo.schema.validator import validator

UTILISATEUR, NOTIFICATION = BY_NAME["UTILISATEUR"], BY_NAME["JOURNAL_NOTIFICATION"]
COMPETENCE, CLASSEMENT = BY_NAME["COMPETENCE"], BY_NAME["CLASSEMENT"]
ENTITIES = (UTILISATEUR, NOTIFICATION, COMPETENCE, CLASSEMENT)
ID = IndexSpec(ID_INDEX, (("_id", 1),))
MOST_MOVES = 60


class RefusedMoveError(Exception):
    """The server says no."""


def applied(entity: Entity, *indexes: IndexSpec) -> LiveCollection:
    found = (ID, *(indexes or index_specs(entity)))
    return LiveCollection(entity.name, validator=validator(entity), indexes=found)


def played(entity: Entity, found: LiveCollection | None, move: Move) -> LiveCollection:
    """The collection after a move. Raises RefusedMoveError where MongoDB would refuse it."""
    if isinstance(move, Create):
        return LiveCollection(entity.name, validator=validator(entity), indexes=(ID,))
    assert found is not None
    match move:
        case Validate():
            return replace(found, validator=validator(entity), level="strict", action="error")
        case Build(specs):
            return replace(found, indexes=_built(found.indexes, specs))
        case Drop(name):
            left = tuple(one for one in found.indexes if one.name != name)
            if left == found.indexes or name == ID_INDEX:
                raise RefusedMoveError(name)
            return replace(found, indexes=left)
        case Change() | MakeUnique():
            return replace(found, indexes=tuple(_changed(one, move) for one in found.indexes))
        case _:
            raise RefusedMoveError(move)


def _built(found: Sequence[IndexSpec], specs: Sequence[IndexSpec]) -> tuple[IndexSpec, ...]:
    there = {one.name: one for one in found}
    for spec in specs:
        same = there.get(spec.name)
        if same and replace(same, building=False) != spec:
            raise RefusedMoveError(f"the name {spec.name} is taken")
        if not same and spec.identity in {one.identity for one in there.values()}:
            raise RefusedMoveError(f"{spec.name} has another name")
        there[spec.name] = spec
    return tuple(there.values())


def _changed(index: IndexSpec, move: Change | MakeUnique) -> IndexSpec:
    if isinstance(move, MakeUnique):
        return (
            replace(index, unique=True, prepared=False) if index.name == move.index.name else index
        )
    if index.name != move.index:
        return index
    if move.expire_after is not None and len(index.keys) > 1:
        raise RefusedMoveError("TTL is for one field")
    return replace(
        index,
        hidden=index.hidden if move.hidden is None else move.hidden,
        prepared=index.prepared if move.prepared is None else move.prepared,
        expire_after=index.expire_after if move.expire_after is None else move.expire_after,
    )


def story(entity: Entity, found: LiveCollection | None, *, prune: bool = False) -> list[str]:
    """What is done, in short words, until nothing is due."""
    told: list[str] = []
    while due := moves(entity, found, prune=prune):
        told.append(_word(due[0]))
        found = played(entity, found, due[0])
        assert len(told) < MOST_MOVES, told
    assert found is not None
    assert set(index_specs(entity)) <= set(found.indexes)
    return told


def _word(move: Move) -> str:
    match move:
        case Build(specs):
            return "build " + " ".join(spec.name for spec in specs)
        case Drop(name) | Change(name):
            return f"{type(move).__name__.lower()} {name}"
        case MakeUnique(index):
            return f"unique {index.name}"
        case _:
            return type(move).__name__.lower()


def but(entity: Entity, which: str, change: Callable[[IndexSpec], IndexSpec]) -> LiveCollection:
    """As applied, but for one index."""
    specs = index_specs(entity)
    return applied(entity, *(change(one) if one.name == which else one for one in specs))


# Stories


def test_a_new_collection_gets_plain_indexes_before_unique_ones() -> None:
    assert story(UTILISATEUR, None) == [
        "create",
        "build id_utilisateur_1 roles_1 localisation_2dsphere",
        "build courriel_1",
    ]


def test_nothing_is_done_where_all_is_declared() -> None:
    for entity in ENTITIES:
        assert moves(entity, applied(entity), prune=True) == ()


def test_an_index_that_is_being_built_is_waited_for() -> None:
    found = but(UTILISATEUR, "roles_1", lambda one: replace(one, building=True))
    assert story(UTILISATEUR, found) == ["build roles_1"]


@pytest.mark.parametrize(
    ("entity", "found", "told"),
    [
        (
            NOTIFICATION,
            but(NOTIFICATION, "envoye_le_1", lambda one: replace(one, expire_after=5)),
            ["change envoye_le_1"],
        ),
        (
            NOTIFICATION,
            but(NOTIFICATION, "envoye_le_1", lambda one: replace(one, expire_after=None)),
            ["change envoye_le_1"],
        ),
        (
            UTILISATEUR,
            but(UTILISATEUR, "roles_1", lambda one: replace(one, hidden=True)),
            ["change roles_1"],
        ),
        (
            UTILISATEUR,
            but(UTILISATEUR, "courriel_1", lambda one: replace(one, unique=False)),
            ["unique courriel_1"],
        ),
        (
            UTILISATEUR,
            but(UTILISATEUR, "courriel_1", lambda one: replace(one, unique=False, prepared=True)),
            ["unique courriel_1"],
        ),
        (
            UTILISATEUR,
            but(UTILISATEUR, "roles_1", lambda one: replace(one, prepared=True)),
            ["change roles_1"],
        ),
    ],
)
def test_what_can_be_changed_is_not_rebuilt(
    entity: Entity, found: LiveCollection, told: list[str]
) -> None:
    assert story(entity, found) == told


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, keys=(("nom", 1),)),
        lambda one: replace(one, name="by_mail"),
        lambda one: replace(one, more=(("sparse", "true"),)),
        lambda one: replace(one, expire_after=9),
    ],
)
def test_what_must_be_rebuilt_has_a_stand_in(change: Callable[[IndexSpec], IndexSpec]) -> None:
    found = but(UTILISATEUR, "courriel_1", change)
    old = next(one.name for one in found.indexes if one not in {ID, *index_specs(UTILISATEUR)})
    assert story(UTILISATEUR, found) == [
        "build ops_bridge_courriel_1",
        f"drop {old}",
        "build courriel_1",
        "drop ops_bridge_courriel_1",
    ]


def test_a_text_index_goes_before_another_comes() -> None:
    found = but(COMPETENCE, "libelle_text", lambda one: replace(one, language="french"))
    assert story(COMPETENCE, found) == ["drop libelle_text", "build libelle_text"]


def test_undeclared_indexes_stay_unless_they_are_to_go() -> None:
    extra = IndexSpec("nom_1", (("nom", 1),))
    found = applied(UTILISATEUR, *index_specs(UTILISATEUR), extra)
    assert story(UTILISATEUR, found) == []
    assert story(UTILISATEUR, found, prune=True) == ["drop nom_1"]


def test_an_undeclared_index_stays_while_a_declared_one_is_missing() -> None:
    plain = IndexSpec("mails", (("courriel", 1),))
    others = [one for one in index_specs(UTILISATEUR) if not one.unique]
    due = moves(UTILISATEUR, applied(UTILISATEUR, *others, plain), prune=True)
    assert [_word(move) for move in due] == ["build courriel_1"]


def test_an_index_under_another_ones_name_serves_until_both_have_a_stand_in() -> None:
    id_index, courriel, roles, place = index_specs(UTILISATEUR)
    misnamed = replace(roles, name=id_index.name)
    standing = bridge(id_index)
    assert standing
    assert story(UTILISATEUR, applied(UTILISATEUR, misnamed, courriel, standing, place)) == [
        f"build {BRIDGE}roles_1",
        "drop id_utilisateur_1",
        "build id_utilisateur_1 roles_1",
        f"drop {BRIDGE}id_utilisateur_1",
        f"drop {BRIDGE}roles_1",
    ]


def test_what_cannot_be_changed_is_said_and_the_rest_is_done() -> None:
    found = replace(applied(UTILISATEUR, ID), options=(("capped", "True"),), level="off")
    due = moves(UTILISATEUR, found, prune=False)
    assert isinstance(due[0], Stuck)
    assert [_word(move) for move in due[1:]] == [
        "build id_utilisateur_1 roles_1 localisation_2dsphere",
        "build courriel_1",
        "validate",
    ]
    assert moves(UTILISATEUR, LiveCollection("UTILISATEUR", kind="view"), prune=True) == (
        Stuck("is a view, not a collection"),
    )


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (replace(applied(UTILISATEUR), validator=None), "validator is missing"),
        (
            replace(applied(UTILISATEUR), validator={**validator(UTILISATEUR), "x": 1}),
            "validator differs: x: 1",
        ),
        (
            replace(applied(UTILISATEUR), level="off", action="warn"),
            "validationLevel is off; validationAction is warn",
        ),
    ],
)
def test_a_validator_is_put_right(found: LiveCollection, why: str) -> None:
    assert moves(UTILISATEUR, found, prune=False) == (Validate(why),)


# From any state, killed anywhere, beside another operator

KEYS = [
    (("courriel", 1),),
    (("nom", 1),),
    (("roles", 1),),
    (("libelle", 1),),
    (("libelle", "text"),),
]


@st.composite
def changed(draw: st.DrawFn, spec: IndexSpec, *, strays: bool) -> IndexSpec:
    """An index as a person may have left it, with a stand-in's name where there are `strays`."""
    stray = (f"{BRIDGE}{spec.name}",) * strays
    text = spec.is_text
    alone = len(spec.keys) == 1 and not text
    found = replace(
        spec,
        name=draw(st.sampled_from([spec.name, spec.name, "mine", *stray])),
        hidden=draw(st.booleans()),
        unique=draw(st.booleans()) and not text,
        prepared=draw(st.booleans()) and not text,
        expire_after=draw(st.sampled_from([None, 5, spec.expire_after])) if alone else None,
        more=draw(st.sampled_from([(), (), (("sparse", "true"),)])),
        building=draw(st.booleans()),
    )
    if draw(st.integers(0, 4)) == 0 and not text:
        found = replace(found, keys=draw(st.sampled_from(KEYS[:4])))
    return found


@st.composite
def states(draw: st.DrawFn, *, strays: bool) -> tuple[Entity, LiveCollection]:
    """A collection that MongoDB could have; killed runs leave stand-ins."""
    entity = draw(st.sampled_from(ENTITIES))
    specs = index_specs(entity)
    wild = [draw(changed(spec, strays=strays)) for spec in specs if draw(st.integers(0, 3))]
    standing = [bridge(spec) for spec in specs if draw(st.integers(0, 3)) == 0]
    wild += [spec for spec in standing if spec]
    wild += [spec for spec in specs if draw(st.booleans())]
    kept: list[IndexSpec] = [ID]
    for spec in wild:
        taken = {one.name for one in kept}, {one.identity for one in kept}
        if spec.name not in taken[0] and spec.identity not in taken[1]:
            kept.append(spec)
    level = draw(st.sampled_from(["strict", "moderate"]))
    return entity, replace(applied(entity), indexes=tuple(kept), level=level)


def served(declared: IndexSpec, found: LiveCollection) -> bool:
    """Whether a visible index begins with these keys."""
    width = len(declared.keys)
    return any(one.keys[:width] == declared.keys and not one.hidden for one in found.indexes)


def guarded(declared: IndexSpec, found: LiveCollection) -> bool:
    """Whether an index refuses duplicates of these keys."""
    return any(one.keys == declared.keys and (one.unique or one.prepared) for one in found.indexes)


@given(states(strays=False), st.booleans())
def test_from_any_state_to_what_is_declared(
    state: tuple[Entity, LiveCollection], prune: bool
) -> None:
    """Nothing that served or guarded before is without an index in between."""
    entity, found = state
    done = 0
    while due := moves(entity, found, prune=prune):
        before, found = found, played(entity, found, due[0])
        done += 1
        assert done < MOST_MOVES
        for declared in index_specs(entity):
            assert declared.is_text or served(declared, found) or not served(declared, before)
            assert not declared.unique or guarded(declared, found) or not guarded(declared, before)
    assert set(index_specs(entity)) <= set(found.indexes)
    assert found.level == "strict"
    assert not any(one.name.startswith(BRIDGE) for one in found.indexes)
    assert not prune or set(found.indexes) == {ID, *index_specs(entity)}


@given(states(strays=True), st.lists(st.booleans(), min_size=40, max_size=40))
def test_two_operators_end_where_one_would(
    state: tuple[Entity, LiveCollection], turns: list[bool]
) -> None:
    """Each acts on what it saw last, perhaps before the other's last moves."""
    entity, found = state
    seen = {True: found, False: found}
    for who in turns:
        due = moves(entity, seen[who], prune=False)
        if due:
            with suppress(RefusedMoveError):
                found = played(entity, found, due[0])
        seen[who] = found
    story(entity, found)
