"""Reads what is in the repository, and every byte of it where that is asked for."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from cluster.backup.contracts import Damage
from cluster.errors import OpsError, RefusedError, UnreachableError
from mongo.backup import manifest, planning, sealing
from mongo.backup.manifest import Manifest
from mongo.backup.planning import REPOSITORY, Catalogue
from mongo.backup.sealing import DamagedError, Sealer
from mongo.backup.slices import Slice, decode, listed
from mongo.backup.storage import Storage

READ = 1 << 20


@dataclass(frozen=True)
class Broken:
    """A snapshot that cannot be restored from, and why."""

    label: str
    why: str


@dataclass(frozen=True)
class Contents:
    """What the repository holds."""

    catalogue: Catalogue
    broken: tuple[Broken, ...]


def load(
    storage: Storage, sealer: Sealer, sets: Sequence[str], current: int | None = None
) -> Contents:
    """Manifests, histories and the names of the slices; nothing of what they hold.

    `current` is the history that goes on, where it is not the newest. Raises RefusedError where a
    history is damaged: without it nobody knows what belongs together.
    """
    try:
        histories = manifest.histories(storage)
    except DamagedError as error:
        raise RefusedError(
            f"{storage.name}: the histories are damaged: {error}",
            "put the repository back from a copy",
        ) from error
    number = manifest.current(histories) if current is None else current
    known = {key: one for key, one in histories.items() if key <= number}
    manifests, broken = _manifests(storage, sealer)
    manifest.ancestry(known, number)  # raises where it is a loop
    every = (manifest.FIRST_HISTORY, *known)
    found = {(one, name): listed(storage, one, name) for one in every for name in sets}
    made = Catalogue(
        number,
        known,
        manifests,
        {key: archived.slices for key, archived in found.items()},
        tuple(gap for archived in found.values() for gap in archived.gaps),
    )
    return Contents(made, broken)


def _manifests(storage: Storage, sealer: Sealer) -> tuple[tuple[Manifest, ...], tuple[Broken, ...]]:
    good, broken = [], []
    stored = {one.key: one.size for one in storage.list(f"{manifest.SNAPSHOTS}/")}
    for label in manifest.labels(storage):
        try:
            found = manifest.fetch(storage, manifest.manifest_key(label), Manifest)
        except DamagedError as error:
            broken.append(Broken(label, f"its manifest: {error}"))
            continue
        why = _lacks(found, stored, sealer)
        if why:
            broken.append(Broken(label, why))
        else:
            good.append(found)
    return tuple(good), tuple(broken)


def _lacks(found: Manifest, stored: dict[str, int], sealer: Sealer) -> str:
    """What can be told without reading it."""
    if found.key != sealer.fingerprint:
        return "it was sealed with another key than the secret `mongo-backup-key`"
    for name, part in found.sets.items():
        if part.key not in stored:
            return f"{name} is missing"
        if stored[part.key] != part.stored:
            return f"{name} is {stored[part.key]:,} bytes long, not {part.stored:,}"
    return ""


# Every byte


def verify(storage: Storage, sealer: Sealer, contents: Contents) -> Iterator[Damage]:
    """What a restore would stumble over: in snapshots, in slices, between them."""
    for broken in contents.broken:
        yield Damage(REPOSITORY, f"snapshot {broken.label}", broken.why)
    for found in contents.catalogue.manifests:
        for part in found.sets.values():
            yield from _damage(part.key, partial(check_part, storage, sealer, part))
    for one in needed(contents.catalogue):
        yield from _damage(one.key, partial(check_slice, storage, sealer, one))
    yield from _gaps(contents.catalogue)


def needed(catalogue: Catalogue) -> tuple[Slice, ...]:
    """The slices that a restore may read."""
    found = {
        piece.slice
        for era in planning.eras(catalogue)
        for one in planning.every_source(era.then)
        for reached in one.reaches.values()
        for piece in reached.pieces
    }
    return tuple(sorted(found, key=lambda one: one.key))


def check_part(storage: Storage, sealer: Sealer, part: manifest.Part) -> None:
    """Read a part of a snapshot. Raises DamagedError."""
    hashed = hashlib.sha256()
    with storage.open(part.key) as source:
        while data := source.read(READ):
            hashed.update(data)
        if hashed.hexdigest() != part.sha256:
            raise DamagedError("its checksum is another")
        source.seek(0)
        header, pieces = sealing.read(sealer, source)
        size = sum(map(len, pieces))
    if size != part.bytes or header.get("of") != part.key:
        raise DamagedError("it is another one than its manifest says")


def check_slice(storage: Storage, sealer: Sealer, one: Slice) -> None:
    """Read a slice. Raises DamagedError."""
    with storage.open(one.key) as source:
        for _ in decode(sealer, one, source):
            pass


def _damage(what: str, read: Callable[[], None]) -> Iterator[Damage]:
    try:
        read()
    except UnreachableError:
        raise
    except (DamagedError, OpsError) as error:
        reason = error.message if isinstance(error, OpsError) else str(error)
        yield Damage(REPOSITORY, what, reason)


def _gaps(catalogue: Catalogue) -> Iterator[Damage]:
    told = set()
    for one in planning.every_source(catalogue):
        for name, reached in one.reaches.items():
            place = (name, reached.last)
            if reached.missing is not None and place not in told:
                told.add(place)
                yield Damage(
                    REPOSITORY,
                    f"oplog archive of {name}",
                    f"lacks what happened from {reached.last.instant:%Y-%m-%d %H:%M:%S} to "
                    f"{reached.missing.instant:%Y-%m-%d %H:%M:%S} UTC; take a new snapshot",
                )
