"""`drill` without a cluster: what is chosen, how a series goes on or stops, what is shown."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from rich.console import Console

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Observation
from cluster.drill.events import Event, Happening, Injected, Observed, Phase, PhaseBegan, Undone
from cluster.drill.evidence import runs
from cluster.drill.leftovers import why_kept
from cluster.drill.meter import Live
from cluster.drill.report import RunSummary
from cluster.drill.runner import Hooks, Options, run_drill
from cluster.errors import InvalidInputError
from skillswap_ops import soak_work
from skillswap_ops.catalogue import all_drills
from skillswap_ops.drill_alerts import BY_DRILL
from skillswap_ops.drill_live import Scene, Trails, draw
from skillswap_ops.drill_repeats import Spread, repeated
from skillswap_ops.drill_series import (
    End,
    NotRun,
    Skipped,
    Turn,
    Wishes,
    run_series,
    worst_exit_code,
)
from skillswap_ops.drill_view import records
from skillswap_ops.drilling import chosen, tagged, turns, why_skipped
from skillswap_ops.main import cli
from skillswap_ops.options import Selection
from skillswap_ops.soak import SAFE, pool
from skillswap_ops.wiring import LocalContext, local_context
from tests.unit.drill_fakes import RULES, FakeCluster, drill, quicken

SECOND = 1_000_000_000


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return local_context(Selection(None, tmp_path, None, "local", "table"))


def spec(name: str, skip: str = "") -> DrillSpec:
    def never(_: Context) -> Drill:
        raise AssertionError(name)

    return DrillSpec(name, "holds", "a kill", "all", 1, never, skip=lambda _: skip)


@dataclass
class Audience:
    """Remembers what it is told."""

    begun: list[Turn] = field(default_factory=list)
    ended: list[End] = field(default_factory=list)
    waited: list[str] = field(default_factory=list)

    def begins(self, turn: Turn) -> Hooks:
        self.begun.append(turn)
        return Hooks()

    def ends(self, end: End) -> None:
        self.ended.append(end)

    def waits(self, lacks: str) -> None:
        self.waited.append(lacks)


@dataclass
class FakeClock:
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def series(
    names: Sequence[str],
    wishes: Wishes,
    ends: Mapping[str, RunSummary | NotRun],
    lacks: Callable[[], str] = lambda: "",
) -> tuple[list[End], Audience]:
    """Runs of drills whose ends are given; a name that begins with "no " is skipped."""
    audience = Audience()
    todo = [Turn(spec(name), 0, 1, "no right" if name.startswith("no ") else "") for name in names]

    def run(turn: Turn) -> RunSummary | NotRun:
        audience.begins(turn)
        return ends[turn.spec.name]

    return run_series(todo, wishes, run, lacks, audience, FakeClock()), audience


def test_every_turn_has_a_seed_of_its_own_and_a_skipped_drill_has_one_turn(
    context: LocalContext,
) -> None:
    wishes = Wishes(seed=7, repeat=3)
    todo = turns(context, [spec("one"), spec("none", skip="there is one router")], wishes)
    assert [(turn.spec.name, turn.seed) for turn in todo] == [
        ("one", 7),
        ("one", 8),
        ("one", 9),
        ("none", 7),
    ]
    assert [turn.why for turn in todo] == ["", "", "", "there is one router"]


def test_a_series_stops_where_the_cluster_does_not_get_whole(two_runs: list[RunSummary]) -> None:
    passed = {"first": replace(two_runs[0], drill="first")}
    wishes = Wishes(seed=1, whole_within=30)
    names = ["first", "second", "no third", "fourth"]
    ends, audience = series(names, wishes, passed, lambda: "shard-a-1 is down")
    why = "after first the cluster was not whole: not within 30 s: shard-a-1 is down"
    assert ends == [
        passed["first"],
        NotRun("second", why),
        Skipped("no third", "no right"),
        NotRun("fourth", why),
    ]
    assert audience.ended == ends
    assert audience.waited == ["shard-a-1 is down"]
    assert worst_exit_code(ends) == 3


def test_a_series_waits_for_the_cluster_and_ctrl_c_ends_the_wait(
    two_runs: list[RunSummary],
) -> None:
    ends = dict.fromkeys(("first", "second"), two_runs[0])
    answers = iter(["shard-a-1 is down", "shard-a-1 is down", ""])
    _, audience = series(list(ends), Wishes(seed=1), ends, lambda: next(answers))
    assert [turn.spec.name for turn in audience.begun] == ["first", "second"]

    def interrupted() -> str:
        raise KeyboardInterrupt

    found, _ = series(list(ends), Wishes(seed=1), ends, interrupted)
    assert found[1] == NotRun("second", "interrupted")


@pytest.mark.parametrize(
    ("change", "fail_fast", "why"),
    [
        ({"not_undone": ("SIGKILL a1",)}, False, "the fault of fake-kill is still in place"),
        ({"interrupted": True}, False, "fake-kill was interrupted"),
        ({"exit_code": 3}, True, "fake-kill did not pass, and --fail-fast"),
        ({"exit_code": 1}, False, ""),
        ({}, True, ""),
    ],
)
def test_what_ends_a_series(
    two_runs: list[RunSummary], change: dict[str, object], fail_fast: bool, why: str
) -> None:
    ends = {"first": replace(two_runs[0], **change), "second": two_runs[0]}  # type: ignore[arg-type]
    found, _ = series(list(ends), Wishes(seed=1, fail_fast=fail_fast), ends)
    assert found[1] == (NotRun("second", why) if why else two_runs[0])


def test_a_drill_that_was_not_run_does_not_keep_the_next_one(two_runs: list[RunSummary]) -> None:
    dead = NotRun("dead", "nobody leads payments")
    ends: dict[str, RunSummary | NotRun] = {"dead": dead, "next": two_runs[0]}
    found, _ = series(list(ends), Wishes(seed=1), ends)
    assert found == list(ends.values())
    assert worst_exit_code(found) == 3


@pytest.mark.parametrize(
    ("codes", "worst"), [((), 0), ((0, 3), 3), ((0, 3, 1), 1), ((1, 4, 3), 4), ((0, 0), 0)]
)
def test_the_worst_exit_code_wins_and_skipped_ones_have_none(
    codes: tuple[int, ...], worst: int
) -> None:
    ends: list[End] = [NotRun("any", "", code) for code in codes]
    assert worst_exit_code([*ends, Skipped("other", "no right")]) == worst


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunSummary]:
    """One that passes with its rows kept, one that loses three."""
    folder = tmp_path_factory.mktemp("drills")
    options = partial(Options, tool="0", rules=RULES)
    with pytest.MonkeyPatch.context() as patch:
        quicken(patch)
        return [
            run_drill(drill(FakeCluster()), folder, options(seed=1, keep_data=True)),
            run_drill(drill(FakeCluster(lose=3)), folder, options(seed=2)),
        ]


def test_repeated_runs_have_a_median_a_maximum_and_counted_verdicts(
    two_runs: list[RunSummary],
) -> None:
    [found] = repeated([*two_runs, Skipped("other", "no right")])
    assert found.verdicts == {"pass": 1, "fail": 1}
    assert found.seeds == (1, 2)
    assert found.lost == Spread(1.5, 3, 2)
    elected = sorted(run.stamps.elected or 0 for run in two_runs)
    assert found.stamps["elected"] == Spread(sum(elected) / 2, elected[1], 2)
    assert repeated([two_runs[0], Skipped("other", "no right")]) == ()


def test_json_has_an_object_a_run_or_one_around_repeated_ones(two_runs: list[RunSummary]) -> None:
    skipped = Skipped("other", "no right")
    single = json.loads(json.dumps(records([two_runs[0], skipped])))
    assert [each["conclusion"] for each in single] == ["pass", "skipped"]
    [whole, last] = json.loads(json.dumps(records([*two_runs, skipped])))
    assert [run["conclusion"] for run in whole["runs"]] == ["pass", "fail"]
    assert whole["stamps"]["elected"]["seen"] == 2
    assert last == {"drill": "other", "conclusion": "skipped", "why": "no right"}


def test_rows_stay_where_they_are_evidence_or_kept_as_asked(two_runs: list[RunSummary]) -> None:
    drills = two_runs[0].folder.parent.parent
    assert why_kept(drills, two_runs[0].run) == "kept as asked"
    assert why_kept(drills, two_runs[1].run) == "its run failed: they are evidence"
    assert why_kept(drills, "00000000") == ""
    killed = runs(drills)[0].parent / "20260101T000000Z-mongo-primary-kill-12345678"
    killed.mkdir()
    assert why_kept(drills, "12345678") == ""


def test_the_panel_shows_fault_leader_rates_and_errors_in_100_columns() -> None:
    shown = _panel(undone=False)
    assert max(map(len, shown.splitlines())) <= 100
    for part in ("SIGKILL shard-a-2, 4 s ago", "shard-a: nobody", "12/50", "340 ms", "recovery"):
        assert part in shown, shown
    assert "last error of shard-a majority, retries on: NotWritablePrimary" in shown
    assert "undone" in _panel(undone=True)


def _panel(*, undone: bool) -> str:
    scene, events = Scene("mongo-primary-kill · seed 7", 0), _events(undone=undone)
    for event in events:
        scene.take(event)
    streams = (
        Live("shard-a majority, retries on", 50, 12, 7, 3, 2, 1, "NotWritablePrimary", 0.34),
        Live("shard-a majority, retries off", 50, 0, 0, 9999, 99999, 9999, "", None),
    )
    trails = Trails()
    for half in range(60):
        trails.add(streams, half * SECOND // 2)
    with (console := Console(width=100)).capture() as shown:
        console.print(draw(scene, streams, trails, 16 * SECOND))
    return shown.get()


def _events(*, undone: bool) -> list[Event]:
    at = 12 * SECOND
    what: list[Happening] = [
        Observed(group="shard-a", began_ns=0, observation=Observation(("shard-a-2",), 1)),
        Injected(entry="1", fault="SIGKILL shard-a-2", began_ns=at, at_ns=at, proof="gone"),
        PhaseBegan(phase=Phase.RECOVERY),
        Observed(group="shard-a", began_ns=at, observation=Observation((), 1)),
    ]
    what += [Undone(entry="1", fault="SIGKILL shard-a-2")] if undone else []
    return [Event(ns=at, utc=datetime.now(UTC), what=each) for each in what]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["drill", "run", "--all", "pg-node-kill"], 2, "one of the three"),
        (["drill", "run", "--tag", "nix"], 2, "no drill is tagged nix"),
        (["drill", "run", "--all", "--repeat", "0"], 2, "--repeat"),
        (["drill", "run", "--all", "--phase", "soon"], 2, "must be `random` or seconds"),
        (["drill", "run", "pg-node-kill", "--minutes", "3"], 2, "--minutes is for chaos-soak"),
        (["drill", "run", "pg-node-kill", "--steps", "a"], 2, "--steps is for chaos-soak"),
        (["drill", "run", "pg-node-kill", "--shrink", "2"], 2, "--shrink is for chaos-soak"),
        (["drill", "run", "chaos-soak", "--steps", "a:b"], 2, "`a:b` is no step of a soak"),
        (["drill", "run", "chaos-soak", "--steps", "a", "--minutes", "1"], 2, "give one"),
        (["drill", "show", "nix"], 2, "there is no drill nix"),
        (["drill", "heal", "--yes"], 2, "there is no cluster"),
    ],
)
def test_wrong_words_are_refused(tmp_path: Path, words: list[str], code: int, says: str) -> None:
    result = CliRunner().invoke(cli, [*words, "--home", str(tmp_path)])
    said = result.output + str(result.exception)
    assert says in said
    assert result.exit_code == code or isinstance(result.exception, InvalidInputError)


def test_a_soak_draws_on_both_engines_and_on_no_control(context: LocalContext) -> None:
    specs = {spec.name: spec for spec in all_drills()}
    assert [name for name in SAFE if "control" in specs[name].tags] == []
    drawn = {spec.name for spec in pool(context)}
    assert not {name for name in drawn if name.startswith(soak_work.WORD)}  # those names are taken
    able = {name for name in SAFE if not why_skipped(context, specs[name])}
    assert drawn == able
    assert {tag for name in drawn for tag in specs[name].tags} >= {"mongo", "postgres"}


def test_list_and_show_need_no_cluster(tmp_path: Path) -> None:
    home = ["--home", str(tmp_path)]
    everything = CliRunner().invoke(cli, ["drill", "list", "-o", "json", *home])
    names = [each["name"] for each in json.loads(everything.stdout)]
    assert names == [each.name for each in all_drills()]
    some = CliRunner().invoke(cli, ["drill", "list", "--tag", "postgres", "-o", "json", *home])
    assert all("postgres" in each["tags"] for each in json.loads(some.stdout))
    assert 0 < len(json.loads(some.stdout)) < len(names)
    card = json.loads(
        CliRunner().invoke(cli, ["drill", "show", "pg-node-kill", "-o", "json", *home]).stdout
    )
    assert card["live"] is None
    assert card["alerts"] == list(BY_DRILL[card["name"]])
    assert "no cluster" in card["not_live"]
    for words in (["list"], ["show", "mongo-primary-kill"]):
        shown = CliRunner().invoke(cli, ["drill", *words, *home])
        assert shown.exit_code == 0, shown.output
        assert max(map(len, shown.stdout.splitlines())) <= 100
    assert list(tmp_path.iterdir()) == []


def test_names_and_tags_are_completed() -> None:
    def completed(words: list[str], incomplete: str) -> list[str]:
        shell = ShellComplete(cli, {}, "skillswap-ops", "_SKILLSWAP_OPS_COMPLETE")
        return [item.value for item in shell.get_completions(words, incomplete)]

    mongo = [each.name for each in all_drills() if each.name.startswith("mongo-")]
    assert completed(["drill", "run"], "mongo-") == mongo
    assert completed(["drill", "show"], "pg-node") == ["pg-node-kill"]
    assert completed(["drill", "run", "--tag"], "fail") == ["failover"]


def test_a_tag_selects_and_a_name_counts_once() -> None:
    assert {each.name for each in tagged(["failover"])} == {
        each.name for each in all_drills() if "failover" in each.tags
    }
    assert len(chosen(["pg-node-kill", "pg-node-kill"])) == 1
