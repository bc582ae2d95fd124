"""Reads a set's oplog from a place on, and notices where what was read is not what is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import Primary, PrimaryPreferred

from cluster.errors import OpsError
from mongo.backup import stamps
from mongo.backup.slices import Position, hash_of
from mongo.backup.stamps import Stamp
from mongo.client import Client, as_ops_error

SECONDS = 10.0
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
SET_CONFIG = "system.replset"
Oplog = Collection[RawBSONDocument]


@dataclass(frozen=True)
class Entry:
    """An entry of an oplog, with the bytes that it is."""

    at: Stamp
    raw: bytes

    @property
    def position(self) -> Position:
        """Its place."""
        return Position(self.at, hash_of(self.raw))


@dataclass(frozen=True)
class Read:
    """What followed a place; `gap` says why that place is not there any more."""

    entries: tuple[Entry, ...] = ()
    gap: str = ""


class Tail:
    """The oplog of one set, at read concern majority: what no election takes back."""

    def __init__(self, name: str, client: Client) -> None:
        self._name, self._client = name, client

    def after(self, place: Position, limit: int) -> Read:
        """The entries after a place, some `limit` bytes of them. Raises OpsError.

        The place itself is read too: what is there must be what was read before.
        """
        with self._explained():
            found = self._read(self._oplog(primary=False), place, limit)
            if found.gap:  # a member that was made anew may know less than the others
                found = self._read(self._oplog(primary=True), place, limit)
            return found

    def newest(self) -> Position:
        """The newest entry that a majority has. Raises OpsError."""
        with self._explained():
            for raw in self._oplog(primary=True).find().sort("$natural", -1).limit(1):
                return _entry(raw).position
        raise OpsError(f"{self._name}: its oplog is empty")

    def set_id(self) -> str:
        """What tells this set from every other one. Raises OpsError."""
        with self._explained():
            config = self._client.local[SET_CONFIG].find_one()
        if config is None:
            raise OpsError(f"{self._name}: has no configuration")
        return str(config["settings"]["replicaSetId"])

    def _read(self, oplog: Oplog, place: Position, limit: int) -> Read:
        entries: list[Entry] = []
        size, began = 0, False
        for raw in oplog.find({"ts": {"$gte": place.last.bson}}):
            entry = _entry(raw)
            if not began:
                began = True
                gap = missing(place, entry.position, self._oldest(oplog))
                if gap:
                    return Read(gap=gap)
                continue  # nor counted: it may be larger than the limit itself
            entries.append(entry)
            size += len(entry.raw)
            if size >= limit:
                break
        return Read(tuple(entries))

    def _oldest(self, oplog: Oplog) -> Stamp:
        for raw in oplog.find().sort("$natural", 1).limit(1):
            return stamps.of(raw["ts"])
        return Stamp(0, 0)

    def _oplog(self, *, primary: bool) -> Oplog:
        preference = Primary() if primary else PrimaryPreferred()
        made: object = self._client.local.get_collection(
            "oplog.rs",
            codec_options=RAW,
            read_preference=preference,
            read_concern=ReadConcern("majority"),
        )
        return cast("Oplog", made)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except PyMongoError as error:
            raise as_ops_error(self._name, error) from error


def missing(place: Position, found: Position, oldest: Stamp) -> str:
    """Why what was found at a place is not what was read there; "" where it is.

    `found` is the first entry that is not older than the place, `oldest` the oplog's first.
    """
    if found.last == place.last and place.hash in {"", found.hash}:
        return ""
    if found.last > place.last and oldest > place.last:
        return f"the oplog begins at {oldest.instant:%H:%M:%S}, after where the archive ends"
    return "the oplog is another from where the archive ends: it was rolled back, or restored"


def _entry(raw: RawBSONDocument) -> Entry:
    return Entry(stamps.of(raw["ts"]), bytes(raw.raw))


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)
