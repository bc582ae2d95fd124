"""Puts the archive's entries into the copy's oplog, and lets the server replay them.

The server's own recovery knows what no list of operations does: sessions and retried writes,
transactions, prepared ones, index builds, changes of the schema.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import bson
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.collection import Collection

from cluster.errors import OpsError
from mongo.backup import stamps
from mongo.backup.recover import transactions
from mongo.backup.recover.model import Job, Outcome, Transaction
from mongo.backup.recover.server import standalone
from mongo.backup.recover.transactions import Seen
from mongo.backup.sealing import DamagedError, Sealer
from mongo.backup.slices import Piece, decode, hash_of
from mongo.backup.stamps import Stamp
from mongo.backup.storage import Storage
from mongo.client import Document

OPLOG = "oplog.rs"
MINVALID = "replset.minvalid"
ELECTION = "replset.election"
BATCH = 1000  # entries in an insert
BATCH_BYTES = 8 << 20
SHARE = 4  # a fourth of the oplog's room is replayed at a time: what it begins from must stay in it
ROUND_BYTES = 512 << 20
Client = MongoClient[Document]
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


@dataclass
class Progress:
    """What has been put into the copy so far."""

    entries: int = 0
    bytes: int = 0


def check(job: Job, storage: Storage, sealer: Sealer) -> None:
    """Read the slices that will be replayed, before minutes are spent. Raises DamagedError."""
    for model in job.pieces:
        for _ in _of_piece(model.piece(job.replica_set), storage, sealer):
            pass


def replay(job: Job, key: str, storage: Storage, sealer: Sealer) -> Outcome:
    """Bring the copy to before `job.cut`. Raises OpsError, DamagedError."""
    with standalone(job, key, replay=True):
        pass  # up to where it was locked
    seen, done = Seen(), Progress()
    entries = _watched(_entries(job, storage, sealer), seen)
    waiting = next(entries, None)
    while True:
        with standalone(job, key) as client:
            _lift_term(client, job.term)
            _begin(client)
            if waiting is not None:
                waiting = _fill(client, waiting, entries, done)
        with standalone(job, key, replay=True) as client:
            if waiting is None:
                return _outcome(job, client, seen, done)


def settle(job: Job, key: str, decided: Sequence[Transaction]) -> Outcome:
    """Commit or abort what was in doubt, as it was decided; the entries come at `job.cut`."""
    with standalone(job, key) as client:
        top = _begin(client)
        made = transactions.entries(decided, job.cut, int(top["t"]))
        client.local.command("insert", OPLOG, documents=made)
    with standalone(job, key, replay=True) as client:
        return _outcome(job, client, Seen(), Progress(len(made)))


def _outcome(job: Job, client: Client, seen: Seen, done: Progress) -> Outcome:
    """What the server's recovery has come to; it is read-only then."""
    top, raw = _top(client)
    applied = client.local[MINVALID].find_one() or {}
    at = applied.get("begin", {}).get("ts")
    if at != top["ts"]:
        raise OpsError(f"{job.replica_set}: replayed up to {at}, not to {top['ts']}")
    prepared = client.config["transactions"].find({"state": "prepared"})
    coordinators = client.config["transaction_coordinators"].find()
    return Outcome(
        last=stamps.of(top["ts"]),
        hash=hash_of(raw),
        replayed=done.entries,
        bytes=done.bytes,
        doubt=tuple(map(transactions.in_doubt, prepared)),
        committed=(*seen.committed, *transactions.decisions(coordinators)),
    )


def _lift_term(client: Client, term: int) -> None:
    """Let the member have voted in a term: drivers take a primary of an older one for stale."""
    votes = client.local[ELECTION]
    found = votes.find_one()
    if found is not None and found["term"] < term:
        votes.update_one({}, {"$set": {"term": Int64(term)}})


def _fill(client: Client, first: bytes, entries: Iterator[bytes], done: Progress) -> bytes | None:
    """Put as many entries into the oplog as one round takes; the first one of the next round."""
    room = client.local.command("collStats", OPLOG)["maxSize"] // SHARE
    limit = done.bytes + min(int(room), ROUND_BYTES)
    batch, size = [first], len(first)
    for entry in entries:
        if done.bytes + size >= limit:
            _insert(client, batch, done)
            return entry
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            _insert(client, batch, done)
            batch, size = [], 0
        batch.append(entry)
        size += len(entry)
    _insert(client, batch, done)
    return None


def _insert(client: Client, batch: Sequence[bytes], done: Progress) -> None:
    documents = [RawBSONDocument(entry) for entry in batch]
    answer = client.local.command("insert", OPLOG, documents=documents)
    if answer["n"] != len(batch):
        raise OpsError(f"{answer['n']} of {len(batch)} entries were taken: {answer}"[:300])
    done.entries += len(batch)
    done.bytes += sum(map(len, batch))


def _begin(client: Client) -> Document:
    """Say to the server's recovery that all before now is applied, and nothing after it."""
    top, _ = _top(client)
    begin = {"ts": top["ts"], "t": top["t"]}
    client.local[MINVALID].update_one({}, {"$set": {"begin": begin}}, upsert=True)
    return top


def _top(client: Client) -> tuple[Document, bytes]:
    """The newest entry, and its bytes."""
    made: object = client.local.get_collection(OPLOG, codec_options=RAW)
    oplog = cast("Collection[RawBSONDocument]", made)
    for found in oplog.find().sort("$natural", -1).limit(1):
        return bson.decode(found.raw), bytes(found.raw)
    raise OpsError("the copy's oplog is empty")


def _entries(job: Job, storage: Storage, sealer: Sealer) -> Iterator[bytes]:
    """The archive's entries, in order, up to before the cut."""
    at = Stamp(0, 0)
    for model in job.pieces:
        piece = model.piece(job.replica_set)
        for entry, when in _of_piece(piece, storage, sealer):
            if when <= at:
                raise DamagedError(f"{piece.slice.key}: its entries are not in order")
            at = when
            if when >= job.cut:
                break
            yield entry


def _of_piece(piece: Piece, storage: Storage, sealer: Sealer) -> Iterable[tuple[bytes, Stamp]]:
    try:
        with storage.open(piece.slice.key) as source:
            found = [
                (entry, when)
                for entry in decode(sealer, piece.slice, source)
                if piece.after < (when := when_of(entry)) <= piece.upto
            ]
    except DamagedError as error:
        raise DamagedError(f"{piece.slice.key}: {error}") from error
    return found  # whole: nothing of a damaged slice is replayed


def when_of(entry: bytes) -> Stamp:
    """An entry's time, without decoding the rest of it."""
    return stamps.of(RawBSONDocument(entry)["ts"])


def _watched(entries: Iterable[bytes], seen: Seen) -> Iterator[bytes]:
    for entry in entries:
        seen.add(entry)
        yield entry
