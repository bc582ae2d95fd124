"""Alerts proved: a real fault, the alert fires in Prometheus in its time, and clears once undone.

Faults that do not hide each other are made together, in waves. SKILLSWAP_OPS_ALERT_TABLE names a
file that the table of times is added to; it is printed too.
"""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
import yaml

from cluster.clock import wait_for
from cluster.errors import OpsError, UnreachableError
from manifests.monitoring import local, rules
from tests.conftest import SHIPPED, Lab, make_lab, remove_lab
from tests.drills import alert_faults as faults
from tests.drills import runbook_conditions as conditions
from tests.drills.alert_faults import Fault, secondary
from tests.drills.runbook_conditions import Hand, kill
from tests.drills.runbook_ledger import Ledger

pytestmark = [pytest.mark.servers, pytest.mark.exhaustive]
TABLE = "SKILLSWAP_OPS_ALERT_TABLE"
# A look at all nodes every 5 s, one at the rules every 5 s, and a read that meets dead nodes.
LATE_SECONDS = 20.0
RECORDS_SECONDS = 60.0  # what is written down is read so often
CLEAR_SECONDS = 240.0
# MongoOplogWindowShort: the least of ten minutes must have grown by five.
SLOW_TO_CLEAR = {"lasting": 960.0}
QUIET_SECONDS = 600.0


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
    Fault(("ServiceNotReady",), faults.kill_instance, shows=RECORDS_SECONDS),
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
    Fault(("PoolExhausted",), conditions.exhausted_pool),
    Fault(("MongoNoPrimary",), faults.no_heir),
    Fault(("CertificateExpires",), conditions.old_certificate, shows=RECORDS_SECONDS),
)
# Those that must last ten or fifteen minutes.
LASTING = (
    Fault(("RestoreProofFailed",), faults.rotten_backup, shows=RECORDS_SECONDS),
    Fault(
        ("DrillFaultOpen",),
        conditions.killed("mongo-secondary-loss", "A drill that killed a secondary"),
        shows=RECORDS_SECONDS,
    ),
    Fault(("RolloutStuck",), conditions.killed_rollout, shows=RECORDS_SECONDS),
    Fault(("BackupTooOld",), faults.lost_snapshots, shows=RECORDS_SECONDS),
    Fault(("MongoRouterUnwell",), conditions.strange_key),
    Fault(("PostgresSlotRetainsWal",), faults.held_slot),
    # The rule compares with ten minutes ago, which a new Prometheus does not know.
    Fault(("MongoOplogWindowShort",), faults.short_oplog, shows=600),
)
WAVES = {
    "members": MEMBERS,
    "majorities": MAJORITIES,
    "waits": WAITS,
    "edge": (Fault(("EdgeLeadsElsewhere",), faults.frozen_under_pause, shows=5),),
    "promoted": (Fault(("PostgresDrNotStandby", "PostgresSplitBrain"), conditions.promoted_dr),),
    "disk": (Fault(("MongoDiskFilling",), conditions.filling_disk),),
    "blind": (Fault(("MonitoringBlind",), kill("an exporter is", lambda _: ["exporter-1"])),),
    "lasting": LASTING,
    "promotion": (Fault(("RegionChangeHalfDone",), faults.half_promotion, shows=RECORDS_SECONDS),),
    "restore": (
        Fault(("PostgresRestoreHalfDone",), conditions.half_restored, shows=RECORDS_SECONDS),
    ),
    "overdue": (Fault(("RestoreProofOverdue",), conditions.old_proof, shows=RECORDS_SECONDS),),
    "away": (Fault(("PostgresDrLeads",), conditions.region_away, shows=RECORDS_SECONDS),),
}
# What undoes them, before `provision`.
AFTER: dict[str, tuple[tuple[str, ...], ...]] = {
    "promoted": (("pg", "reinit", "pgdr1", "--yes"),),
    "restore": (("restore", "pg", "--to", "before-the-mistake", "--in-place", "--yes"),),
    "away": (("dr", "failback", "--yes"),),
    "lasting": (("provision",), ("backup", "prove")),
    "overdue": (("backup", "prove"),),
}
DEPLOYED = {"members", "lasting"}
LOSING = {"promotion", "restore", "away"}  # the fault itself goes back in time, or to the DR copy


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


def wait_until_quiet(lab: Lab, seconds: float = CLEAR_SECONDS) -> None:
    def quiet() -> bool:
        if found := firing(lab):
            raise UnreachableError(f"fires still: {', '.join(sorted(found))}")
        return True

    wait_for("silence", quiet, seconds=seconds, every=1)


class Watch:
    """When each alert was first seen to fire, while the faults are made and after."""

    def __init__(self, lab: Lab) -> None:
        self.seen: dict[str, float] = {}
        self._lab, self._over = lab, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.5):
            with suppress(OpsError):
                for name in firing(self._lab):
                    self.seen.setdefault(name, time.monotonic())


@pytest.mark.parametrize("wave", [
    pytest.param(name, marks=pytest.mark.root if name == "disk" else ()) for name in WAVES
])  # fmt: skip
def test_faults_fire_their_alerts(monitored: Lab, wave: str) -> None:
    if wave in DEPLOYED:
        monitored.run("services", "deploy", "--stage", "mvp")
    wait_until_quiet(monitored)
    with Ledger(monitored.context) as ledger:
        try:
            rows = _break(monitored, wave)
        except BaseException:
            monitored.run("provision", code=None)  # for the waves that follow
            raise
        began = time.monotonic()
        for words in AFTER.get(wave, ()):
            monitored.run(*words, seconds=400)
        monitored.run("provision")
        wait_until_quiet(monitored, SLOW_TO_CLEAR.get(wave, CLEAR_SECONDS))
        cleared = time.monotonic() - began
        acked, lost = ledger.judge()
    if wave in DEPLOYED:
        monitored.run("services", "undeploy", "--yes")
    _tell(wave, rows, cleared, acked)
    assert acked
    assert lost == 0 or wave in LOSING
    assert not [str(row) for row in rows if row.took > row.may]


def _break(lab: Lab, wave: str) -> list[Row]:
    """Make the faults of a wave, wait for their alerts, and take back what is not for servers."""
    made: dict[str, tuple[float, float]] = {}
    with ExitStack() as stack, Watch(lab) as watch:
        for fault in WAVES[wave]:
            stack.enter_context(cast("AbstractContextManager[Hand]", fault.make(lab)))
            for alert in fault.alerts:
                made[alert] = (time.monotonic(), fault.shows + seconds_of(lab, alert))
        return _wait(watch, wave, made)


def seconds_of(lab: Lab, alert: str) -> float:
    [found] = [one for one in rules.alerts(lab.context.topology) if one.name == alert]
    return found.seconds + LATE_SECONDS


def _wait(watch: Watch, wave: str, made: dict[str, tuple[float, float]]) -> list[Row]:
    """The time of each alert; one that does not fire in thrice its time fails the test.

    From when its fault was there at the latest: it may fire while the fault is being made.
    """
    last = max(began + 2 * may for began, may in made.values())

    def all_fire() -> bool:
        if missing := made.keys() - watch.seen.keys():
            others = watch.seen.keys() - made.keys()
            raise UnreachableError(f"silent still: {', '.join(missing)}; others: {others}")
        return True

    try:
        wait_for("the alerts", all_fire, seconds=last - time.monotonic(), every=0.5)
    finally:
        rows = [
            Row(wave, name, max(0.0, watch.seen[name] - began), may)
            for name, (began, may) in made.items()
            if name in watch.seen
        ]
        beside = sorted(watch.seen.keys() - made.keys())
        print(*rows, f"beside them: {', '.join(beside) or 'none'}", sep="\n")
    return rows


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


@pytest.mark.root
def test_a_wal_volume_that_fills_fires_its_alert() -> None:
    """On a cluster of its own: the shared one's WAL has no volume of its own."""
    postgres = yaml.safe_load(SHIPPED.read_text("utf-8"))["postgres"]
    lab = make_lab("127.104.0.0/16", "walled", postgres=postgres | {"wal_volume": 512})
    try:
        lab.run("provision")
        lab.run("monitor", "up")
        context = lab.context
        ballast = context.layout.wal(context.inventory.named("pgdr1")) / ".ballast"
        used = shutil.disk_usage(ballast.parent)
        with Watch(lab) as watch:
            ballast.write_bytes(bytes(int(used.total * 0.95) - used.used))
            made = (time.monotonic(), seconds_of(lab, "PostgresWalDiskFilling"))
            rows = _wait(watch, "walled", {"PostgresWalDiskFilling": made})
            ballast.unlink()
        wait_until_quiet(lab)
        _tell("walled", rows, 0, 0)
        assert not [str(row) for row in rows if row.took > row.may]
        lab.run("destroy", "--yes")
    finally:
        remove_lab(lab)
