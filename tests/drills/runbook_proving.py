"""A proof: the condition is made, `doctor` names the page first, its run leaves all healthy."""

import os
import shlex
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import yaml

from cluster.clock import wait_for
from runbooks import proofs
from runbooks.catalogue import catalogue
from runbooks.facts.reading import look
from runbooks.findings import Finding, findings
from runbooks.journal import Ended, runs
from skillswap_ops.runbooking import sla_seconds
from tests.conftest import Lab
from tests.drills.runbook_conditions import Condition, Hand, left_over
from tests.drills.runbook_ledger import Ledger

RECORD = Path(__file__).parents[2] / "runbooks" / proofs.FILE
PROVE = "SKILLSWAP_OPS_PROVE"
NAMED_SECONDS = 120.0
# DR is asynchronous, and a restore goes back to an instant: what was written since is gone.
MAY_LOSE = {"region-lost", "pg-failback", "change-half-done", "pg-pitr"}


@dataclass(frozen=True)
class Row:
    """What one proof took, in seconds."""

    runbook: str
    named: float
    took: float
    promised: float
    acked: int
    lost: int

    def __str__(self) -> str:
        promised = f"{self.promised:.0f} s" if self.promised else "-"
        return (
            f"{self.runbook:<24} named after {self.named:5.1f} s, run {self.took:6.1f} s, "
            f"SLA {promised:>6}, {self.acked} acks, {self.lost} lost"
        )


def prove(lab: Lab, condition: Condition, folder: Path) -> Row:
    """Prove a runbook; its answers are put into the folder.

    Where that fails the cluster is mended, so that the next proof says something of its own.
    """
    try:
        return _prove(lab, condition, folder)
    except Exception:
        lab.run("drill", "heal", "--yes", code=None)
        lab.run("provision", code=None)
        raise


def _prove(lab: Lab, condition: Condition, folder: Path) -> Row:
    wait_until_healthy(lab, condition.settle)
    answers = folder / "answers.yaml"
    answers.write_text(yaml.safe_dump({**safe_answers(condition.runbook), **condition.answers}))
    made = cast("AbstractContextManager[Hand]", condition.make(lab))
    with Ledger(lab.context) as ledger:
        with made as hand:
            began = time.monotonic()
            finding = named_first(lab, condition.runbook)
            named = time.monotonic() - began
            hand()
            words = shlex.split(finding.command)[1:]
            ran = time.monotonic()
            lab.run(*words, "--answers", str(answers), seconds=900)
            took = time.monotonic() - ran
            assert changes(lab), "it went away by itself: the run has done nothing"
        wait_until_healthy(lab, condition.settle)
        acked, lost = ledger.judge()
    assert not left_over(lab)
    runbook = catalogue()[condition.runbook]
    promised = sla_seconds(lab.context.topology.sla, runbook.front.sla) or 0.0
    assert acked
    assert lost == 0 or condition.runbook in MAY_LOSE
    row = Row(condition.runbook, named, took, promised, acked, lost)
    record(row, (condition.make.__doc__ or "").strip().splitlines()[0])
    return row


def changes(lab: Lab) -> list[str]:
    """The steps of the newest run that changed something."""
    run = runs(lab.context.layout.root)[-1]
    steps = [each.step for each in catalogue()[run.opened.runbook].steps]
    changing = {step.id for step in steps if step.step == "do"}
    ended = [one for one in run.entries if isinstance(one, Ended) and one.outcome == "ok"]
    return [one.step for one in ended if one.step in changing]


def doctor(lab: Lab) -> tuple[Finding, ...]:
    """What `doctor` finds now."""
    return findings(look(lab.context), catalogue().values())


def wait_until_healthy(lab: Lab, seconds: float) -> None:
    """Until `doctor` finds nothing and `status` is content; what they said is told if not."""
    seen: list[str] = []

    def sound() -> bool:
        found = [line for one in doctor(lab) for line in one.evidence]
        status = lab.run("status", code=None)
        seen[:] = [*found, status.stdout]
        return not found and status.returncode == 0

    try:
        wait_for("a healthy cluster", sound, seconds=seconds, every=1)
    except Exception:
        print("\n".join(seen))
        raise


def named_first(lab: Lab, runbook: str) -> Finding:
    """The first finding, once it is this runbook; what was first until then is told."""
    seen: list[str] = []

    def first() -> Finding | None:
        found = doctor(lab)
        seen.append(", ".join(one.runbook for one in found) or "nothing")
        return found[0] if found and found[0].runbook == runbook else None

    try:
        return wait_for(f"{runbook}, named first", first, seconds=NAMED_SECONDS, every=0.5)
    except Exception:
        print("doctor named, look after look:", list(dict.fromkeys(seen)))
        raise


def safe_answers(name: str) -> dict[str, object]:
    """Yes to what is marked safe, as `--yes` says."""
    steps = [each.step for each in catalogue()[name].steps]
    return {step.id: True for step in steps if step.step == "do" and step.safe}


def record(row: Row, condition: str) -> None:
    """Into the package's record of proofs, where that was asked for."""
    if os.environ.get(PROVE):
        proof = proofs.Proof(
            on=datetime.now(UTC).date(),
            condition=condition,
            named_after=round(row.named, 1),
            took=round(row.took, 1),
            promised=row.promised,
            digest=proofs.steps_digest(catalogue()[row.runbook]),
        )
        proofs.add(RECORD, row.runbook, proof)
