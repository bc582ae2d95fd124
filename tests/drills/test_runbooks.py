"""Runbooks proved: a real fault, `doctor` names the page first, its run leaves the cluster healthy.

`SKILLSWAP_OPS_PROVE=1` writes what was proved into runbooks/proofs.json; the table of times goes to
the file that SKILLSWAP_OPS_PROOF_TABLE names, and is printed.
"""

import json
import os
import shlex
import signal
import subprocess
from contextlib import AbstractContextManager, ExitStack
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
import yaml

from cluster.clock import wait_for
from runbooks.catalogue import catalogue
from runbooks.facts.reading import look
from runbooks.findings import findings
from runbooks.journal import Ended, load, runs
from runbooks.model import Scope
from tests.conftest import Lab
from tests.drills.runbook_conditions import ALL, Condition, Hand
from tests.drills.runbook_proving import (
    NAMED_SECONDS,
    RECORD,
    Row,
    doctor,
    named_first,
    prove,
    safe_answers,
    wait_until_healthy,
)

pytestmark = pytest.mark.servers


def marked(condition: Condition) -> Any:
    marks = [] if condition.quick else [pytest.mark.exhaustive]
    if condition.root:
        not_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
        marks += [pytest.mark.root, not_root]
    return pytest.param(condition, id=condition.runbook, marks=marks)


@pytest.mark.parametrize("condition", [marked(each) for each in ALL])
def test_a_runbook_ends_its_condition(
    shared_lab: Lab, table: list[Row], tmp_path: Path, condition: Condition
) -> None:
    table.append(prove(shared_lab, condition, tmp_path))


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
    answers.write_text(yaml.safe_dump({**safe_answers(runbook), **condition.answers}))
    for place in range(1, len(catalogue()[runbook].steps)):
        wait_until_healthy(shared_lab, condition.settle)
        made = cast("AbstractContextManager[Hand]", condition.make(shared_lab))
        with made:
            words = shlex.split(named_first(shared_lab, runbook).command)[1:]
            _killed_after(shared_lab, [*words, "--answers", str(answers), "--anew"], place)
            if runs(shared_lab.context.layout.root)[-1].closed is None:  # killed before its end
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
