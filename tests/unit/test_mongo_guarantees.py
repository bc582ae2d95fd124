"""The declared guarantees as the driver's write concerns and read preferences."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.read_preferences import Primary, Secondary

from cluster.schema.catalogue import BY_NAME, collections
from cluster.schema.guarantees import FAST, PAYMENT, RECORD, SENSITIVE, Guarantee
from mongo.client import Client
from mongo.guarantees import collection, reporting, write_concern
from mongo.writer import MAJORITY


@pytest.fixture
def client() -> Iterator[Client]:
    """One that never connects."""
    with MongoClient[dict[str, Any]]("127.0.0.1", 9, connect=False) as found:
        yield found


@pytest.mark.parametrize(
    ("guarantee", "sent"),
    [
        (FAST, {"w": 1}),
        (SENSITIVE, {"w": "majority", "j": True}),
        (RECORD, {"w": "majority"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_guarantee_is_what_is_sent(guarantee: Guarantee, sent: dict[str, object]) -> None:
    assert write_concern(guarantee).document == sent


def test_payments_are_not_mongodbs(client: Client) -> None:
    with pytest.raises(ValueError, match="payment"):
        write_concern(PAYMENT)
    with pytest.raises(ValueError, match="standby"):
        reporting(client, BY_NAME["FACTURE"])


def test_drills_promise_what_sessions_do() -> None:
    assert write_concern(BY_NAME["SESSION"].guarantee) == MAJORITY


@pytest.mark.parametrize("name", [entity.name for entity in collections()])
def test_every_collection_has_its_handles(client: Client, name: str) -> None:
    entity = BY_NAME[name]
    now, later = collection(client, entity), reporting(client, entity)
    assert now.full_name == later.full_name == f"{entity.home}.{name}"
    assert now.write_concern == later.write_concern == write_concern(entity.guarantee)
    assert (now.read_preference, later.read_preference) == (Primary(), Secondary())
