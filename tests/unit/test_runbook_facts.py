"""From what servers answer to facts; the reading of all of them at once."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cluster.backup.contracts import Backup, BackupKind
from cluster.context import Context
from cluster.errors import UnreachableError
from cluster.inventory import Kind, Node
from cluster.status import Health, NodeStatus
from mongo.nodes import SetNodes
from mongo.set_model import State
from postgres.etcd import MemberHealth
from postgres.patroni import parse_state
from postgres.scopes import Scope
from runbooks.conditions import NUMBER, TEXT, TRUTH
from runbooks.facts.around import backups_fact, confirmed, holds_lock, volume
from runbooks.facts.mongo import (
    Looked,
    Said,
    clock_offset,
    member_facts,
    parse_said,
    says_corrupt,
    set_fact,
)
from runbooks.facts.postgres import Inside, member_fact, pooler_fact, scope_fact
from runbooks.facts.reading import READERS, Reader, look
from runbooks.facts.records import KINDS, Facts, MongoSet, Unread, field_kinds

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
NODES = tuple(
    Node(f"shard-a-{n}", Kind.SHARD, "shard-a", "eu", "z", f"127.0.1.{n}") for n in (1, 2, 3)
)
SET = SetNodes("shard-a", NODES)
NAMES = {f"127.0.1.{n}:27018": f"shard-a-{n}" for n in (1, 2, 3)}


def status(state: int, *, heard: float | None = None, elected: datetime | None = None) -> Said:
    """A member's answer; `heard`: the first member is gone, last heard so long before noon."""
    members = [{"name": "me", "self": True}]
    for host in ("127.0.1.1:27018", "127.0.1.3:27018"):
        gone = heard is not None and host.startswith("127.0.1.1")
        at = NOON - timedelta(seconds=heard if gone and heard else 0)
        members.append({"name": host, "health": 0 if gone else 1, "lastHeartbeatRecv": at})  # type: ignore[dict-item]
    answer: dict[str, object] = {
        "myState": state,
        "members": members,
        "votingMembersCount": 3,
        "optimes": {"lastAppliedWallTime": NOON},
    }
    if elected:
        answer["electionCandidateMetrics"] = {
            "lastElectionDate": elected,
            "electionTimeoutMillis": 5000,
        }
    return parse_said("127.0.1.2:27018", answer)


def test_a_whole_set() -> None:
    looked = [Looked(NODES[1], status(1)), Looked(NODES[2], status(2)), Looked(NODES[0], status(2))]
    assert set_fact(SET, looked, NAMES) == MongoSet(
        "shard-a", "shard-a", "shard", 3, 3, 3, 2, "shard-a-2", False
    )


@pytest.mark.parametrize(
    ("heard", "elected", "lost"),
    [
        (5.0, NOON, True),  # heard until just before the election that its loss caused
        (600.0, NOON, False),  # gone long before: another reason
        (0.0, NOON - timedelta(hours=1), False),  # lost long after that election
        (None, NOON, False),  # nobody is gone
    ],
)
def test_a_member_that_is_gone_was_primary_if_the_election_followed_its_silence(
    heard: float | None, elected: datetime, lost: bool
) -> None:
    looked = [
        Looked(NODES[1], status(1, heard=heard, elected=elected)),
        Looked(NODES[2], status(2)),
        Looked(NODES[0], None),
    ]
    found = set_fact(SET, looked, NAMES)
    assert (found.primary, found.primary_lost) == ("shard-a-2", lost)


def test_members_lag_behind_the_newest() -> None:
    late = Said("h", State.SECONDARY, NOON - timedelta(seconds=40), None, 10.0, (), 3)
    looked = [Looked(NODES[0], status(1)), Looked(NODES[1], late), Looked(NODES[2], None, True)]
    facts = member_facts(SET, looked)
    assert [(one.name, one.lag_seconds, one.answers, one.corrupt) for one in facts] == [
        ("shard-a-1", None, True, None),
        ("shard-a-2", 40.0, True, None),
        ("shard-a-3", None, False, True),
    ]


def line(**fields: str) -> str:
    return json.dumps(fields)


def test_a_log_says_corrupt_since_the_last_start_alone() -> None:
    start = line(s="I", msg="MongoDB starting")
    bad = line(s="E", msg="WiredTiger error", attr="read checksum error for 4096B block")
    assert says_corrupt([start, bad])
    assert not says_corrupt([start, bad, start])
    assert not says_corrupt([start, line(s="I", msg="checksum is fine")])
    assert not says_corrupt(["no json checksum", "[1, 2]", ""])


def test_a_clock_is_off_by_what_asking_does_not_explain() -> None:
    second = timedelta(seconds=1)
    assert clock_offset(NOON, NOON + second, NOON + 2 * second) == 0
    assert clock_offset(NOON, NOON - 3 * second, NOON + second) == 3
    assert clock_offset(NOON, NOON + 5 * second, NOON + second) == 4


PG = tuple(
    Node(name, Kind.POSTGRES, "payments", "eu", "z", "127.0.2.1") for name in ("pg1", "pgsync1")
)
ETCD = tuple(Node(f"etcd-{n}", Kind.ETCD, "etcd", "eu", "z", "127.0.3.1") for n in (1, 2, 3))
SCOPE = Scope("payments", PG, ETCD)
LEADS = parse_state(
    {
        "state": "running",
        "role": "primary",
        "replication": [
            {"application_name": "pgsync1", "state": "streaming", "sync_state": "sync"}
        ],
    }
)
FOLLOWS = parse_state({"state": "running", "role": "replica", "replication_state": "streaming"})
PRIMARY = Inside(False, None, None, ())
STANDBY = Inside(True, 0.0, False, ())
GOOD = MemberHealth(leader=True, has_leader=True, term=1, version="3", bytes_used=1)


def test_a_scope_that_is_well() -> None:
    found = scope_fact(
        SCOPE, {"pg1": LEADS, "pgsync1": FOLLOWS}, {"pg1": PRIMARY, "pgsync1": STANDBY}, [GOOD] * 3
    )
    assert (found.primary, found.writable, found.attached, found.missing) == ("pg1", 1, True, "")
    assert (found.quorum, found.gone, found.answering) == (True, False, 2)


def test_a_primary_alone_says_who_is_missing() -> None:
    alone = parse_state({"state": "running", "role": "primary", "replication": []})
    found = scope_fact(SCOPE, {"pg1": alone}, {"pg1": PRIMARY, "pgsync1": None}, [GOOD] * 3)
    assert (found.attached, found.missing) == (False, "pgsync1")


def test_a_minority_of_etcd_is_no_quorum_though_it_remembers_a_leader() -> None:
    found = scope_fact(SCOPE, {"pg1": LEADS}, {"pg1": PRIMARY}, [GOOD, None, None])
    assert not found.quorum


def test_nothing_answers() -> None:
    found = scope_fact(SCOPE, {}, {"pg1": None, "pgsync1": None}, [None] * 3)
    assert (found.gone, found.writable, found.primary) == (True, 0, "")


def test_two_that_take_writes_are_no_primary() -> None:
    found = scope_fact(SCOPE, {"pg1": LEADS}, {"pg1": PRIMARY, "pgsync1": PRIMARY}, [GOOD] * 3)
    assert (found.writable, found.primary) == (2, "")


def test_of_a_member_that_is_silent_nothing_is_known() -> None:
    found = member_fact(SCOPE, PG[1], None, None)
    assert (found.answers, found.streaming, found.lag_seconds) == (False, None, None)
    assert member_fact(SCOPE, PG[1], FOLLOWS, STANDBY).streaming is True
    assert member_fact(SCOPE, PG[0], LEADS, PRIMARY).streaming is None


def test_a_pool_that_makes_its_clients_wait() -> None:
    pools = [
        {"cl_active": 20, "cl_waiting": 4, "maxwait": 3, "maxwait_us": 500_000},
        {"cl_active": 1, "cl_waiting": 0, "maxwait": 0, "maxwait_us": 0},
    ]
    found = pooler_fact(SCOPE, PG[0], pools)
    assert (found.clients, found.waiting, found.wait_seconds) == (24, 4, 3.5)


def test_the_kernel_says_who_holds_the_lock() -> None:
    table = "1: FLOCK  ADVISORY  WRITE 20710 fe:00:4711 0 EOF\n"
    assert holds_lock(table, "4711")
    assert not holds_lock(table, "471")
    assert not holds_lock("1: -> FLOCK  ADVISORY  WRITE 32100 fe:00:4711 0 EOF\n", "4711")
    assert not holds_lock("1: POSIX  ADVISORY  READ 1 fe:00:4711 0 EOF\n", "4711")


def test_only_good_backups_count() -> None:
    def backup(hours: float, *, good: bool) -> Backup:
        at = NOON - timedelta(hours=hours)
        return Backup("mongo", "x", BackupKind.FULL, at, at, 1, 1, 1, good)

    found = backups_fact(
        "mongo", [backup(30, good=True), backup(1, good=False)], NOON, NOON - timedelta(hours=48)
    )
    assert (found.count, found.age_hours, found.cluster_hours) == (1, 30.0, 48.0)
    assert backups_fact("mongo", [], NOON, NOON).age_hours is None


def test_a_volume(tmp_path: Path) -> None:
    found = volume("pg1", "wal", tmp_path)
    assert 0 < found.used_percent <= 100
    assert found.free_gb > 0


def test_the_fields_of_every_kind_are_numbers_text_or_truths() -> None:
    for kind in KINDS:
        assert set(field_kinds(kind).values()) <= {NUMBER, TEXT, TRUTH}
    fields = field_kinds("mongo_member")
    assert (fields["lag_seconds"], fields["locked"], fields["name"]) == (NUMBER, TRUTH, TEXT)


def test_every_kind_has_a_reader() -> None:
    assert set().union(*(one.kinds for one in READERS)) == set(KINDS)


def test_who_does_not_seem_well_is_asked_once_more() -> None:
    one, other = (Node(name, Kind.ROUTER, "router", "z", "r", "127.0.0.1") for name in ("r1", "r2"))
    well = [NodeStatus(one, Health.OK, "x"), NodeStatus(other, Health.OK, "x")]
    slow = [NodeStatus(one, Health.DOWN, "down"), well[1]]
    answers = iter([slow, well])
    assert confirmed(lambda: next(answers)) == tuple(well)
    answers = iter([slow, slow])
    assert confirmed(lambda: next(answers)) == tuple(slow)
    answers = iter([well])  # nobody is asked twice without a reason
    assert confirmed(lambda: next(answers)) == tuple(well)
    answers = iter([slow, [slow[0], NodeStatus(other, Health.DOWN, "down")]])
    assert confirmed(lambda: next(answers)) == tuple(
        slow
    )  # the first word stands where it is better


def test_who_fails_or_is_late_is_a_fact_and_no_error() -> None:
    release = threading.Event()

    def late(_: Context) -> Facts:
        release.wait(20)
        return Facts(())

    def refused(_: Context) -> Facts:
        raise UnreachableError("etcd-1 does not answer", "look")

    def broken(_: Context) -> Facts:
        raise KeyError("set")

    good = MongoSet("shard-a", "shard-a", "shard", 3, 3, 3, 2, "shard-a-1", False)
    readers = [
        Reader("late", late, frozenset({"mongo_set"})),
        Reader("refused", refused, frozenset({"mongo_set"})),
        Reader("broken", broken, frozenset({"mongo_set"})),
        Reader("good", lambda _: Facts((good,)), frozenset({"mongo_set"})),
        Reader("other", broken, frozenset({"proof"})),
    ]
    began = time.monotonic()
    try:
        seen = look(None, ["mongo_set"], seconds=0.3, readers=readers)  # type: ignore[arg-type]
    finally:
        release.set()
    assert time.monotonic() - began < 10
    assert seen == Facts(
        (good,),
        (
            Unread("late", "no answer within 0.3 s"),
            Unread("refused", "etcd-1 does not answer"),
            Unread("broken", "KeyError: 'set'"),
        ),
    )
