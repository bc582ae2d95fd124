"""What a snapshot consists of, and the histories of a cluster: JSON that carries its own checksum.

A snapshot's manifest is written last: what has none is no backup.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mongo.backup.sealing import DamagedError
from mongo.backup.stamps import Stamp
from mongo.backup.storage import Storage

SNAPSHOTS = "snapshots"
HISTORIES = "histories"
MANIFEST = "manifest.json"
FIRST_HISTORY = 1


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


D = TypeVar("D", bound=_Document)


class Part(_Document):
    """One replica set in a snapshot. `last` is its newest write, bytes are of the data, stored."""

    set_id: str
    node: str
    last: Stamp
    key: str
    sha256: str
    bytes: int
    stored: int


class Manifest(_Document):
    """A finished snapshot of all sets, in a history; `key` is the fingerprint of what sealed it."""

    label: str
    history: int
    cluster: str
    server: str
    key: str
    started: datetime
    stopped: datetime
    sets: dict[str, Part]


class Branch(_Document):
    """Where a history leaves its parent, on one set: at this entry."""

    last: Stamp
    hash: str


class History(_Document):
    """What began with a restore in place: `parent` up to before `cut`, and then its own."""

    number: int
    parent: int
    cut: Stamp
    made: datetime
    sets: dict[str, Branch]


def folder(label: str) -> str:
    """The keys of a snapshot begin so."""
    return f"{SNAPSHOTS}/{label}/"


def manifest_key(label: str) -> str:
    """Where a manifest is kept."""
    return folder(label) + MANIFEST


def history_key(number: int) -> str:
    """Where a history is kept."""
    return f"{HISTORIES}/{number:04d}.json"


def dump(document: _Document) -> bytes:
    """A document as text, with its checksum."""
    body = document.model_dump_json()
    check = hashlib.sha256(body.encode()).hexdigest()
    return f'{{"sha256": "{check}", "body": {body}}}\n'.encode()


def load(kind: type[D], data: bytes) -> D:
    """What `dump` made. Raises DamagedError."""
    try:
        whole = json.loads(data)
        found = kind.model_validate(whole["body"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise DamagedError("it cannot be read") from error
    if dump(found) != data:
        raise DamagedError("its checksum is another")
    return found


def store(storage: Storage, key: str, document: _Document) -> None:
    """Keep a document."""
    storage.put(key, io.BytesIO(dump(document)))


def fetch(storage: Storage, key: str, kind: type[D]) -> D:
    """Read a document. Raises DamagedError, and what the storage raises."""
    with storage.open(key) as source:
        return load(kind, source.read())


def labels(storage: Storage) -> tuple[str, ...]:
    """The snapshots that were finished, oldest first."""
    found = storage.list(f"{SNAPSHOTS}/")
    return tuple(one.key.split("/")[1] for one in found if one.key.rpartition("/")[2] == MANIFEST)


def histories(storage: Storage) -> dict[int, History]:
    """Every history that began with a restore, by number. Raises DamagedError."""
    found = (fetch(storage, one.key, History) for one in storage.list(f"{HISTORIES}/"))
    return {one.number: one for one in found}


def current(known: Mapping[int, History]) -> int:
    """The number of the history that goes on."""
    return max(known, default=FIRST_HISTORY)


def ancestry(known: Mapping[int, History], number: int) -> tuple[int, ...]:
    """A history and those that it came from, the oldest first. Raises DamagedError in a loop."""
    line = [number]
    while line[-1] in known:
        parent = known[line[-1]].parent
        if parent >= line[-1]:
            raise DamagedError(f"history {line[-1]} says that it came from {parent}")
        line.append(parent)
    return tuple(reversed(line))
