"""Alerts proved: a real fault, the alert fires in Prometheus in its time, and clears once undone.

Faults that do not hide each other are made together, in waves. SKILLSWAP_OPS_ALERT_TABLE names a
file that the table of times is added to; it is printed too.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from cluster.clock import wait_for
from cluster.errors import OpsError, UnreachableError
from manifests.monitoring import local, rules
from mongo import nodes
from mongo.client import node_client
from mongo.credentials import ADMIN, login
from postgres import names, patroni
from postgres.scopes import primary_scope
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab
from tests.drills import runbook_conditions as conditions
from tests.drills.runbook_conditions import NOTHING, Hand, kill
from tests.drills.runbook_ledger import Ledger

pytestmark = [pytest.mark.servers, pytest.mark.exhaustive]
TABLE = "SKILLSWAP_OPS_ALERT_TABLE"
# A look at all nodes every 5 s, one at the rules every 5 s, and a read that meets dead nodes.
LATE_SECONDS = 20.0
RECORDS_SECONDS = 60.0  # what is written down is read so often
CLEAR_SECONDS = 240.0
QUIET_SECONDS = 600.0
NO_ELECTION_SECONDS = 90
SERVICE = "auth"


@dataclass(frozen=True)
class Fault:
    """`make` breaks something and undoes it; so many seconds later what the alert asks is so."""

    alerts: tuple[str, ...]
    make: Callable[[Lab], object]
    shows: float = 0.0


def secondary(shard: str) -> Callable[[LocalContext], list[str]]:
    return lambda context: [conditions.secondary_of(context, shard)]


def kill_instance(lab: Lab) -> object:
    """One of a service's instances dies."""
    return kill("an instance is", lambda _: [f"{SERVICE}-1"])(lab)


@contextmanager
def no_heir(lab: Lab) -> Iterator[Hand]:
    """The secondaries of a shard may not stand for election, and its primary dies."""
    context = lab.context
    primary = conditions.primary_of(context, "shard-a")
    [shard] = [one for one in nodes.shards(context) if one.name == "shard-a"]
    for node in shard.data_bearing:
        if node.name != primary:
            with node_client(node, login(context, ADMIN)) as client:
                client.admin.command("replSetFreeze", NO_ELECTION_SECONDS)
    context.target.kill(conditions.servers(context, primary))
    yield NOTHING


@contextmanager
def frozen_under_pause(lab: Lab) -> Iterator[Hand]:
    """Patroni is paused and the leader's stands still: PostgreSQL leads, no proxy knows it."""
    context = lab.context
    scope, password = primary_scope(context), names.password(context, names.REST_USER)
    node = patroni.leader_of(scope)
    patroni.change_config(node, password, {"pause": True})

    def paused() -> bool:
        return all(one.paused for one in patroni.states(scope.members).values())

    wait_for("a pause", paused, seconds=30)
    [server] = [one for one in conditions.servers(context, node.name) if one.name == node.name]
    context.target.freeze((server,), "patroni")
    try:
        yield NOTHING
    finally:
        context.target.thaw((server,))
        wait_for("its Patroni", lambda: patroni.state(node), seconds=30)
        for member in scope.members:
            with suppress(OpsError):
                patroni.change_config(member, password, {"pause": None})


MEMBERS = (
    Fault(("MongoMemberDown",), kill("a secondary is", secondary("shard-a"))),
    Fault(("MongoRouterDown",), kill("a router is", lambda _: ["router-2"])),
    Fault(("ServerDown",), kill("a proxy is", lambda _: ["haproxy-2"])),
    Fault(
        ("PostgresNoSyncStandby",),
        kill("the standby is", lambda one: [conditions.standby(one)]),
        shows=5,
    ),
    Fault(("PostgresArchiveFailing",), conditions.closed_archive, shows=10),
    Fault(("PostgresReplicationLag",), conditions.paused_replay, shows=40),
    Fault(("MongoReplicationLag",), conditions.locked("shard-b"), shows=35),
    Fault(("MongoArchiveBehind",), conditions.frozen_archiver, shows=70),
    Fault(("ServiceNotReady",), kill_instance, shows=RECORDS_SECONDS),
)
MAJORITIES = (
    Fault(("MongoShardOffline",), kill("a majority is", lambda _: ["shard-b-1", "shard-b-2"])),
    Fault(("MongoConfigServersLost",), kill("a majority is", lambda _: ["config-1", "config-2"])),
    Fault(("EtcdNoQuorum",), kill("a majority is", lambda _: ["etcd-1", "etcd-2"])),
    Fault(
        ("PostgresNoPrimary", "PostgresRegionLost"),
        kill("a region is", lambda _: ["pg1", "pgsync1"]),
    ),
)
WAITS = (
    Fault(("PoolExhausted",), conditions.exhausted_pool, shows=10),
    Fault(("MongoNoPrimary",), no_heir),
    Fault(("CertificateExpires",), conditions.old_certificate, shows=RECORDS_SECONDS),
)
WAVES = {
    "members": MEMBERS,
    "majorities": MAJORITIES,
    "waits": WAITS,
    "edge": (Fault(("EdgeLeadsElsewhere",), frozen_under_pause, shows=5),),
    "promoted": (Fault(("PostgresDrNotStandby", "PostgresSplitBrain"), conditions.promoted_dr),),
    "disk": (Fault(("MongoDiskFilling",), conditions.filling_disk),),
    "blind": (Fault(("MonitoringBlind",), kill("an exporter is", lambda _: ["exporter-1"])),),
    "away": (Fault(("PostgresDrLeads",), conditions.region_away, shows=RECORDS_SECONDS),),
}
AFTER = {"promoted": ("pg", "reinit", "pgdr1", "--yes"), "away": ("dr", "failback", "--yes")}
DEPLOYED = {"members"}


@dataclass(frozen=True)
class Row:
    """How long an alert took, and how long it may, in seconds."""

    wave: str
    alert: str
    took: float
    may: float

    def __str__(self) -> str:
        return f"{self.alert:<24} fired after {self.took:6.1f} s, may take {self.may:5.0f} s"


@pytest.fixture(scope="module")
def monitored(shared_lab: Lab) -> Iterator[Lab]:
    shared_lab.run("backup", "run", seconds=300)
    shared_lab.run("monitor", "up")
    yield shared_lab
    shared_lab.run("monitor", "down", "--yes")


def firing(lab: Lab) -> set[str]:
    return {one.name for one in local.alerts(lab.context) if one.state == "firing"}


def wait_until_quiet(lab: Lab) -> None:
    def quiet() -> bool:
        if found := firing(lab):
            raise UnreachableError(f"fires still: {', '.join(sorted(found))}")
        return True

    wait_for("silence", quiet, seconds=CLEAR_SECONDS, every=1)


@pytest.mark.parametrize("wave", [
    pytest.param(name, marks=pytest.mark.root if name == "disk" else ()) for name in WAVES
])  # fmt: skip
def test_faults_fire_their_alerts(monitored: Lab, wave: str) -> None:
    if wave in DEPLOYED:
        monitored.run("services", "deploy", "--stage", "mvp")
    wait_until_quiet(monitored)
    made: dict[str, tuple[float, float]] = {}
    with Ledger(monitored.context) as ledger:
        with ExitStack() as stack:
            for fault in WAVES[wave]:
                stack.enter_context(cast("AbstractContextManager[Hand]", fault.make(monitored)))
                for alert in fault.alerts:
                    made[alert] = (time.monotonic(), fault.shows + seconds_of(monitored, alert))
            rows = _wait(monitored, wave, made)
        began = time.monotonic()
        if wave in AFTER:
            monitored.run(*AFTER[wave], seconds=400)
        monitored.run("provision")
        wait_until_quiet(monitored)
        cleared = time.monotonic() - began
        acked, lost = ledger.judge()
    if wave in DEPLOYED:
        monitored.run("services", "undeploy", "--yes")
    _tell(wave, rows, cleared, acked)
    assert acked
    assert lost == 0 or wave == "away"
    assert not [str(row) for row in rows if row.took > row.may]


def seconds_of(lab: Lab, alert: str) -> float:
    [found] = [one for one in rules.alerts(lab.context.topology) if one.name == alert]
    return found.seconds + LATE_SECONDS


def _wait(lab: Lab, wave: str, made: dict[str, tuple[float, float]]) -> list[Row]:
    """The time of each alert; one that does not fire in thrice its time fails the test."""
    rows: dict[str, Row] = {}
    others: dict[str, float] = {}
    last = max(began + 2 * may for began, may in made.values())

    def all_fire() -> bool:
        now = time.monotonic()
        for name in firing(lab):
            if name not in made:
                others.setdefault(name, now)
            elif name not in rows:
                began, may = made[name]
                rows[name] = Row(wave, name, now - began, may)
        if missing := set(made) - set(rows):
            raise UnreachableError(f"silent still: {', '.join(sorted(missing))}; others: {others}")
        return True

    try:
        wait_for("the alerts", all_fire, seconds=last - time.monotonic(), every=0.5)
    finally:
        print(*rows.values(), f"beside them: {', '.join(others) or 'none'}", sep="\n")
    return list(rows.values())


def _tell(wave: str, rows: list[Row], cleared: float, acked: int) -> None:
    end = f"{wave}: silent {cleared:.1f} s after the undoing began; {acked} acks, none lost"
    text = "\n".join([*map(str, rows), end])
    print(f"\n{text}")
    if path := os.environ.get(TABLE):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")


def test_a_healthy_cluster_is_silent_for_ten_minutes(monitored: Lab) -> None:
    wait_until_quiet(monitored)
    until = time.monotonic() + QUIET_SECONDS
    with Ledger(monitored.context) as ledger:
        while time.monotonic() < until:
            assert not firing(monitored)
            time.sleep(5)
        acked, lost = ledger.judge()
    assert acked
    assert not lost
