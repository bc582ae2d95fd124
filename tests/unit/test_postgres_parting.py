"""Whether a scope can go on without a member, from literal answers of three."""

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.errors import OpsError
from cluster.topology import PostgresRole
from postgres import patroni, servers
from postgres.former import parse
from postgres.parting import cannot_leave, still_waited_for
from postgres.patroni import ClusterView, Member, MemberState, Replication
from postgres.scopes import Scope, primary_scope
from postgres.steps.scope import confirmed
from tests.unit.postgres_samples import answer, context

LIVE = {"synchronous_mode": True}
PRIMARY, STANDBY = (patroni.parse_state(answer(name)) for name in ("primary", "standby"))
THIRD: dict[str, object] = {
    "postgres.members[2]": {"name": "pg3", "zone": "eu-west-c", "role": "asynchronous"}
}


def row(name: str, sync: str = "async") -> Replication:
    return Replication(name, "streaming", sync)


STATES = {
    "pg1": replace(PRIMARY, replication=(row("pgsync1", "sync"), row("pg3"))),
    "pgsync1": STANDBY,
    "pg3": replace(STANDBY, sync_standby=False),
}


def states(**changes: MemberState | None) -> dict[str, MemberState]:
    found = {**STATES, **changes}
    return {name: state for name, state in found.items() if state}


@pytest.fixture
def scope(tmp_path: Path) -> Scope:
    """pg1, pgsync1, and pg3 of which the topology says that it may be neither."""
    return primary_scope(context(tmp_path, THIRD))


def led_by(name: str, *rows: Replication) -> dict[str, MemberState]:
    followers = {other: replace(STANDBY, sync_standby=False) for other in STATES if other != name}
    return {**followers, name: replace(PRIMARY, replication=rows)}


def test_an_asynchronous_member_leaves_also_where_it_is_dead(scope: Scope) -> None:
    assert cannot_leave(scope, STATES, LIVE, "pg1", "pg3") == ""
    assert cannot_leave(scope, states(pg3=None), LIVE, "pg1", "pg3") == ""


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({}, "payments has no leader that answers"),
        (states(pg1=replace(STATES["pg1"], state="stopping")), "no leader that answers"),
        (states(pg1=replace(STATES["pg1"], paused=True)), "payments is paused"),
        (
            states(pgsync1=None),
            "cannot go on without pg3: the Patroni of pgsync1 does not answer",
        ),
        (
            states(pgsync1=replace(STANDBY, replication_state="")),
            "cannot go on without pg3: pgsync1 does not stream",
        ),
    ],
)
def test_the_others_must_be_whole(scope: Scope, found: dict[str, MemberState], says: str) -> None:
    assert says in cannot_leave(scope, found, LIVE, "pg1", "pg3")


def test_the_last_that_may_be_the_synchronous_standby_stays(scope: Scope) -> None:
    assert cannot_leave(scope, STATES, LIVE, "pg1", "pgsync1") == (
        "payments cannot go on without pgsync1: of a primary and a synchronous standby only one "
        "would be left"
    )
    assert cannot_leave(scope, STATES, {"synchronous_mode": False}, "pg1", "pgsync1") == ""


def test_one_that_leads_needs_a_standby_that_has_all(scope: Scope) -> None:
    able = replace(scope, members=tuple(replace(m, role=_able(m.name)) for m in scope.members))
    assert cannot_leave(able, STATES, LIVE, "pg1", "pg1") == ""
    leads = led_by("pg3", row("pg1"), row("pgsync1"))
    assert "no synchronous standby is attached" in cannot_leave(able, leads, LIVE, "pg3", "pg3")
    assert cannot_leave(able, leads, {"synchronous_mode": False}, "pg3", "pg3") == ""


def _able(name: str) -> PostgresRole:
    return PostgresRole.PRIMARY if name == "pg1" else PostgresRole.SYNCHRONOUS


def test_it_is_not_stopped_while_commits_wait_for_it(scope: Scope) -> None:
    waits = led_by("pg1", row("pgsync1"), row("pg3", "sync"))
    assert still_waited_for(scope, waits, LIVE, "pg1", "pg3") == "commits on pg1 still wait for pg3"
    nobody = led_by("pg1", row("pgsync1"), row("pg3"))
    assert "no synchronous standby is attached to pg1" in (
        still_waited_for(scope, nobody, LIVE, "pg1", "pg3")
    )
    assert still_waited_for(scope, STATES, LIVE, "pg1", "pg3") == ""
    assert still_waited_for(scope, STATES, LIVE, "pg1", "pg1") == "pg1 leads payments"
    assert still_waited_for(scope, {}, LIVE, "pg1", "pg3") == "pg1 does not answer"


def test_a_member_says_itself_what_it_is_and_is_tagged_to_leave(tmp_path: Path) -> None:
    here = context(tmp_path, THIRD | {"postgres.members[2].role": "synchronous"})
    scope = primary_scope(here)
    written = servers.patroni(here, scope, here.inventory.named("pg3")).files[0].text
    assert "nosync: false" in written
    node = parse("pg3", written)
    assert (node.group, node.address) == ("payments", here.inventory.named("pg3").address)
    leaving = servers.patroni(here, scope, node).files[0].text
    before, after = (set(text.splitlines()) for text in (written, leaving))
    assert after - before == {"  nofailover: true", "  nosync: true"}
    with pytest.raises(OpsError, match=r"patroni.yml of pg3 does not say what pg3 is"):
        parse("pg3", "scope: payments")


def test_one_of_those_that_may_be_is_the_synchronous_standby(scope: Scope) -> None:
    """Two may be, and Patroni has chosen: `provision` waits for no second one."""

    def view(standby: str) -> ClusterView:
        roles = {standby: "sync_standby"}
        return ClusterView(
            tuple(Member(name, roles.get(name, "replica"), "streaming") for name in STATES)
        )

    third = led_by("pg1", row("pgsync1"), row("pg3", "sync"))["pg1"]
    assert confirmed(scope, third, view("pg3")) == "pg3"
    assert confirmed(scope, third, view("pgsync1")) == ""  # not written down yet
    assert confirmed(scope, led_by("pg1", row("pg3"))["pg1"], view("pg3")) == ""
    elsewhere = led_by("pg1", row("pgdr1", "sync"))["pg1"]
    assert confirmed(scope, elsewhere, view("pgdr1")) == ""
