"""Servers' answers as texts that can be compared, and that hold no password."""

from bson import Int64, ObjectId, Timestamp

from mongo.effective import as_text
from postgres.effective import without_password


def test_an_answer_is_the_same_text_whenever_it_is_asked_for() -> None:
    config = {"_id": "shard-a", "settings": {"replicaSetId": ObjectId("65f0" * 6)}}
    first = {"config": config, "ok": 1.0, "operationTime": Timestamp(1, 1)}
    second = {"operationTime": Timestamp(2, 1), "ok": 1.0, "config": dict(reversed(config.items()))}
    assert as_text(first) == as_text(second)
    assert '"$oid": "65f065f065f065f065f065f0"' in as_text(first)
    assert as_text({"n": Int64(5), "ok": 1.0}) == '{\n "n": 5\n}'


def test_a_connection_string_loses_its_password() -> None:
    found = without_password("user=replicator password='a b' host=127.0.0.1 passfile=/x")
    assert "a b" not in found
    assert "password" not in found
    assert "user=replicator" in found
    assert "passfile=/x" in found


def test_what_is_no_connection_string_is_not_shown() -> None:
    assert without_password("password=x rubbish") == "***"
