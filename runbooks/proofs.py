"""Which runbooks were proved: the record that the proving test writes, beside the pages.

A proof is of a page as it then read: a page that was changed is not proved any more.
"""

import json
from dataclasses import dataclass
from datetime import date
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from cluster.files import write_atomic
from runbooks.model import Runbook

FILE = "proofs.json"


class Proof(BaseModel):
    """The condition was made, `doctor` named the runbook first, its run left the cluster healthy.

    Seconds: until `doctor` had named it, and of the run; `promised` is the SLA's, 0 for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    on: date
    condition: str
    named_after: float
    took: float
    promised: float
    digest: str


_PROOFS: TypeAdapter[dict[str, Proof]] = TypeAdapter(dict[str, Proof])


@dataclass(frozen=True)
class Standing:
    """How a runbook stands: proved, changed (since it was), impossible (to prove here), or none."""

    state: str
    words: str
    seconds: float | None = None


@dataclass(frozen=True)
class Proofs:
    """The record, by runbook."""

    each: dict[str, Proof]

    def of(self, runbook: Runbook) -> Standing:
        """How a runbook stands."""
        proof = self.each.get(runbook.id)
        if runbook.front.not_local:
            return Standing("impossible", f"not proved: {runbook.front.not_local}")
        if proof is None:
            return Standing("none", "not proved")
        if proof.digest != steps_digest(runbook):
            return Standing("changed", f"changed since {proof.on}: not proved")
        return Standing("proved", f"proved {proof.on}, {proof.took:.0f} s", proof.took)


@cache
def proofs() -> Proofs:
    """The record of the package."""
    text = (files("runbooks") / FILE).read_text("utf-8")
    return Proofs(_PROOFS.validate_json(text))


def steps_digest(runbook: Runbook) -> str:
    """Of what a run depends on: front matter and steps; prose may be bettered."""
    front = runbook.front.model_dump_json(exclude={"not_local"})
    steps = [each.step.model_dump_json() for each in runbook.steps]
    return sha256("\n".join([front, *steps]).encode()).hexdigest()[:16]


def add(path: Path, runbook: str, proof: Proof) -> None:
    """Write a proof into a record."""
    known = _PROOFS.validate_json(path.read_bytes()) if path.exists() else {}
    known[runbook] = proof
    plain = {name: known[name].model_dump(mode="json") for name in sorted(known)}
    write_atomic(path, json.dumps(plain, indent=1) + "\n")
