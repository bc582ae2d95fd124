"""What becomes of transactions that were prepared and not yet ended at the instant."""

import bson
from bson.binary import Binary
from bson.int64 import Int64
from bson.timestamp import Timestamp

from mongo.backup.recover.model import Outcome, Transaction
from mongo.backup.recover.transactions import (
    Seen,
    decide,
    decisions,
    entries,
    in_doubt,
    session_text,
)
from mongo.backup.stamps import Stamp

SESSION = {"id": Binary(b"i" * 16, 4), "uid": Binary(b"u" * 32)}
TEXT = session_text(SESSION)


def doubt(number: int) -> Transaction:
    return Transaction(session=TEXT, number=number, prepared=Stamp(10, number), term=3)


def outcome(doubts: tuple[Transaction, ...], committed: tuple[Transaction, ...] = ()) -> Outcome:
    return Outcome(
        last=Stamp(20, 1), hash="", replayed=0, bytes=0, doubt=doubts, committed=committed
    )


def test_a_commit_in_the_archive_is_seen() -> None:
    seen = Seen()
    entry = {
        "op": "c",
        "ns": "admin.$cmd",
        "lsid": SESSION,
        "txnNumber": Int64(7),
        "o": {"commitTransaction": 1, "commitTimestamp": Timestamp(11, 2)},
        "prevOpTime": {"ts": Timestamp(10, 7), "t": Int64(3)},
    }
    seen.add(bson.encode(entry))
    seen.add(bson.encode({"op": "i", "o": {"text": "commitTransaction"}}))
    seen.add(bson.encode({"op": "c", "o": {"abortTransaction": 1}}))
    assert seen.committed == [doubt(7).model_copy(update={"commit": Stamp(11, 2)})]


def test_a_prepared_transaction_is_in_doubt() -> None:
    document = {
        "_id": SESSION,
        "txnNum": Int64(7),
        "state": "prepared",
        "lastWriteOpTime": {"ts": Timestamp(10, 7), "t": Int64(3)},
    }
    assert in_doubt(document) == doubt(7)


def test_a_coordinators_decision_to_commit_counts_and_none_other() -> None:
    identity = {"lsid": SESSION, "txnNumber": Int64(7)}
    commit = {"decision": "commit", "commitTimestamp": Timestamp(11, 2)}
    found = decisions(
        [
            {"_id": identity, "participants": ["a", "b"], "decision": commit},
            {"_id": {**identity, "txnNumber": Int64(8)}, "decision": {"decision": "abort"}},
            {"_id": {**identity, "txnNumber": Int64(9)}, "participants": ["a"]},
        ]
    )
    assert [(one.session, one.number, one.commit) for one in found] == [(TEXT, 7, Stamp(11, 2))]


def test_what_another_shard_knows_to_be_committed_is_and_the_rest_is_aborted() -> None:
    committed = doubt(7).model_copy(update={"commit": Stamp(11, 2)})
    found = decide(
        {
            "shard-a": outcome((doubt(7), doubt(8))),
            "shard-b": outcome((), (committed,)),
            "config": outcome(()),
        }
    )
    assert {name: [one.commit for one in each] for name, each in found.items()} == {
        "shard-a": [Stamp(11, 2), None]
    }


def test_the_entries_that_end_them_come_at_the_instant_in_order() -> None:
    commit = doubt(7).model_copy(update={"commit": Stamp(11, 2)})
    made = entries([commit, doubt(8)], Stamp(30, 0), term=4)
    assert [one["ts"] for one in made] == [Timestamp(30, 1), Timestamp(30, 2)]
    assert [one["o"] for one in made] == [
        {"commitTransaction": 1, "commitTimestamp": Timestamp(11, 2)},
        {"abortTransaction": 1},
    ]
    assert {int(str(one["t"])) for one in made} == {4}
    assert made[0]["prevOpTime"] == {"ts": Timestamp(10, 7), "t": 3}
    assert bson.encode(made[0]["lsid"]) == bson.encode(SESSION)  # type: ignore[arg-type]
