"""Whether PostgreSQL's lead can be handed over, and a member's data be made anew."""

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.inventory import Node
from postgres import patroni
from postgres.patroni import ClusterView, Member, MemberState, Replication
from postgres.reinit import cannot_reinit, unprotects
from postgres.scopes import Scope, dr_scope, primary_scope
from postgres.switchover import ask, cannot_switch_over, lacking
from tests.unit.postgres_samples import answer, context
from tests.unit.test_rolling import FakeClock

LIVE = {"synchronous_mode": True, "synchronous_mode_strict": False}
ASYNCHRONOUS = {"synchronous_mode": False}
PRIMARY, STANDBY, DR = (patroni.parse_state(answer(name)) for name in ("primary", "standby", "dr"))
STATES = {"pg1": PRIMARY, "pgsync1": STANDBY}


@pytest.fixture
def scope(tmp_path: Path) -> Scope:
    return primary_scope(context(tmp_path))


def attached(*rows: Replication) -> dict[str, MemberState]:
    return {**STATES, "pg1": replace(PRIMARY, replication=rows)}


SYNC = Replication("pgsync1", "streaming", "sync")
LAGGING = Replication("pgsync1", "streaming", "async")
DR_ROW = Replication("pgdr1", "streaming", "async")


def test_a_healthy_scope_switches_over(scope: Scope) -> None:
    assert cannot_switch_over(scope, STATES, LIVE, "pg1") == ""


@pytest.mark.parametrize(
    ("states", "says"),
    [
        ({}, "payments has no primary that answers"),
        ({"pg1": replace(PRIMARY, role="replica")}, "payments has no primary that answers"),
        ({**STATES, "pg1": replace(PRIMARY, paused=True)}, "payments is paused"),
        (attached(DR_ROW), "no standby streams from pg1: nobody could take over"),
        (attached(replace(SYNC, state="catchup")), "no standby streams from pg1"),
        (attached(LAGGING, DR_ROW), "no synchronous standby is attached to pg1"),
        ({"pg1": PRIMARY}, "the Patroni of pgsync1 does not answer"),
    ],
)
def test_no_switchover(scope: Scope, states: dict[str, MemberState], says: str) -> None:
    assert says in cannot_switch_over(scope, states, LIVE, "pg1")


def test_without_synchronous_mode_a_streaming_standby_will_do(scope: Scope) -> None:
    assert cannot_switch_over(scope, attached(LAGGING), ASYNCHRONOUS, "pg1") == ""


def test_what_a_scope_lacks(scope: Scope, tmp_path: Path) -> None:
    assert lacking(scope, STATES, LIVE, "pg1") == ""
    assert lacking(scope, {"pg1": PRIMARY}, LIVE, "pg1") == "the Patroni of pgsync1 does not answer"
    stopped = {**STATES, "pgsync1": replace(STANDBY, state="stopping")}
    assert lacking(scope, stopped, LIVE, "pg1") == "pgsync1's PostgreSQL is stopping"
    cut = {**STATES, "pgsync1": replace(STANDBY, replication_state="")}
    assert lacking(scope, cut, LIVE, "pg1") == "pgsync1 does not stream"
    assert lacking(scope, attached(LAGGING), LIVE, "pg1") == (
        "no synchronous standby is attached to pg1"
    )
    assert lacking(scope, attached(LAGGING), ASYNCHRONOUS, "pg1") == ""
    dr = dr_scope(context(tmp_path))
    assert dr
    assert lacking(dr, {"pgdr1": DR}, ASYNCHRONOUS, "pgdr1") == ""
    assert lacking(dr, {"pgdr1": replace(DR, replication_state="")}, ASYNCHRONOUS, "pgdr1") == (
        "pgdr1 does not stream"
    )


def test_reinit(scope: Scope) -> None:
    assert cannot_reinit(scope, STATES, LIVE, "pg1", "pgsync1") == ""
    assert cannot_reinit(scope, STATES, LIVE, "pg1", "pg1") == (
        "pg1 leads payments: it is what the others are copied from"
    )
    assert "no leader that answers" in cannot_reinit(scope, {}, LIVE, "pg1", "pgsync1")
    silent = cannot_reinit(scope, {"pg1": PRIMARY}, LIVE, "pg1", "pgsync1")
    assert silent == "the Patroni of pgsync1 does not answer: it could not be told"


def test_in_strict_mode_the_only_synchronous_standby_is_kept(scope: Scope) -> None:
    strict = LIVE | {"synchronous_mode_strict": True}
    reason = cannot_reinit(scope, STATES, strict, "pg1", "pgsync1")
    assert "without one pg1 takes no writes" in reason
    # One that does not stream keeps nothing up: making it anew can only help.
    assert cannot_reinit(scope, attached(DR_ROW), strict, "pg1", "pgsync1") == ""


def test_whether_it_unprotects() -> None:
    assert unprotects(STATES, "pg1", "pgsync1")
    assert not unprotects(attached(LAGGING), "pg1", "pgsync1")
    assert not unprotects({}, "pg1", "pgsync1")


def test_the_postmaster_is_told_by_its_start() -> None:
    assert PRIMARY.started.startswith("20")
    assert patroni.parse_state({}).started == ""


@pytest.mark.parametrize("synchronous", [True, False])
def test_patroni_is_asked_once_it_knows_whom_to_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, synchronous: bool
) -> None:
    """PostgreSQL waits for a standby before Patroni has it on record."""
    here, asked = context(tmp_path), list[str]()
    views = [("leader", "replica"), ("leader", "replica"), ("leader", "sync_standby")]

    def view(_node: Node) -> ClusterView:
        asked.append("view")
        roles = views[len(asked) - 1]
        return ClusterView(tuple(Member(role, role, "running") for role in roles))

    def asks(_leader: Node, _password: str) -> str:
        asked.append("switchover")
        return "switched over"

    monkeypatch.setattr(patroni, "cluster", view)
    monkeypatch.setattr(patroni, "config", lambda _: {"synchronous_mode": synchronous})
    monkeypatch.setattr(patroni, "switchover", asks)
    clock = FakeClock()
    ask(replace(here, clock=clock), here.inventory.named("pg1"))
    assert asked == [*(["view"] * (3 if synchronous else 1)), "switchover"]
