"""What is decided before and around the storing of made-up data."""

from datetime import date

import pytest

from cluster.dataset.community import Rows
from cluster.dataset.record import Record, planned
from cluster.dataset.world import GENERATION, Plan, batches, merged
from cluster.errors import InvalidInputError, OpsError, RefusedError, UnreachableError
from cluster.schema.catalogue import BY_NAME, ENTITIES
from cluster.schema.payments import ABONNEMENT, FACTURE, INTENTION_PAIEMENT
from cluster.schema.types import States
from mongo.seeding import already_there
from postgres.seeding import changes, way_to
from skillswap_ops.seeding import groups

TODAY = date(2026, 11, 23)
EARLIER = date(2026, 11, 1)


@pytest.mark.parametrize(
    ("found", "users", "as_of", "plan"),
    [
        (None, 500, None, Plan(500, 1, TODAY)),
        (None, 500, EARLIER, Plan(500, 1, EARLIER)),
        (Record(500, EARLIER), 500, None, Plan(500, 1, EARLIER)),
        (Record(500, EARLIER), 500, EARLIER, Plan(500, 1, EARLIER)),
        (Record(2_000, EARLIER), 5_500, None, Plan(5_500, 1, EARLIER)),
        (Record(2_000, EARLIER), 1_000, None, Plan(1_000, 1, EARLIER)),
        (Record(2_500, EARLIER), 1_000, None, Plan(1_000, 1, EARLIER)),
    ],
)
def test_what_is_meant(found: Record | None, users: int, as_of: date | None, plan: Plan) -> None:
    assert planned(found, users, 1, as_of, TODAY) == plan


@pytest.mark.parametrize(
    ("found", "users", "as_of", "words"),
    [
        (
            Record(1_500, EARLIER),
            2_000,
            None,
            "seed 1 is there with 1,500 users as of 2026-11-01: 2,000 would not be the same people",
        ),
        (
            Record(2_000, EARLIER),
            1_500,
            None,
            "seed 1 is there with 2,000 users as of 2026-11-01: 1,500 would not be the same people",
        ),
        (
            Record(1_500, EARLIER),
            1_500,
            TODAY,
            "seed 1 is there with 1,500 users as of 2026-11-01, not 2026-11-23",
        ),
        (
            Record(1_500, EARLIER, GENERATION - 1),
            1_500,
            None,
            "seed 1 is there with 1,500 users as of 2026-11-01, "
            "drawn by another version of this program",
        ),
    ],
)
def test_what_is_refused(found: Record, users: int, as_of: date | None, words: str) -> None:
    with pytest.raises(RefusedError) as caught:
        planned(found, users, 1, as_of, TODAY)
    assert caught.value.message == words
    assert "another --seed" in caught.value.hint


def test_no_data_of_the_future() -> None:
    with pytest.raises(InvalidInputError, match="has not come yet"):
        planned(None, 10, 1, date(2026, 11, 24), TODAY)


USERS = BY_NAME["UTILISATEUR"]
OURS = {"code": 11000, "keyPattern": {"_id": 1}, "errmsg": "E11000"}


def test_duplicates_of_our_own_documents_are_there_already() -> None:
    assert already_there(USERS, {"writeErrors": [OURS, OURS], "writeConcernErrors": []}) == 2


@pytest.mark.parametrize(
    ("details", "kind", "words"),
    [
        (
            {"writeErrors": [OURS, {"code": 11000, "keyPattern": {"courriel": 1}}]},
            RefusedError,
            "the same courriel",
        ),
        ({"writeErrors": [{"code": 121, "errmsg": "failed validation"}]}, OpsError, "validation"),
        ({"writeErrors": [{"code": 10107, "errmsg": "not primary"}]}, UnreachableError, "primary"),
        (
            {"writeErrors": [OURS], "writeConcernErrors": [{"code": 64, "errmsg": "waiting"}]},
            UnreachableError,
            "waiting",
        ),
    ],
)
def test_any_other_error_of_a_bulk_counts(
    details: dict[str, list[dict[str, object]]], kind: type[OpsError], words: str
) -> None:
    with pytest.raises(OpsError, match=words) as caught:
        already_there(USERS, details)
    assert type(caught.value) is kind


def states_of(states: States | None) -> States:
    assert states is not None
    return states


@pytest.mark.parametrize(
    ("states", "state", "way"),
    [
        (ABONNEMENT.states, "ACTIF", ("ACTIF",)),
        (ABONNEMENT.states, "SUSPENDU", ("ACTIF", "SUSPENDU")),
        (FACTURE.states, "REMBOURSEE", ("EN_ATTENTE", "PAYEE", "REMBOURSEE")),
        (INTENTION_PAIEMENT.states, "INITIEE", ("INITIEE",)),
    ],
)
def test_the_way_to_a_state(states: States | None, state: str, way: tuple[str, ...]) -> None:
    assert way_to(states_of(states), state) == way


def test_every_declared_state_can_be_reached() -> None:
    for entity in (ABONNEMENT, FACTURE, INTENTION_PAIEMENT):
        states = states_of(entity.states)
        for state, _ in states.after:
            assert way_to(states, state)[0] in states.first


def test_a_loop_of_states_has_an_end() -> None:
    states = States("statut", ("A",), (("A", ("B",)), ("B", ("A",)), ("C", ())))
    with pytest.raises(ValueError, match="no way leads to C"):
        way_to(states, "C")


@pytest.mark.parametrize(
    ("users", "workers", "sizes"),
    [
        (1, 3, [1]),
        (2_200, 1, [1, 1, 1]),
        (12_000, 1, [3, 3, 3, 3]),
        (41_000, 2, [5, 5, 5, 5, 5, 5, 5, 5, 1]),
    ],
)
def test_communities_are_stored_together(users: int, workers: int, sizes: list[int]) -> None:
    plan = Plan(users, 1, TODAY)
    found = groups(plan, workers)
    assert [len(numbers) for numbers in found] == sizes
    assert [number for numbers in found for number in numbers] == list(range(plan.communities))


def test_merged_communities_keep_their_rows_and_the_order() -> None:
    plan = Plan(2_040, 1, TODAY)
    communities = [plan.community(number) for number in range(plan.communities)]
    together = {batch.entity.name: batch.rows for batch in merged(communities)}
    apart: dict[str, Rows] = {}
    for community in communities:
        for batch in batches(community):
            apart.setdefault(batch.entity.name, []).extend(batch.rows)
    assert together == apart
    assert list(together) == [e.name for e in ENTITIES if e.name in apart]


def test_changes_in_the_order_of_the_states() -> None:
    rows: Rows = [
        {"id": key, "statut": state}
        for key, state in (("1", "REMBOURSEE"), ("2", "PAYEE"), ("3", "EN_ATTENTE"))
    ]
    assert list(changes(states_of(FACTURE.states), rows)) == [
        ("PAYEE", ["1", "2"]),
        ("REMBOURSEE", ["1"]),
    ]
