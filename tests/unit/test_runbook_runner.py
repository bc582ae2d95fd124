"""A run against a made-up cluster: every way through it, and every place to be killed at."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cluster.drill.publish.mask import Mask
from cluster.errors import UnreachableError
from runbooks.catalogue import parse
from runbooks.journal import FILE, Begun, Ended, Entry, Journal, Opened, Spawned, load, runs
from runbooks.progress import MOST_VISITS, Over, Position, after, position
from runbooks.runner import Ports, Runner, UnansweredError
from runbooks.timeline import clock_text, timeline
from tests.unit.runbook_samples import PAGE, FakeWorld

RUNBOOK = parse(PAGE, "sample.md")
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Killed(BaseException):
    """As by SIGKILL: nobody catches it."""


class Clock:
    def __init__(self, world: FakeWorld) -> None:
        self._world = world

    def monotonic(self) -> float:
        return self._world.time

    def sleep(self, seconds: float) -> None:
        self._world.time += seconds


class Screen:
    def __init__(self, world: FakeWorld) -> None:
        self._world = world

    def step(self, titled: Any, what: str, *, again: bool) -> None:
        self._world.lines.append(f"{titled.step.id}: {what}{' again' if again else ''}")

    def output(self, text: str) -> None:
        self._world.lines.append(text)

    def ended(self, ended: Ended) -> None:
        self._world.lines.append(f"{ended.step} {ended.outcome}")


class Person:
    def __init__(self, world: FakeWorld) -> None:
        self._world = world

    def answer(self, step: str, question: str, choices: tuple[str, ...], *, safe: bool) -> str:
        if step in self._world.answers:
            return self._world.answers[step]
        if safe:
            return "yes"
        raise UnansweredError(question)


class Commands:
    """`provision` starts what is down; `die` kills the runner at a place within."""

    def __init__(self, world: FakeWorld, die: str = "") -> None:
        self._world, self._die = world, die

    def run(
        self,
        words: list[str],
        output: Path,
        *,
        seconds: float,
        agreed: bool,
        spawned: Callable[[int, float], None],
        line: Callable[[str], None],
    ) -> int:
        spawned(4711, 1.5)
        output.write_text(f"did {words} hunter2hunter2")
        if words == ["provision"]:
            assert agreed
            self._world.started += 1
            if self._die == "before":
                raise Killed
            if self._world.fail_start:
                self._world.fail_start -= 1
                return 1
            self._world.serving = 3
            if self._die == "after":
                raise Killed
        return 0

    def await_end(self, pid: int, created: float, seconds: float) -> None:
        self._world.awaited.append(pid)


def opened(tmp_path: Path) -> Path:
    folder = tmp_path / "runbooks" / "20261126T120000.000000Z-sample"
    Journal(folder).append(
        Opened(
            at=NOON, who="ada", runbook="sample", arguments={"shard": "shard-a"}, incident=NOON,
            digest="x",
        )
    )  # fmt: skip
    return folder


def runner(
    world: FakeWorld,
    folder: Path,
    *,
    die: str = "",
    written: Callable[[Entry], None] = lambda _: None,
) -> Runner:
    ports = Ports(
        screen=Screen(world),
        person=Person(world),
        commands=Commands(world, die),
        actions={"mongo-stepdown": world.stepdown},
        look=world.look,
        mask=Mask(["hunter2hunter2"]).text,
        clock=Clock(world),
        who="ada",
        now=lambda: NOON + timedelta(seconds=world.time),
    )
    return Runner(RUNBOOK, Journal(folder, written), ports)


def outcomes(folder: Path) -> list[tuple[str, str]]:
    return [(one.step, one.outcome) for one in load(folder).entries if isinstance(one, Ended)]


def test_a_run_does_every_step_once_and_closes(tmp_path: Path) -> None:
    world, folder = FakeWorld(), opened(tmp_path)
    assert runner(world, folder).go(resuming=False) == Over(done=True)
    assert outcomes(folder) == [
        (name, "ok") for name in ("look", "ask", "start", "stepdown", "level", "gone")
    ]
    assert (world.started, world.stepped) == (1, 1)
    assert load(folder).closed is not None
    assert runner(world, folder).go(resuming=True) == Over(done=True)
    assert (world.started, world.stepped) == (1, 1)


def entries_of_a_run(tmp_path: Path) -> int:
    folder = opened(tmp_path / "count")
    runner(FakeWorld(), folder).go(resuming=False)
    return len(load(folder).entries)


@pytest.mark.parametrize("at", range(1, 15))
def test_killed_after_any_entry_it_goes_on_and_changes_nothing_twice(
    tmp_path: Path, at: int
) -> None:
    assert entries_of_a_run(tmp_path) == 16
    world, folder, count = FakeWorld(), opened(tmp_path), 0

    def killer(_: Entry) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise Killed

    with pytest.raises(Killed):
        runner(world, folder, written=killer).go(resuming=False)
    assert runner(world, folder).go(resuming=True) == Over(done=True)
    assert (world.started, world.stepped) == (1, 1)
    steps = [step for step, _ in outcomes(folder)]
    assert steps == ["look", "ask", "start", "stepdown", "level", "gone"]


@pytest.mark.parametrize(
    ("die", "outcome", "started"), [("before", "ok", 2), ("after", "found done", 1)]
)
def test_a_command_that_was_cut_off_is_looked_at_before_it_is_repeated(
    tmp_path: Path, die: str, outcome: str, started: int
) -> None:
    world, folder = FakeWorld(), opened(tmp_path)
    with pytest.raises(Killed):
        runner(world, folder, die=die).go(resuming=False)
    assert runner(world, folder).go(resuming=True).done
    assert ("start", outcome) in outcomes(folder)
    assert world.started == started
    assert world.awaited == [4711]


def test_a_step_that_fails_stops_and_is_tried_again_by_resume(tmp_path: Path) -> None:
    world, folder = FakeWorld(fail_start=1), opened(tmp_path)
    over = runner(world, folder).go(resuming=False)
    assert over == Over(done=False, why="read the log")
    assert world.stepped == 0
    assert runner(world, folder).go(resuming=True).done
    assert [one for one in outcomes(folder) if one[0] == "start"] == [
        ("start", "failed"),
        ("start", "ok"),
    ]


def test_an_answer_can_lead_elsewhere_or_stop(tmp_path: Path) -> None:
    world, folder = FakeWorld(serving=3), opened(tmp_path)
    world.answers["ask"] = "later"
    assert runner(world, folder).go(resuming=False).done
    assert [step for step, _ in outcomes(folder)] == ["look", "ask", "gone"]
    other = opened(tmp_path / "other")
    world.answers["ask"] = "no"
    assert not runner(world, other).go(resuming=False).done
    world.answers["ask"] = "yes"
    assert runner(world, other).go(resuming=True).done


def test_what_nobody_answers_is_asked_again(tmp_path: Path) -> None:
    world, folder = FakeWorld(answers={"ask": "yes"}), opened(tmp_path)
    with pytest.raises(UnansweredError):
        runner(world, folder).go(resuming=False)  # `stepdown` is not marked safe
    assert (world.started, world.stepped) == (1, 0)
    world.answers["stepdown"] = "no"
    assert runner(world, folder).go(resuming=True).done
    assert ("stepdown", "skipped") in outcomes(folder)
    assert (world.started, world.stepped) == (1, 0)


def test_a_wait_that_is_in_vain_leads_back_and_ends_after_some_rounds(tmp_path: Path) -> None:
    world, folder = FakeWorld(), opened(tmp_path)
    world.look = lambda kinds: FakeWorld(serving=1).look(kinds)  # type: ignore[method-assign]
    over = runner(world, folder).go(resuming=False)
    assert not over.done
    assert f"{MOST_VISITS} times" in over.why


def test_an_error_of_a_command_is_a_failed_step(tmp_path: Path) -> None:
    world, folder = FakeWorld(), opened(tmp_path)
    world.stepdown = None  # type: ignore[assignment, method-assign]

    def broken(values: Any, say: Any) -> str:
        raise UnreachableError("shard-a-1 does not answer", "look")

    world.stepdown = broken  # type: ignore[method-assign]
    assert runner(world, folder).go(resuming=False).done  # the page says to go on
    assert ("stepdown", "failed") in outcomes(folder)


def test_no_secret_is_in_the_journal(tmp_path: Path) -> None:
    world, folder = FakeWorld(), opened(tmp_path)
    runner(world, folder).go(resuming=False)
    text = (folder / FILE).read_text()
    assert "hunter2hunter2" not in text
    kept = {path.name: path.read_text() for path in folder.glob("*.out")}
    assert kept == {
        "look-1.out": "did ['status'] ***",
        "start-1.out": "did ['provision'] ***",
    }
    assert "stepped down, by the password ***" in text
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_torn_line_counts_for_nothing(tmp_path: Path) -> None:
    world, folder = FakeWorld(), opened(tmp_path)
    journal = Journal(folder)
    journal.append(Begun(at=NOON, who="ada", step="look", kind="observe", what="x"))
    with (folder / FILE).open("ab") as file:
        file.write(b'{"entry":"ended","step":"look","outc')
    assert position(RUNBOOK, load(folder).entries) == Position("look", interrupted=True)
    assert runner(world, folder).go(resuming=True).done
    assert [run.name for run in runs(tmp_path)] == [folder.name]


def test_the_position_knows_the_command_that_ran() -> None:
    spawned = Spawned(at=NOON, who="ada", step="start", pid=7, created=2.0)
    entries = (
        Begun(at=NOON, who="ada", step="start", kind="do", what="x"),
        spawned,
    )
    assert position(RUNBOOK, entries) == Position("start", interrupted=True, spawned=spawned)


def test_where_a_step_leads() -> None:
    def ended(then: str, step: str = "b") -> Ended:
        return Ended(at=NOON, who="a", step=step, outcome="ok", then=then, seconds=0)

    ids = ["a", "b", "c"]
    assert after(ids, ended("go on")) == "c"
    assert after(ids, ended("stop")) == "b"
    assert after(ids, ended("a")) == "a"
    assert after(ids, ended("go on", "c")) is None


def test_the_timeline_is_markdown_that_holds_every_step(tmp_path: Path) -> None:
    world, folder = FakeWorld(), opened(tmp_path)
    runner(world, folder).go(resuming=False)
    text = timeline(load(folder), RUNBOOK, 600.0)
    assert text.startswith("# A sample\n")
    assert "of 10:00 that the SLA gives" in text
    for step in ("look", "ask", "start", "stepdown", "level", "gone"):
        assert f"| {step} |" in text
    assert "| ada |" in text
    assert "    did ['provision'] ***" in text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (65, "1:05"), (3725.9, "1:02:05")])
def test_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text
