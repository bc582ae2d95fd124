"""`runbook` and `doctor` on the command line, as far as they need no cluster."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cluster.clock import SYSTEM_CLOCK
from cluster.errors import InvalidInputError
from cluster.topology import Sla
from runbooks.catalogue import catalogue
from runbooks.commands import OwnCommands
from runbooks.model import SlaClock
from runbooks.proofs import Proof, Proofs, add, proofs, steps_digest
from runbooks.runner import UnansweredError
from skillswap_ops.main import cli
from skillswap_ops.runbooking import Answering, read_answers, sla_seconds, takes


def run(*words: str, code: int = 0) -> str:
    ended = CliRunner().invoke(cli, list(words))
    assert ended.exit_code == code, ended.output
    return ended.output


def test_the_list_says_of_each_whether_it_was_proved() -> None:
    rows = json.loads(run("runbook", "list", "--output", "json"))
    assert [row["id"] for row in rows] == list(catalogue())
    assert {row["proof"] for row in rows} <= {"proved", "changed", "none", "impossible"}
    assert {row["id"] for row in rows if row["not_local"]} == {
        "clock-skew",
        "pg-major-upgrade",
    }
    shown = run("runbook", "list")
    assert all(name in shown for name in catalogue())


def test_show_prints_the_page() -> None:
    shown = run("runbook", "show", "pg-pitr")
    assert "When to escalate" in shown
    assert "hides:" not in shown
    page = json.loads(run("runbook", "show", "pg-pitr", "--output", "json"))
    assert page["steps"][0]["id"] == "stopped"


def test_a_dry_run_shows_the_commands_with_arguments_filled_in_and_needs_no_cluster() -> None:
    words = ("runbook", "run", "pg-pitr", "--dry-run", "--to", "10m ago", "--output", "json")
    steps = json.loads(run(*words))
    [restore] = [step for step in steps if step["id"] == "restore"]
    assert restore["what"] == "skillswap-ops restore pg --to 10m ago --in-place"
    assert restore["asks"] == "always asks"
    assert "<member>" in run("runbook", "run", "pg-sync-standby-lost", "--dry-run")


def test_what_a_run_needs_is_said() -> None:
    ended = CliRunner().invoke(cli, ["runbook", "run", "mongo-primary-lost"])
    assert isinstance(ended.exception, InvalidInputError)
    assert "needs --shard" in ended.exception.message
    assert "--shard" in run("runbook", "run", "mongo-primary-lost", "--help")
    run("runbook", "run", "mongo-primry-lost", code=2)
    ended = CliRunner().invoke(cli, ["runbook", "show", "mongo-primry-lost"])
    assert isinstance(ended.exception, InvalidInputError)
    assert 'did you mean "mongo-primary-lost"?' in ended.exception.message


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["provision"], False),
        (["dr", "promote"], True),
        (["restore", "pg", "--to", "x", "--in-place"], True),
        (["backup", "run", "mongo"], False),
        (["drill", "heal", "--purge"], True),
        (["nothing"], False),
    ],
)
def test_which_commands_ask(words: list[str], wanted: bool) -> None:
    assert takes(words, "--yes") is wanted


def test_which_commands_take_a_cluster() -> None:
    assert takes(["provision"], "--home")
    assert not takes(["topology", "check", "my.yaml"], "--home")


def test_answers_are_text_true_or_false(tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text('start: true\ncause: locked\nwell: false\nx: "yes"\n')
    assert read_answers(path) == {"start": "yes", "cause": "locked", "well": "no", "x": "yes"}
    assert read_answers(None) == {}
    for wrong, says in [
        ("start: 3", "must be text"),
        ("[1]", "must be a mapping"),
        ("a: yes", "must be true or false"),
        ("a: {", "is not valid YAML"),
    ]:
        path.write_text(wrong)
        with pytest.raises(InvalidInputError, match=says):
            read_answers(path)


def test_yes_agrees_to_safe_steps_alone() -> None:
    yes = Answering({}, yes=True)
    assert yes.answer("start", "?", ("yes", "no"), safe=True) == "yes"
    with pytest.raises(UnansweredError, match="asks"):
        yes.answer("promote", "?", ("yes", "no"), safe=False)
    with pytest.raises(UnansweredError, match="asks"):
        Answering({}, yes=False).answer("start", "?", ("yes", "no"), safe=True)
    with pytest.raises(UnansweredError, match="must be yes or no"):
        Answering({"start": "perhaps"}, yes=True).answer("start", "?", ("yes", "no"), safe=True)


def test_the_clock_is_the_topologys() -> None:
    assert sla_seconds(Sla(), SlaClock.MONGO_RTO) == 600
    assert sla_seconds(Sla(), SlaClock.POSTGRES_RTO) == 120
    assert sla_seconds(Sla(), SlaClock.NONE) is None


def test_a_proof_is_of_the_page_as_it_was(tmp_path: Path) -> None:
    runbook = catalogue()["router-lost"]
    record = tmp_path / "proofs.json"
    proof = Proof(
        on="2026-11-26", condition="killed", named_after=1.0, took=9.6, promised=600.0,
        digest=steps_digest(runbook),
    )  # fmt: skip
    add(record, runbook.id, proof)
    add(record, "other", proof.model_copy(update={"digest": "x"}))
    found = Proofs({name: Proof(**one) for name, one in json.loads(record.read_text()).items()})
    assert found.of(runbook).words == "proved 2026-11-26, 10 s"
    assert Proofs({runbook.id: found.each["other"]}).of(runbook).state == "changed"
    assert Proofs({}).of(runbook).words == "not proved"
    skew = catalogue()["clock-skew"]
    assert Proofs({}).of(skew).words.startswith("not proved: all servers of the local target share")
    assert Proofs({skew.id: proof}).of(skew).state == "impossible"
    assert not {name for name in proofs().each if catalogue()[name].front.not_local}
    assert set(proofs().each) <= set(catalogue())


def test_a_commands_output_goes_to_a_file_and_to_the_screen(tmp_path: Path) -> None:
    lines: list[str] = []
    spawned: list[tuple[int, float]] = []
    code = "import sys; print('one'); print('two'); print(sys.argv[1:], end=''); sys.exit(3)"
    commands = OwnCommands(
        (sys.executable, "-c", code), ("--home", "h"), lambda *_: True, SYSTEM_CLOCK
    )
    ended = commands.run(
        ["dr", "promote"],
        tmp_path / "out",
        seconds=60,
        agreed=True,
        spawned=lambda pid, created: spawned.append((pid, created)),
        line=lines.append,
    )
    assert ended == 3
    assert lines[:2] == ["one", "two"]
    assert lines[2] == "['dr', 'promote', '--home', 'h', '--yes']"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    assert spawned[0][1] > 0
    commands.await_end(*spawned[0], seconds=1)


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["topology", "check", "my.yaml"], []),  # it takes no cluster
        (["status"], ["--home", "h", "--topology", "old.yaml"]),
        # click takes the last one: the file of add-shard would be passed over for the run's own.
        (["provision", "--topology", "new.yaml"], ["--home", "h"]),
    ],
)
def test_a_command_is_given_what_it_takes_and_lacks(
    tmp_path: Path, words: list[str], given: list[str]
) -> None:
    code = "import sys; print(sys.argv[1:])"
    selection = ("--home", "h", "--topology", "old.yaml")
    lines: list[str] = []
    OwnCommands((sys.executable, "-c", code), selection, takes, SYSTEM_CLOCK).run(
        words,
        tmp_path / "out",
        seconds=60,
        agreed=True,
        spawned=lambda _pid, _created: None,
        line=lines.append,
    )
    assert lines == [str([*words, *given])]
