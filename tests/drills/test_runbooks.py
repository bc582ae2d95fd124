"""Runbooks proved: a real fault, `doctor` names the page first, its run leaves the cluster healthy.

`SKILLSWAP_OPS_PROVE=1` writes what was proved into runbooks/proofs.json; the table of times goes to
the file that SKILLSWAP_OPS_PROOF_TABLE names, and is printed.
"""

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
import yaml

from cluster.clock import wait_for
from runbooks import proofs
from runbooks.catalogue import catalogue
from runbooks.facts.reading import look
from runbooks.findings import Finding, findings
from runbooks.journal import Ended, load, runs
from runbooks.model import Scope
from skillswap_ops.runbooking import sla_seconds
from tests.conftest import Lab
from tests.drills.runbook_conditions import (
    ALL,
    Condition,
    Hand,
    leader,
    left_over,
    primary_of,
)
from tests.drills.runbook_ledger import Ledger

pytestmark = pytest.mark.servers
RECORD = Path(__file__).parents[2] / "runbooks" / proofs.FILE
PROVE = "SKILLSWAP_OPS_PROVE"
TABLE = "SKILLSWAP_OPS_PROOF_TABLE"
NAMED_SECONDS = 120.0


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


@pytest.fixture(scope="module")
def table() -> Iterator[list[Row]]:
    rows: list[Row] = []
    yield rows
    text = "\n".join(map(str, rows))
    print(f"\n{text}")
    if path := os.environ.get(TABLE):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")


def marked(condition: Condition) -> Any:
    marks = [] if condition.quick else [pytest.mark.exhaustive]
    if condition.root:
        not_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
        marks += [pytest.mark.root, not_root]
    return pytest.param(condition, id=condition.runbook, marks=marks)


def doctor(lab: Lab) -> tuple[Finding, ...]:
    return findings(look(lab.context), catalogue().values())


def wait_until_healthy(lab: Lab, seconds: float) -> None:
    def sound() -> bool:
        return not doctor(lab) and lab.run("status", code=None).returncode == 0

    wait_for("a healthy cluster", sound, seconds=seconds, every=1)


@pytest.mark.parametrize("condition", [marked(each) for each in ALL])
def test_a_runbook_ends_its_condition(
    shared_lab: Lab, table: list[Row], tmp_path: Path, condition: Condition
) -> None:
    wait_until_healthy(shared_lab, condition.settle)
    answers = tmp_path / "answers.yaml"
    answers.write_text(yaml.safe_dump({**_safe(condition.runbook), **condition.answers}))
    made = cast("AbstractContextManager[Hand]", condition.make(shared_lab))
    with Ledger(shared_lab.context) as ledger:
        with made as hand:
            began = time.monotonic()
            finding = _named(shared_lab, condition.runbook)
            named = time.monotonic() - began
            hand()
            words = shlex.split(finding.command)[1:]
            ran = time.monotonic()
            shared_lab.run(*words, "--answers", str(answers), seconds=900)
            took = time.monotonic() - ran
        wait_until_healthy(shared_lab, condition.settle)
        acked, lost = ledger.judge()
    assert not left_over(shared_lab, look(shared_lab.context, ["server"]))
    runbook = catalogue()[condition.runbook]
    promised = sla_seconds(shared_lab.context.topology.sla, runbook.front.sla) or 0.0
    table.append(Row(condition.runbook, named, took, promised, acked, lost))
    assert acked
    assert lost == 0 or condition.runbook in MAY_LOSE
    made_by = (condition.make.__doc__ or "nodes are killed").strip().splitlines()[0]
    _record(condition.runbook, made_by, named, took, promised)


# DR is asynchronous, and a restore goes back to an instant: what was written since is gone.
MAY_LOSE = {"region-lost", "pg-failback", "change-half-done", "pg-pitr"}


def _named(lab: Lab, runbook: str) -> Finding:
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


def _safe(name: str) -> dict[str, object]:
    """Yes to what is marked safe, as `--yes` says."""
    steps = [each.step for each in catalogue()[name].steps]
    return {step.id: True for step in steps if step.step == "do" and step.safe}


def test_nothing_is_found_on_a_healthy_cluster(shared_lab: Lab) -> None:
    wait_until_healthy(shared_lab, 120)
    for _ in range(5):
        seen = look(shared_lab.context)
        assert not seen.unread
        assert findings(seen, catalogue().values()) == ()
    said = cast("dict[str, object]", shared_lab.json("doctor"))
    assert said["healthy"] is True
    assert cast("int", said["facts"]) > 40


@pytest.mark.exhaustive
def test_nothing_is_found_on_a_healthy_cluster_in_two_hundred_looks(shared_lab: Lab) -> None:
    wait_until_healthy(shared_lab, 120)
    for number in range(200):
        seen = look(shared_lab.context)
        assert not seen.unread, number
        assert findings(seen, catalogue().values()) == (), number


@pytest.mark.exhaustive
def test_a_planned_switchover_moves_both_leads(
    shared_lab: Lab, table: list[Row], tmp_path: Path
) -> None:
    """No condition, and so no finding: the page is for a day that somebody chose."""
    wait_until_healthy(shared_lab, 120)
    context, name = shared_lab.context, "planned-switchover"
    before = (leader(context), primary_of(context, "shard-a"))
    answers = tmp_path / "answers.yaml"
    answers.write_text(
        "time: true\nengine: postgres\nswitchover: true\nmongo-too: true\nstepdown: true\n"
    )
    with Ledger(context) as ledger:
        began = time.monotonic()
        shared_lab.run("runbook", "run", name, "--answers", str(answers), seconds=600)
        took = time.monotonic() - began
        after = (leader(context), primary_of(context, "shard-a"))
        wait_until_healthy(shared_lab, 120)
        acked, lost = ledger.judge()
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert acked
    assert not lost
    table.append(Row(name, 0.0, took, 120.0, acked, lost))
    _record(name, "both primaries are to move", 0.0, took, 120.0)


def _record(name: str, condition: str, named: float, took: float, promised: float) -> None:
    """Into the package's record of proofs, where that was asked for."""
    if os.environ.get(PROVE):
        proof = proofs.Proof(
            on=datetime.now(UTC).date(),
            condition=condition,
            named_after=round(named, 1),
            took=round(took, 1),
            promised=promised,
            digest=proofs.steps_digest(catalogue()[name]),
        )
        proofs.add(RECORD, name, proof)


def _independent(first: Condition, second: Condition) -> bool:
    """Whether neither page says that it explains the other, wherever that is."""
    pages = catalogue()
    return not any(
        pages[one.runbook].front.hides.get(other.runbook, Scope.GROUP) is not Scope.GROUP
        for one, other in ((first, second), (second, first))
    )


def pairs(count: int, seed: int) -> list[tuple[Condition, Condition]]:
    """Pairs of conditions that dead nodes make, by chance."""
    kills = [each for each in ALL if each.pairs]
    every = [each for each in combinations(kills, 2) if _independent(*each)]
    return Random(seed).sample(every, min(count, len(every)))


@pytest.mark.exhaustive
@pytest.mark.parametrize("pair", pairs(20, 8), ids=lambda pair: "+".join(x.runbook for x in pair))
def test_both_of_two_faults_are_found_and_no_wrong_runbook(
    shared_lab: Lab, pair: tuple[Condition, Condition]
) -> None:
    wait_until_healthy(shared_lab, 180)
    wanted = {each.runbook for each in pair}
    with ExitStack() as stack:
        for each in pair:
            stack.enter_context(cast("AbstractContextManager[Hand]", each.make(shared_lab)))
        seen: list[set[str]] = []

        def named() -> bool:
            seen.append({one.runbook for one in doctor(shared_lab)})
            return seen[-1] == wanted

        wait_for(f"{wanted}, and nothing else", named, seconds=NAMED_SECONDS, every=0.5)
    print("look after look:", [sorted(each) for each in seen])
    assert doctor(shared_lab)  # it lasts
    shared_lab.run("provision")


@pytest.mark.exhaustive
@pytest.mark.parametrize("runbook", ["server-down", "mongo-primary-lost", "pg-sync-standby-lost"])
def test_killed_after_each_step_a_run_goes_on_and_repeats_nothing(
    shared_lab: Lab, tmp_path: Path, runbook: str
) -> None:
    [condition] = [each for each in ALL if each.runbook == runbook]
    answers = tmp_path / "answers.yaml"
    answers.write_text(yaml.safe_dump({**_safe(runbook), **condition.answers}))
    for place in range(1, len(catalogue()[runbook].steps)):
        wait_until_healthy(shared_lab, condition.settle)
        made = cast("AbstractContextManager[Hand]", condition.make(shared_lab))
        with made:
            words = shlex.split(_named(shared_lab, runbook).command)[1:]
            _killed_after(shared_lab, [*words, "--answers", str(answers), "--anew"], place)
            shared_lab.run("runbook", "resume", "--answers", str(answers), seconds=600)
        run = runs(shared_lab.context.layout.root)[-1]
        assert run.closed is not None
        done = [one for one in run.entries if isinstance(one, Ended) and one.outcome == "ok"]
        changed = [one.step for one in done if one.code is not None and one.answer]
        assert len(changed) == len(set(changed)), changed


def _killed_after(lab: Lab, words: list[str], steps: int) -> None:
    """Run it, and SIGKILL the runner as soon as so many steps have ended."""
    before = {run.name for run in runs(lab.context.layout.root)}
    process = subprocess.Popen(
        lab.command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def ended() -> bool:
        new = [one for one in runs(lab.context.layout.root) if one.name not in before]
        entries = load(new[0].folder).entries if new else ()
        over = process.poll() is not None
        return over or sum(isinstance(one, Ended) for one in entries) >= steps

    try:
        wait_for(f"{steps} steps", ended, seconds=300, every=0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_the_record_is_of_runbooks_that_there_are() -> None:
    assert set(json.loads(RECORD.read_text("utf-8"))) <= set(catalogue())
