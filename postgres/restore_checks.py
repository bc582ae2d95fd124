"""Checkers of the drills that restore, promote the DR region, or damage a repository."""

from collections.abc import Iterator, Sequence

from cluster.drill.checkers import instant
from cluster.drill.events import Record
from cluster.drill.evidence import COLLECTED
from cluster.drill.judge import Check
from cluster.drill.measures import Measures
from cluster.drill.verdict import Finding, invalid, unknown, valid
from postgres.faults.destroyed_data import TimelineTarget
from postgres.regions import Loss

TO_THE_INSTANT = "to the instant"
STATED_LOSS = "stated loss"
DAMAGE_FOUND = "damage found"

PITR_FILE = "pitr.json"
LOSS_FILE = "dr-loss.json"
CORRUPTION_FILE = "corruption.json"


class Corruption(Record):
    """Which files were damaged, what `verify` found, and what each restore said ("": nothing)."""

    flipped: tuple[str, ...]
    found: tuple[str, ...]
    data_refused: str
    wal_refused: str
    left: tuple[str, ...] | None = None


def to_the_instant(measures: Measures) -> Iterator[Finding]:
    """The database was put back to the instant that was noted."""
    if measures.fault is None:
        return
    noted = TimelineTarget.model_validate_json(_collected(measures, PITR_FILE))
    yield from instant.to_the_instant(TO_THE_INSTANT, measures, noted.at_ns, noted.seconds)


def stated_loss(measures: Measures) -> Iterator[Finding]:
    """What the promotion said to be lost is what the ledger misses."""
    if measures.fault is None:
        return
    stated = Loss.model_validate_json(_collected(measures, LOSS_FILE))
    known = [stream.sets for stream in measures.streams if stream.sets is not None]
    lost = sum(len(found.lost) for found in known)
    unknowns = sum(stream.counts.unknown for stream in measures.streams)
    absent = unknowns - sum(found.recovered for found in known)
    if len(known) < len(measures.streams):
        yield unknown(STATED_LOSS, "not every stream was read back")
    elif stated.commits is None:
        yield unknown(STATED_LOSS, f"the loss could not be stated; the ledger misses {lost:,}")
    elif lost <= stated.commits <= lost + absent:
        seconds = f"{stated.seconds or 0.0:.2f} s, {stated.bytes or 0:,} bytes"
        text = f"{stated.commits:,} transactions ({seconds}) stated, {lost:,} acknowledged missing"
        yield valid(STATED_LOSS, f"{text}, {absent:,} more without an answer are absent")
    else:
        text = f"{stated.commits:,} transactions were said to be lost, and {lost:,} are missing"
        yield invalid(STATED_LOSS, f"{text} ({absent:,} more without an answer are absent)")


def damage_found(measures: Measures) -> Iterator[Finding]:
    """Both flipped bytes were found, no restore went through, and nothing is left of them."""
    if measures.fault is None:
        return
    seen = Corruption.model_validate_json(_collected(measures, CORRUPTION_FILE))
    data = [path for path in seen.flipped if "/bundle/" in path]
    segments = [
        path.rpartition("/")[2].partition("-")[0] for path in seen.flipped if path not in data
    ]
    unseen = [name for name in segments if not any(name in text for text in seen.found)]
    labels = [path.split("/bundle/")[0].rpartition("/")[2] for path in data]
    unseen += [label for label in labels if not any(label in text for text in seen.found)]
    if not data or not segments:
        yield unknown(DAMAGE_FOUND, f"{len(data)} files of data and {len(segments)} of WAL damaged")
        return
    if unseen:
        yield invalid(DAMAGE_FOUND, f"`verify` did not find the damage in {_few(unseen)}")
    if not seen.data_refused or not seen.wal_refused:
        which = "data" if not seen.data_refused else "WAL"
        yield invalid(DAMAGE_FOUND, f"a restore went through over damaged {which}")
    if seen.left is None:
        yield unknown(DAMAGE_FOUND, "not looked at again after the undo")
    elif seen.left:
        yield invalid(DAMAGE_FOUND, f"still damaged after the undo: {_few(seen.left)}")
    if not unseen and seen.data_refused and seen.wal_refused and seen.left == ():
        yield valid(DAMAGE_FOUND, f"found by `verify`, refused by restores: {seen.wal_refused}")


def _collected(measures: Measures, name: str) -> bytes:
    return (measures.run.folder / COLLECTED / name).read_bytes()


def _few(names: Sequence[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]


CHECKS: dict[str, Check] = {
    TO_THE_INSTANT: to_the_instant,
    STATED_LOSS: stated_loss,
    DAMAGE_FOUND: damage_found,
}
