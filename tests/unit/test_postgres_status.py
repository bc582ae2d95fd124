"""How members are shown, what a whole cluster lacks, how long a failover should take."""

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.status import Health
from cluster.topology import HaproxyChecks
from postgres import forecast, patroni, wholeness
from postgres.endpoints import endpoints
from postgres.scopes import dr_scope, primary_scope
from postgres.status import Inside, as_the_primary_says, postgres_status
from tests.unit.postgres_samples import answer, context

INSIDE = Inside(lag_seconds=0.0, archive="", archive_fails=False, pooler="pgbouncer: 0 clients")
PRIMARY, STANDBY, DR = (patroni.parse_state(answer(name)) for name in ("primary", "standby", "dr"))
LIVE = {"failsafe_mode": True}


def shown(
    tmp_path: Path, node: str, state: patroni.MemberState, inside: Inside = INSIDE
) -> tuple[Health, str, float | None, str]:
    of = context(tmp_path)
    scope = dr_scope(of) if "dr" in node else primary_scope(of)
    assert scope is not None
    found = postgres_status(of.inventory.named(node), scope, state, inside)
    return found.health, found.role, found.lag_seconds, found.epoch


def test_whole_cluster(tmp_path: Path) -> None:
    assert shown(tmp_path, "pg1", PRIMARY) == (Health.OK, "primary", None, "timeline 1")
    assert shown(tmp_path, "pgsync1", STANDBY) == (
        Health.OK, "synchronous standby", 0.0, "timeline 1",
    )  # fmt: skip
    assert shown(tmp_path, "pgdr1", DR) == (Health.OK, "DR standby leader", 0.0, "timeline 1")


@pytest.mark.parametrize(
    ("node", "state", "inside"),
    [
        ("pg1", replace(PRIMARY, replication=()), INSIDE),  # no synchronous standby
        ("pg1", replace(PRIMARY, paused=True), INSIDE),
        ("pg1", PRIMARY, replace(INSIDE, archive_fails=True)),
        ("pg1", PRIMARY, replace(INSIDE, pooler=None)),
        ("pgsync1", replace(STANDBY, replication_state="in archive recovery"), INSIDE),
        ("pgsync1", replace(STANDBY, unlocked=True), INSIDE),
        ("pgsync1", replace(STANDBY, state="starting"), INSIDE),
        ("pgdr1", PRIMARY, INSIDE),  # DR that takes writes
    ],
)
def test_degraded(tmp_path: Path, node: str, state: patroni.MemberState, inside: Inside) -> None:
    assert shown(tmp_path, node, state, inside)[0] is Health.DEGRADED


@pytest.mark.parametrize(
    ("states", "says"),
    [
        ({"pg1": PRIMARY, "pgsync1": replace(STANDBY, sync_standby=False)}, True),
        ({"pg1": replace(PRIMARY, replication=()), "pgsync1": STANDBY}, False),
        ({"pg1": replace(PRIMARY, state="stopped"), "pgsync1": STANDBY}, True),
        ({"pgsync1": STANDBY}, True),
        ({"pgsync1": replace(STANDBY, sync_standby=False)}, False),
    ],
)
def test_the_primary_says_whom_commits_wait_for(
    states: dict[str, patroni.MemberState], says: bool
) -> None:
    assert as_the_primary_says(states, "pgsync1") is says


def test_standby_that_does_not_stream_has_no_known_lag(tmp_path: Path) -> None:
    # It has replayed all that it received, and that says nothing.
    assert shown(tmp_path, "pgsync1", replace(STANDBY, replication_state=""))[2] is None


@pytest.mark.parametrize(
    ("states", "live", "expected"),
    [
        ({"pg1": PRIMARY, "pgsync1": STANDBY}, LIVE, []),
        ({"pg1": PRIMARY}, LIVE, ["pgsync1 does not answer"]),
        ({"pgsync1": STANDBY}, LIVE, ["pg1 does not answer"]),
        (
            {"pg1": replace(PRIMARY, replication=()), "pgsync1": STANDBY},
            LIVE,
            ["pgsync1 does not stream from pg1", "no synchronous standby is attached"],
        ),
        (
            {"pg1": replace(PRIMARY, state="starting"), "pgsync1": STANDBY},
            LIVE,
            ["pg1 holds the leader key, and is starting primary"],
        ),
        ({"pg1": PRIMARY, "pgsync1": STANDBY}, {}, ["failsafe_mode is off"]),
        (
            {"pg1": replace(PRIMARY, paused=True), "pgsync1": STANDBY},
            LIVE,
            ["payments is paused"],
        ),
        (
            {"pg1": replace(PRIMARY, timeline=2), "pgsync1": STANDBY},
            LIVE,
            ["pgsync1 is on timeline 1, the leader on 2"],
        ),
    ],
)
def test_what_is_missing(
    tmp_path: Path,
    states: dict[str, patroni.MemberState],
    live: dict[str, bool],
    expected: list[str],
) -> None:
    scope = primary_scope(context(tmp_path))
    assert wholeness.lacks_of_primary(scope, live, "pg1", states) == expected


def test_forecast_of_a_node_loss() -> None:
    found = forecast.node_loss({"ttl": 20, "loop_wait": 2}, HaproxyChecks(inter=1, fall=2, rise=1))
    measured = (1.7, 20.7, 21.0)  # seconds, on one machine
    for stamp, expected in zip(
        measured, (found.detected, found.elected, found.first_success), strict=True
    ):
        assert expected
        assert expected.low <= stamp <= expected.high <= 26
    assert found.elected
    assert found.elected.low > 17  # the lease, less what had passed of it
    assert "ttl 20" in found.basis


def test_endpoints_mask_and_reveal(tmp_path: Path) -> None:
    of = context(tmp_path)
    shown_uris = {row.name: row.uri for row in endpoints(of, reveal=True)}
    masked = {row.name: row.uri for row in endpoints(of, reveal=False)}
    secrets = {path.read_text("ascii") for path in (tmp_path / "secrets").iterdir()}
    assert secrets
    assert not [uri for uri in masked.values() for secret in secrets if secret in uri]
    assert masked["pg-payments"] == (
        "postgresql://payments_app:***@127.77.62.1:5000,127.77.62.2:5000/payments?connect_timeout=3"
    )
    password = of.secrets.get("postgres-payments_app").get_secret_value()
    assert shown_uris["pg-payments"] == masked["pg-payments"].replace("***", password)
    assert masked["pg-payments-direct"].endswith("target_session_attrs=read-write")
