"""Prepared transactions whose end lies after the instant: what became of them, decided at it.

A transaction over several shards is prepared on each of them, and decided by one, whose decision
is on a majority of its set before any shard commits and before the client hears of it. So at any
instant it is committed if that decision is there, or if a shard has committed already; else nobody
was told that it was, and it is aborted.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import bson
from bson.binary import Binary
from bson.int64 import Int64

from mongo.backup import stamps
from mongo.backup.recover.model import Outcome, Transaction
from mongo.backup.stamps import Stamp

COMMIT = b"commitTransaction"
Document = Mapping[str, Any]


class Seen:
    """The prepared transactions that the archive shows to have been committed."""

    def __init__(self) -> None:
        self.committed: list[Transaction] = []

    def add(self, entry: bytes) -> None:
        """An entry of the oplog."""
        if COMMIT not in entry:
            return
        decoded = bson.decode(entry)
        when = decoded.get("o", {}).get("commitTimestamp")
        if decoded.get("op") != "c" or COMMIT.decode() not in decoded["o"] or when is None:
            return
        self.committed.append(
            Transaction(
                session=session_text(decoded["lsid"]),
                number=int(decoded["txnNumber"]),
                prepared=stamps.of(decoded["prevOpTime"]["ts"]),
                term=int(decoded["prevOpTime"]["t"]),
                commit=stamps.of(when),
            )
        )


def session_text(session: Document) -> str:
    """A session's id as text."""
    return bson.encode(dict(session)).hex()


def in_doubt(document: Document) -> Transaction:
    """A document of config.transactions in the state `prepared`."""
    last = document["lastWriteOpTime"]
    return Transaction(
        session=session_text(document["_id"]),
        number=int(document["txnNum"]),
        prepared=stamps.of(last["ts"]),
        term=int(last["t"]),
    )


def decisions(documents: Iterable[Document]) -> list[Transaction]:
    """The transactions that config.transaction_coordinators says are to be committed."""
    found = []
    for document in documents:
        decision = document.get("decision", {})
        if decision.get("decision") == "commit":
            identity = dict(document["_id"])
            number = identity.pop("txnNumber")
            found.append(
                Transaction(
                    session=session_text(identity["lsid"]),
                    number=int(number),
                    prepared=Stamp(0, 0),
                    term=0,
                    commit=stamps.of(decision["commitTimestamp"]),
                )
            )
    return found


def decide(outcomes: Mapping[str, Outcome]) -> dict[str, tuple[Transaction, ...]]:
    """What becomes of each set's transactions in doubt; sets without any are left out."""
    commits = {
        (one.session, one.number): one.commit
        for outcome in outcomes.values()
        for one in outcome.committed
    }
    return {
        name: tuple(
            one.model_copy(update={"commit": commits.get((one.session, one.number))})
            for one in outcome.doubt
        )
        for name, outcome in outcomes.items()
        if outcome.doubt
    }


def entries(decided: Sequence[Transaction], cut: Stamp, term: int) -> list[dict[str, object]]:
    """The entries of the oplog that end them, as a primary would have written them."""
    return [
        _entry(one, Stamp(cut.seconds, cut.number + number), term)
        for number, one in enumerate(decided, start=1)
    ]


def _entry(one: Transaction, at: Stamp, term: int) -> dict[str, object]:
    session = bson.decode(bytes.fromhex(one.session))
    if "uid" in session:
        session["uid"] = Binary(bytes(session["uid"]))
    end: dict[str, object] = (
        {"commitTransaction": 1, "commitTimestamp": one.commit.bson}
        if one.commit
        else {"abortTransaction": 1}
    )
    return {
        "lsid": session,
        "txnNumber": Int64(one.number),
        "op": "c",
        "ns": "admin.$cmd",
        "o": end,
        "ts": at.bson,
        "t": Int64(term),
        "v": Int64(2),
        "wall": datetime.fromtimestamp(at.seconds, UTC),
        "prevOpTime": {"ts": one.prepared.bson, "t": Int64(one.term)},
    }
