"""What the drills about restores check: each reads a run's folder alone."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np

from cluster.drill.checkers.instant import held_to, judged, to_the_instant
from cluster.drill.events import Record
from cluster.drill.evidence import COLLECTED
from cluster.drill.measures import Measures
from cluster.drill.verdict import Finding, invalid, unknown, valid
from skillswap_ops.one_instant import OneInstant

PROVED = "restore proof"
TO_ONE_INSTANT = "both stores to the instant"
PROOF_FILE = "proof.json"
INSTANT_FILE = "instant.json"
COPY = "restored-{number}.npy"


class Proof(Record):
    """A restore beside the cluster: to when, from what, how long, and why it failed ("": not)."""

    engine: str
    at: datetime
    at_ns: int
    backup: str = ""
    seconds: float = 0.0
    bytes: int = 0
    trouble: str = ""


class Proofs(Record):
    """All engines', and which stream was read from which engine's copy."""

    proofs: tuple[Proof, ...]
    engines: dict[str, str]


def proved(measures: Measures) -> Iterator[Finding]:
    """Every write acknowledged by the instant is in the restored copy, nothing sent after it is."""
    if measures.fault is None:
        return
    folder = measures.run.folder / COLLECTED
    whole = Proofs.model_validate_json((folder / PROOF_FILE).read_bytes())
    by_engine = {proof.engine: proof for proof in whole.proofs}
    for proof in whole.proofs:
        if proof.trouble:
            yield invalid(PROVED, f"not restored: {proof.trouble}", proof.engine)
    for stream in measures.streams:
        proof = by_engine[whole.engines[stream.config.name]]
        path = folder / COPY.format(number=stream.config.number)
        if proof.trouble:
            continue
        if not path.exists():
            yield unknown(PROVED, "its copy was not read", stream.config.name)
            continue
        held = held_to(stream.history, np.load(path, allow_pickle=False), proof.at_ns)
        took = f"restored from {proof.backup} in {proof.seconds:.1f} s ({proof.bytes:,} bytes)"
        yield judged(PROVED, held, stream.config.name, took)


def to_one_instant(measures: Measures) -> Iterator[Finding]:
    """Both stores hold what was acknowledged by the instant, and refer to nothing more that is not
    there than before.
    """
    if measures.fault is None:
        return
    path = measures.run.folder / COLLECTED / INSTANT_FILE
    noted = OneInstant.model_validate_json(path.read_bytes())
    yield from to_the_instant(TO_ONE_INSTANT, measures, noted.at_ns, noted.seconds)
    if noted.seconds is not None:
        yield _references(noted)


def _references(noted: OneInstant) -> Finding:
    if noted.before is None or noted.after is None:
        return unknown(TO_ONE_INSTANT, "the references were not looked up")
    more = {
        name: count - noted.before.get(name, 0)
        for name, count in noted.after.items()
        if count > noted.before.get(name, 0)
    }
    if more:
        shown = ", ".join(f"{name}: {count:,}" for name, count in sorted(more.items()))
        return invalid(TO_ONE_INSTANT, f"orphans that were not there before: {shown}")
    known = sum(noted.after.values())
    return valid(TO_ONE_INSTANT, f"{known:,} orphans, all of which were there before")
