"""When drills are due again, how two runs compare, and what the commands say of both."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cluster.drill.compare import compare
from cluster.drill.contracts import Prediction, Range
from cluster.drill.due import QUARTER, Wanted, due
from cluster.drill.past_run import PastRun
from cluster.drill.publish.history_page import history_page
from cluster.drill.publish.paths import Scale
from cluster.drill.report import Stamps, write_summary
from cluster.drill.runner import conclude
from cluster.drill.verdict import Conclusion
from cluster.errors import InvalidInputError
from cluster.topology_file import SHIPPED
from skillswap_ops.drill_history_view import BAR, bar
from skillswap_ops.drill_records import two_runs
from skillswap_ops.main import cli
from tests.unit.drill_samples import MadeUp
from tests.unit.past_runs import FIRST, past

DRILL = Wanted("pg-node-kill")
LATE_THAT_DAY = FIRST.replace(hour=23, minute=59)


def when(runs: list[PastRun], days_later: int, days: int = QUARTER):  # type: ignore[no-untyped-def]
    [found] = due([DRILL], runs, LATE_THAT_DAY + timedelta(days=days_later), days)
    return found


# Due


def test_a_run_counts_until_the_end_of_its_last_day() -> None:
    assert not when([past()], QUARTER).overdue
    late = when([past()], QUARTER + 1)
    assert late.overdue
    assert late.due == date(2026, 6, 1)
    assert (late.last, late.verdict) == (FIRST, Conclusion.PASS)


@pytest.mark.parametrize("year", [2026, 2027, 2028])
def test_the_first_of_every_quarter_is_in_time(year: int) -> None:
    firsts = [datetime(year, month, 1, 3, tzinfo=UTC) for month in (1, 4, 7, 10)]
    firsts.append(datetime(year + 1, 1, 1, 3, tzinfo=UTC))
    for before, after in pairwise(firsts):
        [found] = due([DRILL], [past(began=before)], after + timedelta(hours=1), QUARTER)
        assert not found.overdue


def test_what_was_never_run_is_overdue_now() -> None:
    never = when([], 5)
    assert never.overdue
    assert never.last is None
    assert never.due == LATE_THAT_DAY.date() + timedelta(days=5)


def test_a_fail_counts_and_an_inconclusive_run_does_not() -> None:
    failed = past(0, verdict=Conclusion.FAIL)
    shrug = past(60, verdict=Conclusion.INCONCLUSIVE)
    found = when([failed, shrug, replace(shrug, folder="z")], 93)
    assert found.overdue
    assert (found.verdict, found.inconclusive) == (Conclusion.FAIL, 2)
    assert not when([failed, past(60, verdict=Conclusion.FAIL)], 93).overdue
    only = when([shrug], 60)
    assert (only.overdue, only.last, only.inconclusive) == (True, None, 1)


def test_an_inconclusive_run_before_a_pass_is_forgotten() -> None:
    assert when([past(0, verdict=Conclusion.INCONCLUSIVE), past(1)], 2).inconclusive == 0


def test_another_drills_run_counts_for_nothing() -> None:
    assert when([past(drill="pg-switchover")], 1).overdue


def test_the_most_urgent_comes_first() -> None:
    wanted = [Wanted(name) for name in ("a", "b", "c", "d")]
    runs = [past(0, drill="a"), past(5, drill="b"), past(90, drill="c")]
    found = due(wanted, runs, FIRST + timedelta(days=95), QUARTER)
    assert [(each.drill, each.overdue) for each in found] == [
        ("a", True),
        ("d", True),
        ("b", False),
        ("c", False),
    ]


# Compare


def regressions(before: PastRun, after: PastRun, tolerance: float = 0.2) -> tuple[str, ...]:
    return compare(before, after, tolerance).regressions


def test_growth_that_chance_explains_is_no_regression() -> None:
    assert regressions(past(0, 18.5), past(1, 24.9)) == ()  # a third more, 6.4 of 7 s


def test_growth_that_is_small_is_no_regression() -> None:
    assert regressions(past(0, 100.0), past(1, 119.0)) == ()  # more than 7 s, less than a fifth


def test_growth_beyond_both_is_a_regression() -> None:
    [said] = regressions(past(0, 20.0), past(1, 30.0))
    assert said.startswith("sustained RTO grew from 20.0 to 30.0 s: by 50%, more than 20%")
    assert "(7.0 s)" in said
    assert regressions(past(0, 20.0), past(1, 30.0), 0.6) == ()


def test_without_a_prediction_the_tolerance_alone_decides() -> None:
    bare = Prediction()
    assert regressions(past(0, 2.0, prediction=bare), past(1, 2.5, prediction=bare))
    assert not regressions(past(0, 2.0, prediction=bare), past(1, 2.3, prediction=bare))


def test_the_wider_prediction_counts() -> None:
    wide = Prediction(sustained=Range(5, 25))
    assert not regressions(past(0, 20.0), past(1, 30.0, prediction=wide))


def test_from_nothing_any_growth_beyond_chance_is_a_regression() -> None:
    [said] = regressions(past(0, 0.0), past(1, 8.0))
    assert said.startswith("sustained RTO grew from 0.0 to 8.0 s: more than")


def test_service_that_no_longer_comes_back() -> None:
    assert regressions(past(0), past(1, None, verdict=Conclusion.FAIL)) == (
        "passed before, and fails now",
        "service came back before, and does not now",
    )
    assert regressions(past(0), past(1, None, verdict=Conclusion.INCONCLUSIVE)) == ()
    assert regressions(past(0, None), past(1)) == ()


def test_more_lost_is_a_regression_and_not_read_is_not_nothing() -> None:
    assert regressions(past(0), past(1, lost=3)) == ("3 acknowledged writes were lost, 0 before",)
    assert regressions(past(0), past(1, lost=None)) == ()
    assert regressions(past(0, lost=4), past(1, lost=3)) == ()


def test_every_measure_stands_beside_the_other() -> None:
    pairs = {pair.name: pair for pair in compare(past(0, 20.0), past(1, 25.0, unknown=2)).pairs}
    assert pairs["sustained"].growth == 0.25
    assert pairs["sustained"].predicted == Range(18, 25, 21)
    assert (pairs["unknown"].before, pairs["unknown"].after) == (8, 2)
    assert pairs["lost"].growth is None


def test_two_drills_cannot_be_compared() -> None:
    with pytest.raises(InvalidInputError, match="pg-switchover"):
        compare(past(0), past(1, drill="pg-switchover"))


def test_which_two_runs_are_meant() -> None:
    runs = (past(0), past(1), past(2), past(3, drill="other"))
    assert two_runs(runs, ("pg-node-kill",)) == (past(1), past(2))
    assert two_runs(runs, ("20260303", "00000000")) == (past(0), past(2))
    for names, said in (
        (("other",), "other has 1 runs"),
        (("202603", "00000000"), "202603 is part of the names of 4 runs"),
        (("nothing", "00000000"), "nothing is part of the names of 0 runs"),
        (("00000000", "20260301"), "are one run"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            two_runs(runs, names)


# Plots


def test_a_bar_ends_where_service_came_back_over_what_was_predicted() -> None:
    scale = Scale(0, 46, 0, BAR)
    assert bar(past(0, 20.0), scale) == "━" * 20 + "●" + "░" * 5
    assert bar(past(0, 10.0), scale) == "━" * 10 + "●" + " " * 7 + "░" * 8
    assert bar(past(0, 20.0, prediction=Prediction()), scale) == "━" * 20 + "●"
    assert bar(past(0, None, verdict=Conclusion.FAIL), scale) == "service did not come back"
    assert bar(past(0, None, verdict=Conclusion.INCONCLUSIVE), scale) == "nothing was shown"


def test_the_page_asks_nothing_of_a_network_and_escapes_what_it_shows() -> None:
    untouched = past(3, None, drill="no-outage", rto=None)
    evil = past(2, 30.0, folder="20260303T120000Z-<script>alert(1)</script>")
    page = history_page([past(0), past(1, None), evil, untouched], "skillswap", FIRST)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not [word for word in ("http:", "https:", "src=", "@import", "url(") if word in page]
    assert page.count("<svg") == 1  # no chart where nothing had to come back
    assert page.count('class="dot pass"') == 2
    assert page.count('class="none pass"') == 1
    assert page.count('class="band"') == 3
    assert "SLA 120 s, far above" in page
    near = history_page([past(0, rto=40.0)], "skillswap", FIRST)
    assert 'class="sla-name"' in near


def test_the_line_breaks_where_service_did_not_come_back() -> None:
    page = history_page([past(0), past(1), past(2, None), past(3)], "skillswap", FIRST)
    [path] = [line for line in page.splitlines() if 'class="through"' in line]
    assert (path.count("M"), path.count("L")) == (2, 1)


# The commands


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A cluster that was provisioned once, and has no servers now."""
    cluster = tmp_path / "skillswap"
    cluster.mkdir()
    (cluster / "topology.yaml").write_text(SHIPPED.read_text("utf-8"), "utf-8")
    return tmp_path


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["drill", *words, "--home", str(home)])


def made(home: Path, began: datetime, sustained: float | None = 6.0) -> str:
    folder = home / "skillswap" / "drills" / "runs"
    folder /= f"{began:%Y%m%dT%H%M%SZ}-mongo-primary-kill-0123abcd"
    MadeUp().write(folder)
    summary = conclude(folder)
    stamps = Stamps(1.0, 4.0, 5.0, sustained)
    write_summary(replace(summary, began=began, stamps=stamps))
    return folder.name


def test_due_fails_until_everything_quarterly_was_run(home: Path) -> None:
    ended = run(home, "due", "-o", "json")
    assert ended.exit_code == 1
    before = {each["drill"]: each for each in json.loads(ended.stdout)}
    assert before["mongo-primary-kill"]["overdue"]
    assert before["mongo-primary-kill"]["last"] is None
    made(home, datetime.now(UTC))
    after = {each["drill"]: each for each in json.loads(run(home, "due", "-o", "json").stdout)}
    assert not after["mongo-primary-kill"]["overdue"]
    assert after["mongo-primary-kill"]["verdict"] == "pass"
    assert set(after) == set(before)
    assert after["pg-node-kill"]["overdue"]


def test_due_is_quiet_where_nothing_is_overdue(home: Path) -> None:
    made(home, datetime.now(UTC) - timedelta(days=100))
    assert run(home, "due", "--tag", "mongo").exit_code == 1
    table = run(home, "due").stdout
    assert "overdue by 8 days" in table
    assert "never run" in table
    assert max(map(len, table.splitlines())) <= 100


def test_history_lists_plots_and_writes_a_page(home: Path, tmp_path: Path) -> None:
    assert "No run yet" in run(home, "history").stderr
    made(home, FIRST)
    made(home, FIRST + timedelta(days=1), 9.0)
    listed = run(home, "history").stdout
    assert listed.index("20260301T120000Z") < listed.index("20260302T120000Z")
    assert max(map(len, listed.splitlines())) <= 100
    assert "20260301T120000Z" not in run(home, "history", "--limit", "1").stdout
    plotted = run(home, "history", "mongo-primary-kill", "--plot", "--html", str(tmp_path / "p"))
    assert plotted.stdout.count("●") == 2
    assert "mongo-primary-kill" in (tmp_path / "p").read_text("utf-8")
    [first, second] = json.loads(run(home, "history", "-o", "json").stdout)
    assert (first["stamps"]["sustained"], second["stamps"]["sustained"]) == (6, 9)
    assert first["began"].startswith("2026-03-01T12:00:00")
    assert type(run(home, "history", "nothing").exception).__name__ == "InvalidInputError"


def test_compare_fails_on_a_regression_where_asked(home: Path) -> None:
    made(home, FIRST)
    made(home, FIRST + timedelta(days=1), 60.0)
    plain = run(home, "compare", "mongo-primary-kill")
    assert plain.exit_code == 0
    assert "Regression: sustained RTO grew from 6.0 to 60.0 s: by 900%" in plain.stdout
    assert run(home, "compare", "mongo-primary-kill", "--fail-on-regression").exit_code == 1
    tolerant = ("--fail-on-regression", "--tolerance", "1000")
    assert run(home, "compare", "20260301", "20260302", *tolerant).exit_code == 0
    said = json.loads(run(home, "compare", "20260302", "20260301", "-o", "json").stdout)
    assert said["before"]["began"] < said["after"]["began"]
    assert run(home, "compare", "a", "b", "c").exit_code == 2


def test_without_a_cluster_there_is_no_history(tmp_path: Path) -> None:
    for words in (("history",), ("due",), ("compare", "pg-node-kill")):
        assert type(run(tmp_path, *words).exception).__name__ == "InvalidInputError"
    assert not list(tmp_path.iterdir())
