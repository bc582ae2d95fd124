"""MongoDB's own checkers: pure functions over a run's folder, beside those that every engine has.

Each is about what its drill put into the folder `collected`; what is not there proves nothing.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import bson
import numpy as np
from bson.errors import BSONError

from cluster.drill.checkers import instant
from cluster.drill.contracts import OpIds
from cluster.drill.events import Record
from cluster.drill.evidence import COLLECTED
from cluster.drill.judge import Check
from cluster.drill.measures import Measures, StreamMeasures
from cluster.drill.noted import PitrTarget
from cluster.drill.outcome import Outcome
from cluster.drill.verdict import Finding, invalid, unknown, valid

ROLLBACKS = "rollback files"
COPIES = "copies"
BOUNDED = "bounded errors"
TO_THE_INSTANT = "MongoDB to the instant"
DAMAGE_FOUND = "MongoDB's damage found"

ROLLBACK_FOLDER = "rollbacks"  # <uuid of a collection>/<node>/*.bson, below `collected`
ROLLBACK_INDEX = "collections.json"  # which stream wrote to the collection of which uuid
PITR_FILE = "mongo-pitr.json"
CORRUPTION_FILE = "mongo-corruption.json"
COPIES_FILE = "copies.json"  # what was compared: {what: {node: value}}
SHOWN = 3  # ids in a message


def rollback_files(measures: Measures) -> Iterator[Finding]:
    """Is every lost write in a file that a member wrote when it took it back?

    A loss that no file explains happened in a way that nobody has understood.
    """
    folder = measures.run.folder / COLLECTED / ROLLBACK_FOLDER
    if not (folder / ROLLBACK_INDEX).exists():
        if measures.fault is not None:
            yield unknown(ROLLBACKS, "they were not collected")
        return
    uuids: dict[str, str] = json.loads((folder / ROLLBACK_INDEX).read_text("utf-8"))
    for stream in measures.streams:
        found = [uuid for uuid, name in uuids.items() if name == stream.config.name]
        if found and stream.sets is not None and stream.sets.read:
            yield _explained(stream, rolled_back(folder / found[0]))


def rolled_back(folder: Path) -> OpIds:
    """The ids of all documents in a collection's files; raises ValueError for a damaged one."""
    ids: set[int] = set()
    for path in sorted(folder.rglob("*.bson")):
        try:
            with path.open("rb") as file:
                documents = [document["_id"] for document in bson.decode_file_iter(file)]
        except BSONError as error:
            raise ValueError(f"{path.name} is damaged: {error}") from error
        ids |= {int(key) for key in documents if isinstance(key, int)}
    return np.fromiter(sorted(ids), np.int64, len(ids))


def _explained(stream: StreamMeasures, undone: OpIds) -> Finding:
    assert stream.sets is not None  # noqa: S101 - the caller has looked
    lost, name = stream.sets.lost, stream.config.name
    unexplained = np.setdiff1d(lost, undone)
    if len(unexplained):
        few = ", ".join(map(str, unexplained[:SHOWN].tolist()))
        text = f"{len(unexplained):,} of {len(lost):,} lost writes are in no rollback file ({few})"
        return invalid(ROLLBACKS, text, name)
    if len(lost):
        text = f"explain all {len(lost):,} lost writes; {len(undone):,} were taken back in all"
        return valid(ROLLBACKS, text, name)
    return valid(ROLLBACKS, f"no loss to explain; {len(undone):,} writes were taken back", name)


def copies(measures: Measures) -> Iterator[Finding]:
    """Do all members hold the same?"""
    path = measures.run.folder / COLLECTED / COPIES_FILE
    if not path.exists():
        if measures.fault is not None:
            yield unknown(COPIES, "they were not compared")
        return
    compared: dict[str, dict[str, str]] = json.loads(path.read_text("utf-8"))
    if not compared:
        yield unknown(COPIES, "nothing was compared")
    for what, values in compared.items():
        different = len(set(values.values()))
        if not all(values.values()) or len(values) < 2:
            silent = ", ".join(node for node, value in values.items() if not value)
            yield unknown(COPIES, f"not compared on {silent or 'two members'}", what)
        elif different > 1:
            shown = ", ".join(f"{node} {value}" for node, value in values.items())
            yield invalid(COPIES, f"members hold different copies: {shown}", what)
        else:
            yield valid(COPIES, f"alike on {', '.join(values)}", what)


def bounded_errors(measures: Measures) -> Iterator[Finding]:
    """Did every write to the hurt group end within its deadline, one way or the other?"""
    if measures.fault is None:
        return
    slack = measures.run.config.rules.stall
    for stream in measures.streams:
        if stream.config.group != measures.run.config.group:
            continue
        history, name = stream.history, stream.config.name
        ended = history.having(Outcome.FAILED, Outcome.UNKNOWN) & (history.sent > 0)
        if not ended.any():
            yield unknown(BOUNDED, "no write met an error", name)
            continue
        longest = float((history.done[ended] - history.sent[ended]).max()) / 1e9
        text = f"the longest error took {longest:.1f} s"
        if longest <= stream.config.write_within + slack:
            yield valid(BOUNDED, f"{text} (deadline {stream.config.write_within:g} s)", name)
        elif measures.doubt:
            yield unknown(BOUNDED, f"{text}, but {measures.doubt}", name)
        else:
            yield invalid(BOUNDED, f"{text}, deadline {stream.config.write_within:g} s", name)


class Corruption(Record):
    """Which objects were damaged, what `verify` found, and what each restore said ("": nothing)."""

    flipped: tuple[str, ...]
    found: tuple[str, ...]
    snapshot_refused: str
    slice_refused: str
    left: tuple[str, ...] | None = None


def to_the_instant(measures: Measures) -> Iterator[Finding]:
    """All shards were put back to the instant that was noted."""
    if measures.fault is None:
        return
    noted = PitrTarget.model_validate_json(_collected(measures, PITR_FILE))
    yield from instant.to_the_instant(TO_THE_INSTANT, measures, noted.at_ns, noted.seconds)


def damage_found(measures: Measures) -> Iterator[Finding]:
    """Both flipped bytes were found, no restore went through, and nothing is left of them."""
    if measures.fault is None:
        return
    seen = Corruption.model_validate_json(_collected(measures, CORRUPTION_FILE))
    unseen = [key for key in seen.flipped if not any(key in text for text in seen.found)]
    if len(seen.flipped) != 2:
        yield unknown(DAMAGE_FOUND, f"{len(seen.flipped)} objects were damaged, not 2")
        return
    if unseen:
        yield invalid(DAMAGE_FOUND, f"`verify` did not find the damage in {', '.join(unseen)}")
    if not seen.snapshot_refused or not seen.slice_refused:
        which = "slice" if seen.snapshot_refused else "snapshot"
        yield invalid(DAMAGE_FOUND, f"a restore went through over a damaged {which}")
    if seen.left is None:
        yield unknown(DAMAGE_FOUND, "not looked at again after the undo")
    elif seen.left:
        yield invalid(DAMAGE_FOUND, f"still damaged after the undo: {', '.join(seen.left)}")
    if not unseen and seen.snapshot_refused and seen.slice_refused and seen.left == ():
        yield valid(DAMAGE_FOUND, f"found by `verify`, refused by restores: {seen.slice_refused}")


def _collected(measures: Measures, name: str) -> bytes:
    return (measures.run.folder / COLLECTED / name).read_bytes()


CHECKS: dict[str, Check] = {
    TO_THE_INSTANT: to_the_instant,
    DAMAGE_FOUND: damage_found,
    ROLLBACKS: rollback_files,
    COPIES: copies,
    BOUNDED: bounded_errors,
}
