"""From facts to findings: each symptom, what hides what, the order, the command."""

import shlex
from dataclasses import replace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from runbooks.catalogue import catalogue
from runbooks.facts.records import (
    KINDS,
    Backups,
    Certificate,
    ClockOffset,
    Fact,
    Facts,
    HalfRestored,
    OpenFault,
    PgArchive,
    PgSlot,
    Pooler,
    Proof,
    Proxy,
    RegionFact,
    Rollout,
    ServiceFact,
    Volume,
    field_kinds,
)
from runbooks.findings import Finding, findings, satisfied
from runbooks.model import Do, FactCheck, Severity
from skillswap_ops.main import cli
from tests.unit.runbook_samples import (
    DR,
    ETCD,
    HEALTHY,
    MEMBER,
    PG1,
    PGDR1,
    PGSYNC1,
    SCOPE,
    SHARD_A,
    down,
    seen,
)

PRIMARY_GONE = (
    replace(SHARD_A, answering=2, serving=2, primary=""),
    down("shard-a-1", "shard-a", "shard"),
)
ELECTED = (replace(SHARD_A, answering=2, serving=2, primary="shard-a-2", primary_lost=True),)
OFFLINE = (
    replace(SHARD_A, answering=1, serving=1, primary=""),
    down("shard-a-1", "shard-a", "shard"),
    down("shard-a-3", "shard-a", "shard"),
)
STANDBY_GONE = (
    replace(SCOPE, answering=1, attached=False, missing="pgsync1"),
    replace(PGSYNC1, answers=False, streaming=None),
    down("pgsync1", "payments", "postgres"),
    Pooler("pgsync1", "payments", False, None, None, None),
)
PG_GONE = (
    replace(SCOPE, answering=1, writable=0, primary="", attached=False),
    replace(PG1, answers=False, writable=False),
    replace(PGDR1, streaming=False),
    down("pg1", "payments", "postgres"),
    Proxy("haproxy-1", "payments", True, "", ""),
)
ETCD_GONE = (
    replace(ETCD, answering=1, quorum=False),
    replace(SCOPE, quorum=False),
    down("etcd-1", "etcd", "etcd"),
    down("etcd-2", "etcd", "etcd"),
)
REGION_GONE = (
    replace(SCOPE, answering=0, writable=0, primary="", quorum=False, gone=True, attached=False),
    replace(ETCD, answering=0, quorum=False, gone=True),
    replace(PG1, answers=False, writable=False),
    replace(PGSYNC1, answers=False, streaming=None),
    replace(PGDR1, streaming=False),
    down("pg1", "payments", "postgres"),
    down("etcd-1", "etcd", "etcd"),
)

CONDITIONS: dict[str, tuple[Fact, ...]] = {
    "mongo-primary-lost --shard shard-a": PRIMARY_GONE,
    "mongo-shard-offline --shard shard-a": OFFLINE,
    "mongo-config-lost": (
        replace(SHARD_A, name="config", group="config", role="config", serving=1, primary=""),
        down("router-1", "router", "router", "degraded"),
        down("config-1", "config", "config server"),
    ),
    "mongo-member-corrupted --member shard-a-2": (
        replace(MEMBER, answers=False, state="DOWN", corrupt=True, lag_seconds=None),
        replace(SHARD_A, answering=2, serving=2),
        down("shard-a-2", "shard-a", "shard"),
    ),
    "mongo-replication-lag --member shard-a-2": (replace(MEMBER, lag_seconds=31.0),),
    "mongo-disk-filling --node shard-a-1": (Volume("shard-a-1", "shard-a-1", "mongo", 86.0, 9.0),),
    "mongo-archive-behind": (down("archiver-1", "archiver", "oplog archiver", "degraded"),),
    "router-lost --router router-1": (down("router-1", "router", "router"),),
    "router-unwell --router router-1": (down("router-1", "router", "router", "degraded"),),
    "pg-primary-lost --scope payments": PG_GONE,
    "pg-sync-standby-lost --scope payments --member pgsync1": STANDBY_GONE,
    "pg-split-brain --scope payments-dr --member pgdr1": (
        replace(PGDR1, writable=True, streaming=None),
    ),
    "pg-replication-lag --member pgdr1": (replace(PGDR1, streaming=False),),
    "pg-archive-failing --member pg1": (PgArchive("pg1", "payments", True, 90.0),),
    "pg-etcd-quorum-lost --scope payments": ETCD_GONE,
    "pg-pitr --to 2026-11-26T14:00:00Z": (
        HalfRestored("payments", "payments", False, "2026-11-26T14:00:00Z"),
    ),
    "region-lost --scope payments": REGION_GONE,
    "pg-failback": (RegionFact("payments", "payments", "away", True, False, "failback"),),
    "change-half-done --change promote": (
        RegionFact("payments", "payments", "promoting", False, False, "promote"),
    ),
    "edge-latency --scope payments": (Pooler("pg1", "payments", True, 30, 9, 4.0),),
    "certificate-rotation": (Certificate("objects-1", "certificates", 12.0),),
    "restore-proof-failed": (Proof("backup-proof", "backups", "fail", 1.0, 31, False),),
    "service-rollout-stuck": (
        Rollout("rollout auth", "services", False),
        ServiceFact("auth", "services", 1, 2, 3, ""),
        down("auth-1", "services", "service instance"),
    ),
    "service-not-ready --service auth": (ServiceFact("auth", "services", 1, 2, 0, ""),),
    "server-down --server redis-1": (down("redis-1", "redis", "redis"),),
    "fault-left-behind": (OpenFault("SIGSTOP pg1", "x", False),),
    "clock-skew --node pg1": (ClockOffset("pg1", "pg1", 4.0),),
}


def found(*changes: Fact) -> tuple[Finding, ...]:
    return findings(seen(*changes), catalogue().values())


def test_nothing_is_wrong_with_a_healthy_cluster() -> None:
    assert found() == ()


def test_nothing_is_known_of_what_cannot_be_read() -> None:
    assert findings(Facts(()), catalogue().values()) == ()


@pytest.mark.parametrize(("command", "facts"), CONDITIONS.items(), ids=CONDITIONS)
def test_a_condition_is_named_alone_with_its_arguments(
    command: str, facts: tuple[Fact, ...]
) -> None:
    assert [one.command for one in found(*facts)] == [f"skillswap-ops runbook run {command}"]


def test_every_runbook_with_a_symptom_is_in_the_table_above() -> None:
    named = {command.split()[0] for command in CONDITIONS}
    assert named == {one.id for one in catalogue().values() if one.front.symptoms}


@pytest.mark.parametrize("command", CONDITIONS)
def test_the_command_that_is_named_exists(command: str) -> None:
    words = shlex.split(f"runbook run {command} --help")
    shown = CliRunner().invoke(cli, words)
    assert shown.exit_code == 0, shown.output


def test_an_elected_primary_is_the_same_runbook_and_less_bad() -> None:
    [one] = found(*ELECTED)
    assert (one.runbook, one.severity) == ("mongo-primary-lost", Severity.MAJOR)
    assert found(*PRIMARY_GONE)[0].severity is Severity.CRITICAL


def test_what_a_cause_explains_is_kept_with_it() -> None:
    [one] = found(*ETCD_GONE)
    assert any("etcd-1" in line for line in one.explains)
    assert any("etcd-2" in line for line in one.explains)


def test_a_cause_hides_in_its_own_group_only() -> None:
    named = [one.command for one in found(*PRIMARY_GONE, down("redis-1", "redis", "redis"))]
    assert [line.split()[3] for line in named] == ["mongo-primary-lost", "server-down"]


def test_another_pooler_is_no_consequence_of_a_lost_standby() -> None:
    lost = found(*STANDBY_GONE, Pooler("pg1", "payments", False, None, None, None))
    assert [(one.runbook, one.arguments[-1][1]) for one in lost] == [
        ("pg-sync-standby-lost", "pgsync1"),
        ("server-down", "pg1"),
    ]


def test_etcd_lost_with_the_primary_names_etcd_first() -> None:
    [one] = found(*ETCD_GONE, *PG_GONE[1:], replace(PG_GONE[0], quorum=False))
    assert one.runbook == "pg-etcd-quorum-lost"
    assert any(line.startswith("pg1") for line in one.explains)


def test_a_scope_that_is_gone_without_a_region_to_take_over_is_no_lost_region() -> None:
    alone = (replace(REGION_GONE[0], dr=""), *REGION_GONE[1:])
    first, *_ = found(*alone)
    assert first.runbook == "pg-etcd-quorum-lost"
    assert {one.runbook for one in found(*alone)} <= {"pg-etcd-quorum-lost", "server-down"}


def test_the_last_of_a_fleet_is_critical() -> None:
    [one] = found(replace(down("router-1", "router", "router"), last=True))
    assert one.severity is Severity.CRITICAL
    assert len(one.evidence) == 2


def test_both_of_two_causes_are_named() -> None:
    pairs = {"mongo-shard-offline": OFFLINE, "pg-etcd-quorum-lost": ETCD_GONE}
    assert {one.runbook for one in found(*OFFLINE, *ETCD_GONE)} == set(pairs)


def test_the_worst_is_first() -> None:
    named = [
        one.severity.rank
        for one in found(*PRIMARY_GONE, *STANDBY_GONE, Certificate("x", "certificates", 3.0))
    ]
    assert named == sorted(named)
    assert len(named) == 3


def test_busy_means_that_somebody_is_at_it() -> None:
    assert found(OpenFault("SIGSTOP pg1", "x", True)) == ()
    assert found(RegionFact("payments", "payments", "promoting", False, True, "promote")) == ()


@pytest.mark.parametrize(
    ("fact", "runbook"),
    [
        (Backups("mongo", "backups", 0, None, 25.0), "restore-proof-failed"),
        (Backups("postgres", "backups", 1, 200.0, 300.0), "restore-proof-failed"),
        (PgSlot("payments_dr", "payments", "pg1", False, "reserved", 600.0), "pg-replication-lag"),
        (replace(PGDR1, replay_paused=True), "pg-replication-lag"),
        (replace(SCOPE, writable=2, primary=""), "pg-split-brain"),
        (replace(DR, writable=1, primary="pgdr1"), ""),
        (replace(SCOPE, writable=0, primary="", attached=False), "pg-primary-lost"),
        (replace(ETCD, name="payments-dr", quorum=False, leads=False), "pg-etcd-quorum-lost"),
        (replace(MEMBER, oplog_full=True, oplog_hours=3.0), "mongo-replication-lag"),
        (replace(MEMBER, oplog_full=None, oplog_hours=3.0), ""),
        (replace(MEMBER, lag_seconds=None), ""),
        (Proxy("haproxy-1", "payments", True, "pgsync1", "pg1"), "edge-latency"),
        (Proxy("haproxy-1", "payments", True, "", "pg1"), "edge-latency"),
    ],
)
def test_other_symptoms(fact: Fact, runbook: str) -> None:
    assert [one.runbook for one in found(fact)] == ([runbook] if runbook else [])


def facts_of(kind: str) -> st.SearchStrategy[Fact]:
    values = {
        "number": st.one_of(st.none(), st.floats(-1, 1e6)),
        "text": st.sampled_from(["", "shard-a", "payments", "down", "DOWN", "wal", "mongo"]),
        "true or false": st.one_of(st.none(), st.booleans()),
    }
    return st.builds(
        KINDS[kind], **{name: values[what] for name, what in field_kinds(kind).items()}
    )


@given(st.lists(st.sampled_from(sorted(KINDS)).flatmap(facts_of), max_size=8))
def test_any_facts_give_findings_in_order_with_a_cause_left(facts: list[Fact]) -> None:
    alone = [findings(Facts((one,)), catalogue().values()) for one in facts]
    together = findings(Facts(tuple(facts)), catalogue().values())
    ranks = [one.severity.rank for one in together]
    assert ranks == sorted(ranks)
    assert bool(together) == any(alone)
    assert len({(one.runbook, one.arguments) for one in together}) == len(together)
    assert HEALTHY


@pytest.mark.parametrize(("answering", "done"), [(1, False), (2, True)])
def test_after_a_failover_the_old_primary_is_still_to_be_started(
    answering: int,
    done: bool,
) -> None:
    """Else nobody starts it, and its synchronous standby is waited for in vain."""
    runbook = catalogue()["pg-primary-lost"]
    start = runbook.step("start").step
    assert isinstance(start, Do)
    assert isinstance(start.done_when, FactCheck)
    scope = replace(SCOPE, writable=1, total=2, answering=answering)
    said, _ = satisfied(start.done_when, Facts((scope,)), runbook, {"scope": SCOPE.name})
    assert said is done
