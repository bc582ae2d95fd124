"""The drills' pure parts: whom to hit, what is skipped, and the checkers on made-up runs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import cast

import pytest

from cluster.context import Context
from cluster.drill.contracts import (
    Availability,
    Effect,
    Fault,
    Observation,
    Promise,
    Seen,
    UndoRecord,
)
from cluster.drill.evidence import COLLECTED, load_run
from cluster.drill.judge import Check
from cluster.drill.measures import Measures
from cluster.drill.outcome import Outcome
from cluster.drill.timeline import Sample
from cluster.drill.verdict import Finding, Validity
from cluster.errors import InconclusiveError, MissingPrerequisiteError
from cluster.faults.isolate import REJOIN_NETWORK, IsolateServers
from cluster.faults.kill import START_SERVERS, KillServers
from cluster.server import Server
from cluster.target import Hit, Target
from postgres import drill_checks, names, patroni, wal
from postgres.backup import parse_listing
from postgres.drills import CHECKS, DRILLS
from postgres.drills.old_timeline import checkpoint, last_record
from postgres.drills.postmaster_kill import effect_of
from postgres.drills.skips import lone_proxy, no_archive_folder, no_failsafe, not_synchronous
from postgres.faults.archive_outage import archive_outage
from postgres.faults.edge_kill import one_proxy, pool_of_leader
from postgres.faults.etcd_kill import all_etcd, one_etcd
from postgres.faults.node_kill import node_of_leader
from postgres.faults.patroni_freeze import patroni_of_leader
from postgres.faults.postmaster_kill import postmaster_of_leader
from postgres.faults.primary_isolation import primary_isolation
from postgres.faults.standby_kill import node_of_standby
from postgres.faults.switchover import switchover
from postgres.faults.synchronous_off import synchronous_off
from postgres.patroni import ClusterView, Member
from postgres.scopes import Scope, primary_scope
from postgres.writer import LedgerTable, WritePath
from tests.unit.drill_samples import MadeUp, Op, sample
from tests.unit.postgres_samples import context

LED_BY_PG1 = {"payments": Observation(("pg1",), 1)}
Choice = Callable[[Context, Scope, Seen], Fault]

CHOICES: dict[str, Choice] = {
    "node": lambda made, scope, seen: node_of_leader(made, scope, seen, Random(1)),
    "postmaster": lambda made, scope, seen: postmaster_of_leader(made, scope, seen, Random(1)),
    "Patroni": lambda made, scope, seen: patroni_of_leader(made, scope, seen, Random(1)),
    "cut": lambda made, scope, seen: primary_isolation(made, scope, seen, Random(1)),
    "switchover": lambda made, scope, seen: switchover(made, scope, seen, Random(1)),
    "synchronous": lambda made, scope, seen: synchronous_off(made, scope, seen, Random(1)),
    "archive": lambda made, scope, seen: archive_outage(made, scope, "700", seen, Random(1)),
    "pool": lambda made, scope, seen: pool_of_leader(made, scope, seen, Random(1)),
    "standby": lambda made, scope, seen: node_of_standby(made, scope, seen, Random(1)),
}


class Breakable:
    """Says what it was asked to do."""

    name = "fake"

    def kill(self, servers: Sequence[Server], program: str | None = None) -> Hit:
        return Hit(1.5, f"kill {program} of {[server.name for server in servers]}")

    def freeze(self, servers: Sequence[Server], program: str | None = None) -> Hit:
        return Hit(1.5, f"freeze {program} of {[server.name for server in servers]}")

    def thaw(self, servers: Sequence[Server]) -> None:
        raise NotImplementedError


@pytest.fixture
def made(tmp_path: Path) -> Context:
    return replace(context(tmp_path), target=cast("Target", Breakable()))


# Whom to hit


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize(
    "seen",
    [{}, {"payments": Observation(())}, {"payments": Observation(("pg1", "pgsync1"))}],
    ids=["nothing seen", "nobody leads", "two lead"],
)
def test_without_one_leader_there_is_no_target(made: Context, choice: Choice, seen: Seen) -> None:
    with pytest.raises(InconclusiveError):
        choice(made, primary_scope(made), seen)


def test_the_node_that_leads_is_killed_whole(made: Context) -> None:
    fault = CHOICES["node"](made, primary_scope(made), {"payments": Observation(("pgsync1",), 2)})
    assert fault.name == "SIGKILL pgsync1"
    assert fault.undo == UndoRecord(START_SERVERS, ("pgsync1", "pgsync1-pgbouncer"))


def test_one_program_is_hit_and_no_other(made: Context) -> None:
    scope = primary_scope(made)
    postmaster = CHOICES["postmaster"](made, scope, LED_BY_PG1)
    assert postmaster.inject().proof == "kill postgres of ['pg1']"
    guardian = CHOICES["Patroni"](made, scope, LED_BY_PG1)
    assert guardian.inject().proof == "freeze patroni of ['pg1']"
    assert guardian.undo.targets == postmaster.undo.targets == ("pg1",)


@pytest.mark.parametrize("choice", ["node", "postmaster", "Patroni", "cut"])
def test_a_target_that_cannot_do_it_is_named(tmp_path: Path, choice: str) -> None:
    far = replace(context(tmp_path), target=cast("Target", type("T", (), {"name": "far"})()))
    with pytest.raises(MissingPrerequisiteError, match="far target"):
        CHOICES[choice](far, primary_scope(far), LED_BY_PG1).inject()


def test_the_primary_is_cut_from_its_peers_and_from_nobody_else(made: Context) -> None:
    cut = CHOICES["cut"](made, primary_scope(made), LED_BY_PG1)
    assert isinstance(cut, IsolateServers)
    assert {server.name for server in cut.servers} == {"pg1", "pg1-pgbouncer"}
    peers = {server.name for server in cut.peers}
    assert peers == {"etcd-1", "etcd-2", "etcd-3", "pgsync1", "pgsync1-pgbouncer"}
    assert cut.undo == UndoRecord(
        REJOIN_NETWORK, ("pg1", "pg1-pgbouncer"), {"name": "payments_primary"}
    )


def test_etcd_is_lost_one_by_chance_then_whole(made: Context) -> None:
    scope = primary_scope(made)
    victims = {one_etcd(made, scope, {}, Random(seed)).undo.targets for seed in range(20)}
    assert victims == {("etcd-1",), ("etcd-2",), ("etcd-3",)}
    rest = all_etcd(made, scope, {}, Random(1))
    assert rest.undo == UndoRecord(START_SERVERS, ("etcd-1", "etcd-2", "etcd-3"))


def roles(monkeypatch: pytest.MonkeyPatch, **of: str) -> None:
    """What the scope's Patroni says of its members now."""
    view = ClusterView(tuple(Member(name, role, "running") for name, role in of.items()))
    monkeypatch.setattr(patroni, "view_of", lambda _members: view)


def test_the_standby_that_commits_wait_for_now_is_killed(
    made: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = primary_scope(made)
    roles(monkeypatch, pg1="leader", pgsync1="sync_standby")
    fault = CHOICES["standby"](made, scope, LED_BY_PG1)
    assert fault.undo.targets == ("pgsync1", "pgsync1-pgbouncer")
    roles(monkeypatch, pg1="sync_standby", pgsync1="leader")
    fault = CHOICES["standby"](made, scope, {"payments": Observation(("pgsync1",), 2)})
    assert fault.undo.targets == ("pg1", "pg1-pgbouncer")
    roles(monkeypatch, pg1="replica", pgsync1="leader")
    with pytest.raises(InconclusiveError, match="no synchronous standby now"):
        CHOICES["standby"](made, scope, {"payments": Observation(("pgsync1",), 2)})


def test_the_edge_loses_one_proxy_and_the_leaders_pool(made: Context) -> None:
    victims = {one_proxy(made, {}, Random(seed)).undo.targets for seed in range(20)}
    assert victims == {("haproxy-1",), ("haproxy-2",)}
    pool = CHOICES["pool"](made, primary_scope(made), LED_BY_PG1)
    assert isinstance(pool, KillServers)
    assert [server.name for server in pool.servers] == ["pg1-pgbouncer"]


def test_the_archives_rights_are_in_the_journal_before_they_are_taken(made: Context) -> None:
    undo = CHOICES["archive"](made, primary_scope(made), LED_BY_PG1).undo
    assert undo.args == {"folder": str(made.layout.archive), "mode": "700"}


# What is known without a cluster


def test_specs_are_complete() -> None:
    names = [spec.name for spec in DRILLS]
    assert len(names) == len(set(names))
    for spec in DRILLS:
        assert spec.hypothesis.endswith("."), spec.name
        assert spec.fault, spec.name
        assert spec.must_hold, spec.name
        assert 30 <= spec.seconds <= 300, spec.name
        assert "postgres" in spec.tags, spec.name
        assert spec.name.startswith("edge-") == ("edge" in spec.tags), spec.name


@pytest.mark.parametrize(
    ("skip", "edits"),
    [
        (not_synchronous, {"postgres.synchronous_mode": False, "sla.postgres.rpo": 5}),
        (no_failsafe, {"postgres.failsafe_mode": False}),
        (lone_proxy, {"edge.haproxies": 1}),
        (
            no_archive_folder,
            {
                "archive.repositories": [
                    {"type": "s3", "endpoint": "s3.example.org", "bucket": "wal"}
                ]
            },
        ),
    ],
)
def test_a_topology_that_gives_nothing_to_drill_says_why(
    tmp_path: Path, skip: Callable[[Context], str], edits: dict[str, object]
) -> None:
    assert skip(context(tmp_path)) == ""
    assert skip(context(tmp_path, edits))


def test_a_crash_fails_over_at_once_only_without_patience() -> None:
    assert effect_of({"primary_start_timeout": 20}) is Effect.SAME_LEADER
    assert effect_of({"primary_start_timeout": 0}) is Effect.NEW_LEADER


def test_where_recovery_would_begin() -> None:
    control = (
        "Latest checkpoint location:           0/9000098\n"
        "Latest checkpoint's REDO location:    0/9000060\n"
        "Latest checkpoint's TimeLineID:       2\n"
    )
    assert checkpoint(control) == ("2", "0/9000060")
    assert checkpoint("pg_controldata: error: could not open file") is None


def test_where_the_wal_ends() -> None:
    records = (
        "rmgr: Btree       len (rec/tot):     64/    64, tx:       4897, lsn: 0/0A005718, "
        "prev 0/0A0056D8, desc: INSERT_LEAF off 184\n"
        "rmgr: XLOG        len (rec/tot):     24/    24, tx:          0, lsn: 0/0A0057C8, "
        "prev 0/0A005780, desc: SWITCH \n"
        'pg_waldump: error: could not find file "00000001000000000000000B"\n'
    )
    assert last_record(records) == "0/0A0057C8"
    assert last_record("pg_waldump: error: invalid WAL location") is None


def test_wal_segments_by_name() -> None:
    assert wal.following("0000000100000000000000FE", "000000020000000100000001") == (
        "0000000200000000000000FE",
        "0000000200000000000000FF",
        "000000020000000100000000",
        "000000020000000100000001",
    )
    listing = (
        "15-1\n15-1/0000000100000000\n"
        "15-1/0000000100000000/000000010000000000000002-4c239b0b084decdbfb523661bbb2ee5584432d93.lz4\n"
        "15-1/0000000100000000/000000010000000000000002.00000028.backup\n"
        "15-1/0000000100000000/000000010000000000000001-0c3ce4a55fce49d819ae7ed8ba7c1dbafd9a100b.lz4\n"
        "15-1/00000002.history\n"
    )
    assert parse_listing(listing) == ("000000010000000000000001", "000000010000000000000002")


# Checkers


def run_check(check: Check, run: MadeUp, folder: Path, **files: object) -> list[Finding]:
    """What a checker says of a made-up run whose collected files hold this JSON."""
    run.write(folder)
    (folder / COLLECTED).mkdir()
    for name, value in files.items():
        path = folder / COLLECTED / f"{name.replace('_', '-')}.json"
        path.write_text(json.dumps(value), "utf-8")
    return list(check(Measures(load_run(folder))))


def validities(findings: Sequence[Finding]) -> list[Validity]:
    return [finding.validity for finding in findings]


def changes(*more: Sample) -> list[Sample]:
    """a1 led until the fault at 20 s, a2 leads from 24 s; and what more was seen."""
    seen = [sample(-1, "a1", epoch=1), sample(21, epoch=1), sample(24, "a2", epoch=2), *more]
    return sorted(seen, key=lambda each: each.ended_ns)


@pytest.mark.parametrize(
    ("more", "validity"),
    [
        ([], Validity.VALID),
        ([sample(25, "a2", epoch=2, stale=("a1",))], Validity.INVALID),
        ([sample(23, "a1", "a2")], Validity.INVALID),
        ([sample(10, "a1", epoch=1, stale=("a2",))], Validity.VALID),  # before the fault
    ],
)
def test_two_that_take_writes_are_seen(
    tmp_path: Path, more: list[Sample], validity: Validity
) -> None:
    run = MadeUp(samples=changes(*more))
    found = run_check(drill_checks.demoted_first, run, tmp_path / "run")
    assert validities(found) == [validity]


def test_without_another_leader_nobody_was_demoted_first(tmp_path: Path) -> None:
    run = MadeUp(samples=[sample(-1, "a1", epoch=1)])
    found = run_check(drill_checks.demoted_first, run, tmp_path / "run")
    assert validities(found) == [Validity.UNKNOWN]


@pytest.mark.parametrize(
    ("late", "validity"),
    [
        (None, Validity.VALID),
        (Op(30.0, Outcome.ACKED), Validity.INVALID),
        (Op(45.0, Outcome.ACKED), Validity.INVALID),  # after the undo: a late one
        (Op(22.0, Outcome.ACKED), Validity.VALID),  # sent before the other was elected
    ],
)
def test_an_old_side_that_acknowledges_is_seen(
    tmp_path: Path, late: Op | None, validity: Validity
) -> None:
    def op(due: float) -> Op:
        if late and due == late.due:
            return late
        return Op(due) if due < 20 else Op(due, Outcome.UNKNOWN, done=due + 5)

    run = MadeUp(
        op=op, samples=changes(), promise=Promise(Availability.UNJUDGED), name="payments straight"
    )
    found = run_check(drill_checks.old_side_silent, run, tmp_path / "run")
    assert validities(found) == [validity]


@pytest.mark.parametrize(
    ("seen", "validity"),
    [
        ({"leader": "pg1", "active": True, "etcd_answering": 0}, Validity.VALID),
        ({"leader": "pg1", "active": False, "etcd_answering": 0}, Validity.UNKNOWN),
        ({"leader": "pg1", "active": True, "etcd_answering": 2}, Validity.UNKNOWN),
    ],
)
def test_failsafe_must_have_been_at_work(
    tmp_path: Path, seen: dict[str, object], validity: Validity
) -> None:
    found = run_check(drill_checks.failsafe, MadeUp(), tmp_path / "run", failsafe=seen)
    assert validities(found) == [validity]


ALL_KEPT = {
    "waiting": ["0000000200000000000000FE", "0000000200000000000000FF"],
    "present": ["0000000200000000000000FE", "0000000200000000000000FF"],
    "last": "0000000200000000000000FF",
}
ARCHIVED = {"archived": ["0000000200000000000000FE", "0000000200000000000000FF"]}


@pytest.mark.parametrize(
    ("during", "after", "validity", "words"),
    [
        (ALL_KEPT, ARCHIVED, Validity.VALID, "2 segments waited"),
        ({**ALL_KEPT, "waiting": []}, ARCHIVED, Validity.UNKNOWN, "not felt"),
        (
            {**ALL_KEPT, "waiting": ["000000010000000000000007", *ALL_KEPT["waiting"]]},
            ARCHIVED,
            Validity.INVALID,
            "the archive lacks 000000010000000000000007",  # of an older timeline
        ),
        (
            {**ALL_KEPT, "present": ALL_KEPT["waiting"][1:]},
            ARCHIVED,
            Validity.INVALID,
            "removed before it was archived: 0000000200000000000000FE",
        ),
        (
            ALL_KEPT,
            {"archived": ["0000000200000000000000FF"]},
            Validity.INVALID,
            "the archive lacks 0000000200000000000000FE",
        ),
    ],
)
def test_a_gap_in_the_archive_is_seen(
    tmp_path: Path,
    during: dict[str, object],
    after: dict[str, object],
    validity: Validity,
    words: str,
) -> None:
    [found] = run_check(
        drill_checks.caught_up,
        MadeUp(),
        tmp_path / "run",
        archive_outage=during,
        archive_after=after,
    )
    assert (found.validity, words in found.message) == (validity, True), found


@dataclass(frozen=True)
class Named:
    """As much of a stream's configuration as the checker asks for."""

    name: str
    workers: int = 8
    rate: float = 50.0


@dataclass(frozen=True)
class Served:
    """A stream, and when it was served for good again (monotonic ns)."""

    config: Named
    sustained_ns: int | None


@dataclass(frozen=True)
class ServedAgain:
    """As much of a run's measures as the checker asks for."""

    streams: tuple[Served, ...]
    fault: str = "switchover"


@pytest.mark.parametrize(
    ("kept", "fresh", "validity"),
    [
        (7.0, 5.0, Validity.VALID),
        (4.0, 5.0, Validity.VALID),
        (8.2, 5.0, Validity.INVALID),
        (None, 5.0, Validity.INVALID),
        (5.0, None, Validity.UNKNOWN),
    ],
)
def test_a_session_that_stays_stale_is_seen(
    kept: float | None, fresh: float | None, validity: Validity
) -> None:
    def served(name: str, seconds: float | None) -> Served:
        return Served(Named(name), None if seconds is None else round(seconds * 1e9))

    run = ServedAgain((served("payments kept", kept), served("payments fresh", fresh)))
    found = drill_checks.pooled_as_fresh(cast("Measures", run))
    assert validities(list(found)) == [validity]


WHOLE = {"payments.payment": "7 1234"}


@pytest.mark.parametrize(
    ("members", "validity", "words"),
    [
        ({"pg1": (WHOLE, 0), "pgsync1": (WHOLE, 0)}, Validity.VALID, "1 tables read whole"),
        ({"pg1": (WHOLE, 0)}, Validity.UNKNOWN, "on 1 members"),
        ({"pg1": (WHOLE, 0), "pgsync1": (WHOLE, 2)}, Validity.INVALID, "checksum on pgsync1"),
        (
            {"pg1": (WHOLE, 0), "pgsync1": ({"payments.payment": "6 99"}, 0)},
            Validity.INVALID,
            "differ in payments.payment",
        ),
        ({"pg1": (WHOLE, 0), "pgsync1": ({}, 0)}, Validity.INVALID, "differ in"),
    ],
)
def test_a_copy_that_is_not_whole_is_seen(
    tmp_path: Path,
    members: dict[str, tuple[dict[str, str], int]],
    validity: Validity,
    words: str,
) -> None:
    copies = {
        name: {"tables": tables, "checksum_failures": failures}
        for name, (tables, failures) in members.items()
    }
    [found] = run_check(
        drill_checks.no_corruption, MadeUp(), tmp_path / "run", copies={"members": copies}
    )
    assert (found.validity, words in found.message) == (validity, True), found


@pytest.mark.parametrize(
    ("samples", "validity", "words"),
    [
        ([True, False, True], Validity.VALID, "9.9 s without"),
        ([True, False], Validity.INVALID, "did not come back"),
        ([True, True], Validity.UNKNOWN, "never seen to be away"),
    ],
)
def test_exposure_is_told_and_must_end(
    tmp_path: Path, samples: list[bool], validity: Validity, words: str
) -> None:
    seen = [
        sample(at, "a1", epoch=1, protected=protected)
        for at, protected in zip((-1, 21, 31), samples, strict=False)
    ]
    run = MadeUp(samples=seen, effect=Effect.SAME_LEADER)
    [found] = run_check(drill_checks.exposure, run, tmp_path / "run")
    assert (found.validity, words in found.message) == (validity, True), found


@pytest.mark.parametrize(
    ("at", "words"), [(24, "took over after 4.0 s"), (45, "no standby took over")]
)
def test_who_served_while_the_volume_was_full(tmp_path: Path, at: float, words: str) -> None:
    run = MadeUp(samples=[sample(-1, "a1", epoch=1), sample(at, "a2", epoch=2)])
    [found] = run_check(drill_checks.while_full, run, tmp_path / "run")
    assert (found.validity, words in found.message) == (Validity.VALID, True), found


def test_checks_are_known_by_the_names_that_drills_give() -> None:
    assert set(CHECKS) >= {
        drill_checks.DEMOTED_FIRST,
        drill_checks.OLD_SIDE_SILENT,
        drill_checks.FAILSAFE,
        drill_checks.CAUGHT_UP,
        drill_checks.POOLED_AS_FRESH,
    }


def test_what_was_never_made_is_not_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose precondition is not met ends without a word of rows that are not there."""
    monkeypatch.setattr("postgres.writer.superuser", None)  # whoever asks for one fails
    LedgerTable(context(tmp_path), WritePath("pooled", names.POOLED_PORT, 1.0)).discard()
