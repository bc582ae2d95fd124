"""Time to detect by alert: what is watched beside a drill, and what is said of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from cluster.context import Context
from cluster.drill.checkers.alerts import ALERTS
from cluster.drill.contracts import Alerts
from cluster.drill.events import AlertChanged, AlertsWatched, Happening, Overload
from cluster.drill.publish import page, textfile
from cluster.drill.report import RunSummary
from cluster.drill.runner import Options, conclude_whole, run_drill
from cluster.drill.verdict import Conclusion, Validity
from cluster.errors import UnreachableError
from cluster.target import Target
from manifests.monitoring import local, rules
from skillswap_ops import drill_alerts
from skillswap_ops.catalogue import all_drills
from tests.unit.drill_fakes import RULES, FakeCluster, drill, quicken
from tests.unit.drill_samples import FAULT, UNDO, MadeUp
from tests.unit.postgres_samples import context

DOWN = "MemberDown"
Changes = Sequence[tuple[float, Happening]]


def fires(at: float) -> tuple[float, Happening]:
    return at, AlertChanged(alert=DOWN, firing=True)


def clears(at: float) -> tuple[float, Happening]:
    return at, AlertChanged(alert=DOWN, firing=False)


def watched(allowed: float = 15.0) -> tuple[float, Happening]:
    return 0.0, AlertsWatched(expected={DOWN: allowed})


# What is said of it


@pytest.mark.parametrize(
    ("changes", "validity", "message"),
    [
        (
            [watched(), fires(FAULT + 12), clears(UNDO + 6)],
            Validity.VALID,
            "fired 12.0 s after the fault (allowed 15 s), clear 6.0 s after the undo",
        ),
        (
            [watched(), fires(FAULT + 12), clears(UNDO - 1)],
            Validity.VALID,
            "fired 12.0 s after the fault (allowed 15 s), clear 0.0 s after the undo",
        ),
        (
            [watched(), fires(FAULT + 16), clears(UNDO + 6)],
            Validity.INVALID,
            "fired 16.0 s after the fault (allowed 15 s), clear 6.0 s after the undo",
        ),
        (
            [watched(), fires(FAULT + 12)],
            Validity.INVALID,
            "fired 12.0 s after the fault (allowed 15 s), it did not clear",
        ),
        (
            [watched(), fires(FAULT + 2), clears(UNDO + 1), fires(UNDO + 3)],
            Validity.INVALID,
            "fired 2.0 s after the fault (allowed 15 s), it did not clear",
        ),
        ([watched()], Validity.INVALID, "did not fire in 19.0 s of the fault, allowed 15 s"),
        (
            [watched(60.0)],
            Validity.VALID,
            "did not fire: the fault was there for 19.0 s, and it may take 60 s",
        ),
        (
            [watched(), fires(2.0), clears(UNDO + 1)],
            Validity.UNKNOWN,
            "fired already when the fault came",
        ),
        (
            [watched(), fires(2.0), clears(3.0), fires(FAULT + 1), clears(UNDO + 1)],
            Validity.VALID,
            "fired 1.0 s after the fault (allowed 15 s), clear 1.0 s after the undo",
        ),
        (
            [watched(), (FAULT + 1, Overload(share=0.9, seconds=5))],
            Validity.UNKNOWN,
            "did not fire in 19.0 s of the fault, allowed 15 s; but this machine was overloaded "
            "(up to 90% of the time)",
        ),
    ],
    ids=[
        "in time", "clear before the undo", "late", "does not clear", "fires again", "silent",
        "undone before its time", "fired before", "fired and was clear before", "overloaded",
    ],
)  # fmt: skip
def test_an_expected_alert(
    tmp_path: Path, changes: Changes, validity: Validity, message: str
) -> None:
    summary = conclude_whole(MadeUp(more=changes).write(tmp_path / "run")).summary
    [finding] = [each for each in summary.findings if each.check == ALERTS]
    assert (finding.validity, finding.subject, finding.message) == (validity, DOWN, message)


def test_without_monitoring_nothing_is_said(tmp_path: Path) -> None:
    summary = conclude_whole(MadeUp().write(tmp_path / "run")).summary
    assert not [each for each in summary.findings if each.check == ALERTS]
    assert summary.alerts == ()


def test_it_joins_the_report_and_the_metrics(tmp_path: Path) -> None:
    changes = [watched(), fires(FAULT + 12), clears(UNDO + 6)]
    concluded = conclude_whole(MadeUp(more=changes).write(tmp_path / "run"))
    [detection] = concluded.summary.alerts
    assert (detection.alert, detection.fired, detection.cleared) == (DOWN, 12.0, 6.0)
    html = page.render(concluded.measures, concluded.summary)
    assert "Time to detect by alert" in html
    assert DOWN in html
    text = textfile.render(concluded.measures, concluded.summary)
    [line] = [line for line in text.splitlines() if line.startswith("skillswap_drill_alert_")]
    assert f'alert="{DOWN}"' in line
    assert line.endswith(" 12")


# What is watched


@dataclass
class FakeMonitoring:
    """Fires so long after the cluster's leader is dead, and clears so long after it is mended."""

    cluster: FakeCluster
    fires_after: float = 0.3
    clears_after: float = 0.3
    deaf: bool = False
    mended_at: float | None = None
    fired: bool = False

    def firing(self) -> frozenset[str]:
        if self.deaf:
            raise UnreachableError("Prometheus does not answer")
        died, now = self.cluster.killed_at, time.monotonic()
        if self.cluster.mended:
            self.mended_at = self.mended_at or now
            self.fired = self.fired and now < self.mended_at + self.clears_after
        else:
            self.fired = died is not None and now - died >= self.fires_after
        return frozenset({DOWN} if self.fired else ())


def run(folder: Path, monitoring: FakeMonitoring, allowed: float) -> RunSummary:
    made = drill(monitoring.cluster, alerts=Alerts(monitoring.firing, {DOWN: allowed}))
    patient = RULES.model_copy(update={"stall": 60.0, "overload": 2.0})
    return run_drill(made, folder, Options(3, "0", patient))


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)
    monkeypatch.setattr("cluster.drill.alert_watch.INTERVAL", 0.02)
    monkeypatch.setattr("cluster.drill.course.CLEAR_SECONDS", 5.0)


@pytest.mark.usefixtures("_quick")
def test_the_fault_stays_until_its_alert_fires_and_the_run_until_it_is_clear(
    tmp_path: Path,
) -> None:
    summary = run(tmp_path, FakeMonitoring(FakeCluster()), 60.0)
    [detection] = summary.alerts
    assert summary.conclusion is Conclusion.PASS, summary.reasons
    assert detection.fired is not None
    assert detection.fired >= 0.3
    assert detection.cleared is not None


@pytest.mark.usefixtures("_quick")
def test_an_alert_that_stays_silent_fails_the_drill(tmp_path: Path) -> None:
    summary = run(tmp_path, FakeMonitoring(FakeCluster(), fires_after=600.0), 0.2)
    assert summary.conclusion is Conclusion.FAIL
    assert "MemberDown: did not fire in" in " ".join(summary.reasons)


@pytest.mark.usefixtures("_quick")
def test_an_alert_that_does_not_clear_fails_the_drill(tmp_path: Path) -> None:
    summary = run(tmp_path, FakeMonitoring(FakeCluster(), clears_after=600.0), 60.0)
    assert summary.conclusion is Conclusion.FAIL
    assert "it did not clear" in " ".join(summary.reasons)


@pytest.mark.usefixtures("_quick")
def test_a_prometheus_that_does_not_answer_is_noted_once(tmp_path: Path) -> None:
    summary = run(tmp_path, FakeMonitoring(FakeCluster(), deaf=True), 0.2)
    noted = [each for each in summary.notes if "the alerts could not be seen" in each]
    assert len(noted) == 1


# Which drill should fire which


class Local:
    name = "local"


def test_drills_and_alerts_are_known_by_their_names(tmp_path: Path) -> None:
    made = context(tmp_path)
    assert drill_alerts.BY_DRILL.keys() <= {spec.name for spec in all_drills()}
    known = {one.name for one in rules.alerts(made.topology)}
    assert {name for names in drill_alerts.BY_DRILL.values() for name in names} <= known


def test_only_where_monitoring_is_up(tmp_path: Path) -> None:
    made: Context = replace(context(tmp_path), target=cast("Target", Local()))
    assert drill_alerts.alerts_of(made, "mongo-router-loss") is None
    made.layout.node(local.prometheus_node(made)).mkdir(parents=True)
    found = drill_alerts.alerts_of(made, "mongo-router-loss")
    assert found
    assert found.expected == {"MongoRouterDown": 35.0}
    assert drill_alerts.alerts_of(made, "mongo-stepdown") is None
