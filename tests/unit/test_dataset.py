"""Made-up data is valid, whole and the same every time, whoever makes it and in whatever order."""

import hashlib
from collections import defaultdict
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.dataset import activity
from cluster.dataset.community import SIZE, Document, Rows
from cluster.dataset.draws import Draws
from cluster.dataset.names import CITIES
from cluster.dataset.world import GENERATION, Plan, batches, documents, shared
from cluster.errors import InvalidInputError
from cluster.schema.catalogue import BY_NAME, ENTITIES
from cluster.schema.payments import CURRENCIES
from cluster.schema.types import Store
from tests.unit.dataset_checker import duplicates, faults, orphans

AS_OF = date(2026, 11, 23)
PLAN = Plan(2_300, 7, AS_OF)


def everything(plan: Plan) -> dict[str, Rows]:
    rows: dict[str, Rows] = defaultdict(list)
    rows["BADGE"] = shared().rows
    for number in range(plan.communities):
        for name, held in documents(plan.community(number)).items():
            rows[name] += held
    return rows


@pytest.fixture(scope="module")
def rows() -> dict[str, Rows]:
    return everything(PLAN)


def digest(plan: Plan) -> str:
    made = hashlib.sha256()
    for number in range(plan.communities):
        for batch in batches(plan.community(number)):
            made.update(repr((batch.entity.name, batch.rows)).encode())
    return made.hexdigest()


def test_every_entity_has_rows(rows: dict[str, Rows]) -> None:
    assert {name for name, held in rows.items() if held} == {entity.name for entity in ENTITIES}
    assert len(rows["UTILISATEUR"]) == PLAN.users
    per_user = sum(map(len, rows.values())) / PLAN.users
    assert 10 < per_user < 16


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.name)
def test_rows_are_as_declared(rows: dict[str, Rows], entity: object) -> None:
    name = entity.name
    assert list(faults(BY_NAME[name], rows[name])) == []
    assert list(duplicates(BY_NAME[name], rows[name])) == []


def test_every_reference_holds(rows: dict[str, Rows]) -> None:
    assert list(orphans(rows)) == []


def test_every_word_of_the_model_occurs() -> None:
    rows = everything(Plan(10_000, 3, AS_OF))
    for entity in ENTITIES:
        for field in entity.fields:
            if field.values and field.name != "devise":  # follows from the city
                held = [row[field.name] for row in rows[entity.name]]
                words = {w for one in held for w in (one if isinstance(one, list) else [one])}
                assert words == set(field.values), (entity.name, field.name)


def test_every_currency_is_some_citys() -> None:
    assert {city.currency for city in CITIES} == set(CURRENCIES)


@given(
    users=st.integers(1, SIZE) | st.integers(1, 60),
    seed=st.integers(0, 9_999),
    as_of=st.dates(date(2000, 1, 1), date(2100, 1, 1)),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_numbers_give_valid_data(users: int, seed: int, as_of: date) -> None:
    rows = everything(Plan(users, seed, as_of))
    for name, held in rows.items():
        assert list(faults(BY_NAME[name], held)) == []
        assert list(duplicates(BY_NAME[name], held)) == []
    assert list(orphans(rows)) == []


def test_seeds_do_not_collide() -> None:
    two = [everything(Plan(1_000, seed, AS_OF)) for seed in (1, 2)]
    both = {name: two[0][name] + two[1][name] for name in two[0] if name != "BADGE"}
    for name, held in both.items():
        assert list(duplicates(BY_NAME[name], held)) == []


def test_the_same_numbers_give_the_same_bytes() -> None:
    """A digest of another run on another day: where it changes, GENERATION has to."""
    assert GENERATION == 2
    assert digest(Plan(1_200, 42, AS_OF)) == DIGEST


def test_communities_do_not_depend_on_each_other() -> None:
    backwards = [documents(PLAN.community(number)) for number in (2, 0, 1)]
    assert backwards[1] == documents(PLAN.community(0))
    larger = Plan(3_000, PLAN.seed, AS_OF)
    assert documents(larger.community(1)) == backwards[2]


def test_referenced_entities_come_first() -> None:
    order = [batch.entity.name for batch in batches(PLAN.community(0))]
    for place, name in enumerate(order):
        targets = {reference.entity for reference in BY_NAME[name].references} - {"BADGE", name}
        assert targets <= set(order[:place]), name
    stores = [BY_NAME[name].store for name in order]
    assert stores == sorted(stores, key=lambda store: store is Store.POSTGRES)


def test_the_shared_documents_are_the_same_for_all() -> None:
    assert shared().rows == activity.badges()
    assert list(faults(BY_NAME["BADGE"], shared().rows)) == []


@pytest.mark.parametrize(
    ("users", "seed", "as_of", "words"),
    [
        (0, 1, AS_OF, "users: must be from 1 to 10,000,000 (got 0)"),
        (10_000_001, 1, AS_OF, "users: must be from 1 to 10,000,000 (got 10,000,001)"),
        (1, 10_000, AS_OF, "seed: must be from 0 to 9999 (got 10000)"),
        (1, -1, AS_OF, "seed: must be from 0 to 9999 (got -1)"),
        (1, 1, date(1999, 12, 31), "as of: must be 2000-01-01 or later (got 1999-12-31)"),
    ],
)
def test_numbers_out_of_bounds(users: int, seed: int, as_of: date, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Plan(users, seed, as_of)
    assert caught.value.message == words


def test_ten_million_users_have_numbers_of_their_own() -> None:
    last = Plan(10_000_000, 9_999, AS_OF)
    community = last.community(last.communities - 1)
    rows = documents(community)
    for name in ("UTILISATEUR", "VERIF_TELEPHONE"):
        assert list(faults(BY_NAME[name], rows[name])) == []


def test_draws_are_even() -> None:
    draws = Draws("a test")
    tenths = draws.below(100_000, 10)
    assert all(9_500 < (tenths == tenth).sum() < 10_500 for tenth in range(10))
    assert 0.29 < draws.chance(100_000, 0.3).mean() < 0.31
    chosen = draws.choose(100_000, (1.0, 0.0, 3.0))
    assert 24_000 < (chosen == 0).sum() < 26_000
    assert (chosen == 1).sum() == 0
    assert abs(draws.bell(100_000).mean()) < 0.02


def test_the_checker_sees_faults(rows: dict[str, Rows]) -> None:
    """A check that never fails is none."""
    entity = BY_NAME["AVIS"]
    good = rows["AVIS"][0]

    def seen(**changes: object) -> list[str]:
        row: Document = {**good, **changes}
        return [fault.partition(": ")[2] for fault in faults(entity, [row])]

    assert seen() == []
    assert seen(note_etoiles=6) == ["note_etoiles: too large (6)"]
    assert seen(note_etoiles=4.0) == ["note_etoiles: type (4.0)"]
    assert seen(surplus=1) == ["undeclared {'surplus'}"]
    assert seen(_id="x") == ["_id is not the key"]
    assert seen(commentaire=None) == ["no commentaire"]
    assert list(duplicates(entity, [good, good]))
    assert list(orphans({"AVIS": [good]}))


DIGEST = "0038c9fa33602ff2644d0b802fc9f07a5e14d7fa82c0efa9c1349fe14c138ec3"
