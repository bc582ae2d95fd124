"""The drills' pure parts: whom to hit, what to skip, and what the evidence amounts to."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import cast

import bson
import pytest
from bson.int64 import Int64

from cluster.context import Context
from cluster.drill.contracts import Fault, Observation, Promise, Seen, UndoRecord
from cluster.drill.evidence import COLLECTED
from cluster.drill.judge import recheck
from cluster.drill.ledger import op_id
from cluster.drill.outcome import Outcome
from cluster.drill.verdict import Conclusion, Finding, Validity
from cluster.errors import InconclusiveError, MissingPrerequisiteError
from cluster.faults.freeze import THAW_SERVERS
from cluster.faults.isolate import REJOIN_NETWORK, IsolateServers
from cluster.faults.kill import START_SERVERS
from cluster.server import Server
from cluster.target import Hit, Target
from mongo import nodes
from mongo.drill_checks import (
    BOUNDED,
    CHECKS,
    COPIES,
    COPIES_FILE,
    ROLLBACK_FOLDER,
    ROLLBACK_INDEX,
    ROLLBACKS,
)
from mongo.drills import DRILLS, healers
from mongo.drills.slow_primary import SlowedOne
from mongo.faults.majority_kill import majority_kill
from mongo.faults.primary_freeze import primary_freeze
from mongo.faults.primary_isolation import primary_isolation
from mongo.faults.primary_kill import primary_kill
from mongo.faults.router_kill import router_kill
from mongo.faults.secondary_kill import secondary_kill
from mongo.faults.secondary_wipe import secondary_wipe
from mongo.faults.shard_kill import shard_kill
from mongo.faults.slow_member import slow_primary, slow_secondary
from mongo.faults.stepdown import ALLOW_ELECTION, stepdown
from mongo.faults.who import secondaries_of
from mongo.live import laggard
from mongo.nodes import SetNodes
from mongo.set_model import Answer, State
from tests.unit.drill_samples import FAULT, MadeUp, Op
from tests.unit.mongo_samples import context
from tests.unit.topology_samples import DELETED


class KillingTarget:
    """Says what it was asked to kill."""

    name = "fake"

    def kill(self, servers: tuple[Server, ...]) -> Hit:
        return Hit(1.5, f"killed {[server.name for server in servers]}")


@pytest.fixture
def breakable(tmp_path: Path) -> Context:
    return replace(context(tmp_path), target=cast("Target", KillingTarget()))


def test_the_primary_is_the_victim(breakable: Context) -> None:
    seen = {"shard-a": Observation(("shard-a-2",), 3), "shard-b": Observation(("shard-b-1",), 1)}
    fault = primary_kill(breakable, "shard-a", seen, Random(1))
    assert fault.name == "SIGKILL shard-a-2"
    assert fault.undo == UndoRecord(START_SERVERS, ("shard-a-2",))
    assert fault.inject() == Hit(1.5, "killed ['shard-a-2']")


@pytest.mark.parametrize("leaders", [(), ("shard-a-1", "shard-a-2")])
def test_without_one_primary_there_is_no_victim(
    breakable: Context, leaders: tuple[str, ...]
) -> None:
    with pytest.raises(InconclusiveError):
        primary_kill(breakable, "shard-a", {"shard-a": Observation(leaders)}, Random(1))


def test_before_the_first_sample_there_is_no_victim(breakable: Context) -> None:
    with pytest.raises(InconclusiveError):
        primary_kill(breakable, "shard-a", {}, Random(1))


def test_a_target_that_cannot_kill_is_named(tmp_path: Path) -> None:
    made = replace(context(tmp_path), target=cast("Target", type("T", (), {"name": "far"})()))
    fault = primary_kill(made, "shard-a", {"shard-a": Observation(("shard-a-1",))}, Random(1))
    with pytest.raises(MissingPrerequisiteError, match="far target"):
        fault.inject()


def test_names_are_unique() -> None:
    names = [drill.name for drill in DRILLS]
    assert "mongo-primary-kill" in names
    assert len(names) == len(set(names))


LED = {"shard-a": Observation(("shard-a-2",), 3)}


def hurt(made: Context) -> SetNodes:
    return nodes.shards(made)[0]


def test_the_primary_that_is_isolated_is_the_one_that_a_stream_writes_to(
    breakable: Context,
) -> None:
    fault = primary_isolation(breakable, hurt(breakable), lambda: "shard-a-2", LED, Random(1))
    assert isinstance(fault, IsolateServers)
    assert [server.name for server in fault.servers] == ["shard-a-2"]
    assert [server.name for server in fault.peers] == ["shard-a-1", "shard-a-3"]
    assert fault.undo == UndoRecord(REJOIN_NETWORK, ("shard-a-2",), {"name": "mongo_shard_a"})


def test_another_primary_than_the_one_written_to_is_not_hit(breakable: Context) -> None:
    """Else the stream that must be refused would write to the majority's side."""
    with pytest.raises(InconclusiveError, match=r"shard-a-2 leads .* shard-a-1 did"):
        primary_isolation(breakable, hurt(breakable), lambda: "shard-a-1", LED, Random(1))
    with pytest.raises(InconclusiveError, match="shard-a-1 did"):
        primary_freeze(breakable, "shard-a", lambda: "shard-a-1", LED, Random(1))
    frozen = primary_freeze(breakable, "shard-a", lambda: "shard-a-2", LED, Random(1))
    assert frozen.undo == UndoRecord(THAW_SERVERS, ("shard-a-2",))


@pytest.mark.parametrize("choose", [secondary_kill, secondary_wipe, slow_secondary])
def test_any_secondary_may_be_hit_and_never_the_primary(
    breakable: Context, choose: Callable[[Context, SetNodes, Seen, Random], Fault]
) -> None:
    seeds = range(20)
    victims = {choose(breakable, hurt(breakable), LED, Random(n)).undo.targets for n in seeds}
    assert victims == {("shard-a-1",), ("shard-a-3",)}
    again = {choose(breakable, hurt(breakable), LED, Random(7)).undo.targets for _ in seeds}
    assert len(again) == 1
    with pytest.raises(InconclusiveError):
        choose(breakable, hurt(breakable), {"shard-a": Observation()}, Random(1))


def test_an_arbiter_is_no_secondary(tmp_path: Path) -> None:
    made = context(tmp_path, {"mongo.shards[0].members": 2, "mongo.shards[0].arbiter": True})
    assert secondaries_of(hurt(made), LED) == ("shard-a-1",)


def test_the_slow_primary_is_the_one_that_leads(breakable: Context) -> None:
    fault = slow_primary(breakable, hurt(breakable), LED, Random(1))
    assert fault.name == "throttle shard-a-2 to 10%"


def test_the_slow_primary_is_stepped_down_though_it_does_not_say_that_it_leads(
    breakable: Context,
) -> None:
    slowed = SlowedOne(breakable, hurt(breakable))
    assert slowed.slow(LED, Random(1)).name == "throttle shard-a-2 to 10%"
    for seen in (LED, {"shard-a": Observation()}):
        assert slowed.step_down(seen, Random(1)).name == "replSetStepDown shard-a-2"
    with pytest.raises(InconclusiveError, match="shard-a-3 leads shard-a; shard-a-2 did"):
        slowed.step_down({"shard-a": Observation(("shard-a-3",), 4)}, Random(1))


@pytest.mark.parametrize(("members", "victims"), [(3, 2), (5, 3)])
def test_no_majority_is_left(tmp_path: Path, members: int, victims: int) -> None:
    made = context(tmp_path, {"mongo.shards[0].members": members})
    found = [majority_kill(made, hurt(made), LED, Random(seed)).undo.targets for seed in range(40)]
    assert {len(targets) for targets in found} == {victims}
    assert members - victims < members // 2 + 1
    assert {"shard-a-2" in targets for targets in found} == {True, False}
    with pytest.raises(InconclusiveError):
        majority_kill(made, hurt(made), {}, Random(1))


def test_a_whole_shard_and_any_router(breakable: Context) -> None:
    assert shard_kill(breakable, hurt(breakable), {}, Random(1)).undo.targets == (
        "shard-a-1",
        "shard-a-2",
        "shard-a-3",
    )
    routers = {router_kill(breakable, {}, Random(seed)).undo.targets for seed in range(20)}
    assert routers == {("router-1",), ("router-2",)}


def test_a_step_down_is_undone_by_allowing_elections(breakable: Context) -> None:
    fault = stepdown(breakable, "shard-a", LED, Random(1))
    assert fault.undo == UndoRecord(ALLOW_ELECTION, ("shard-a-2",))
    assert ALLOW_ELECTION in healers(breakable)


def test_every_drill_says_what_it_is() -> None:
    for spec in DRILLS:
        assert spec.name.startswith("mongo-")
        assert spec.hypothesis.endswith(".")
        assert spec.fault, spec.name
        assert spec.must_hold, spec.name
        assert 30 <= spec.seconds <= 150, spec.name
        assert "mongo" in spec.tags
        alone = {"mongo-stepdown", "mongo-pitr", "mongo-backup-corruption"}  # nothing of a target
        assert spec.needs or spec.name in alone


@pytest.mark.parametrize(
    ("edits", "skipped"),
    [
        ({}, {}),
        ({"mongo.routers": 1}, {"mongo-router-loss": "there is one router"}),
        ({"mongo.config_servers.members": 1}, {"mongo-config-loss": "config has 1 votes"}),
        (
            {"mongo.shards[1]": DELETED},
            {"mongo-shard-offline": "there is one segment"},
        ),
    ],
)
def test_a_topology_that_gives_nothing_to_drill(
    tmp_path: Path, edits: dict[str, object], skipped: dict[str, str]
) -> None:
    made = context(tmp_path, edits)
    found = {spec.name: why for spec in DRILLS if (why := spec.skip(made))}
    assert found.keys() == skipped.keys()
    for name, why in skipped.items():
        assert found[name].startswith(why)


def test_with_one_member_only_what_needs_no_second_is_left(tmp_path: Path) -> None:
    made = context(tmp_path, {"mongo.shards[0].members": 1})
    left = {spec.name for spec in DRILLS if not spec.skip(made)}
    assert left == {
        "mongo-shard-offline",
        "mongo-config-loss",
        "mongo-router-loss",
        "mongo-pitr",
        "mongo-backup-corruption",
    }


def test_what_is_not_backed_up_is_not_restored(tmp_path: Path) -> None:
    made = context(tmp_path, {"mongo.backup.enabled": False})
    skipped = {spec.name for spec in DRILLS if spec.skip(made)}
    assert skipped == {"mongo-pitr", "mongo-pitr-failover", "mongo-backup-corruption"}


@pytest.fixture
def lossy(tmp_path: Path) -> Path:
    """A run that lost its operations 3 and 5, without any evidence collected."""
    made = MadeUp(
        promise=Promise(rto=30, rpo=300, must_lose=True),
        read=lambda ids: [op for op in ids if op not in LOST],
        checks=(ROLLBACKS,),
    )
    return made.write(tmp_path / "run")


LOST = (op_id(1, 3), op_id(1, 5))


def plant(run: Path, *ids: int) -> Path:
    """Rollback files of these documents, as `collect_rollbacks` leaves them."""
    folder = run / COLLECTED / ROLLBACK_FOLDER
    file = folder / UUID / "shard-a-2" / "removed.2026-03-01T12-00-00.0.bson"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"".join(bson.encode({"_id": Int64(op)}) for op in ids))
    (folder / ROLLBACK_INDEX).write_text(json.dumps({UUID: "majority"}), encoding="utf-8")
    return file


UUID = "6f0c55a8-6be9-4c19-92d2-6b9b6c2c2f2e"


def said(run: Path, check: str) -> list[Finding]:
    return [found for found in recheck(run, CHECKS).findings if found.check == check]


def test_rollback_files_explain_a_loss(lossy: Path) -> None:
    plant(lossy, *LOST, op_id(1, 200))
    [finding] = said(lossy, ROLLBACKS)
    assert finding.validity is Validity.VALID
    assert finding.message == "explain all 2 lost writes; 3 were taken back in all"
    assert recheck(lossy, CHECKS).conclusion is Conclusion.PASS


def test_a_lost_write_that_no_rollback_file_explains(lossy: Path) -> None:
    plant(lossy, LOST[0])
    [finding] = said(lossy, ROLLBACKS)
    assert finding.validity is Validity.INVALID
    assert finding.message == f"1 of 2 lost writes are in no rollback file ({LOST[1]})"
    assert recheck(lossy, CHECKS).conclusion is Conclusion.FAIL


def test_rollback_files_that_cannot_be_read_prove_nothing(lossy: Path) -> None:
    file = plant(lossy, *LOST)
    file.write_bytes(file.read_bytes()[:-3])
    [finding] = said(lossy, ROLLBACKS)
    assert finding.validity is Validity.UNKNOWN
    assert "is damaged" in finding.message


def test_rollback_files_that_were_not_collected(lossy: Path) -> None:
    [finding] = said(lossy, ROLLBACKS)
    assert finding.validity is Validity.UNKNOWN


@pytest.mark.parametrize(
    ("compared", "validity"),
    [
        ({"s.c": {"a": "1f", "b": "1f", "c": "1f"}}, Validity.VALID),
        ({"s.c": {"a": "1f", "b": "1f", "c": "2e"}}, Validity.INVALID),
        ({"s.c": {"a": "1f", "b": "1f", "c": ""}}, Validity.UNKNOWN),
        ({"s.c": {"a": "1f"}}, Validity.UNKNOWN),
        ({}, Validity.UNKNOWN),
        (None, Validity.UNKNOWN),
    ],
)
def test_copies(
    tmp_path: Path, compared: dict[str, dict[str, str]] | None, validity: Validity
) -> None:
    run = MadeUp(checks=(COPIES,)).write(tmp_path / "run")
    if compared is not None:
        (run / COLLECTED).mkdir()
        (run / COLLECTED / COPIES_FILE).write_text(json.dumps(compared), encoding="utf-8")
    assert [finding.validity for finding in said(run, COPIES)] == [validity]


@pytest.mark.parametrize(
    ("took", "validity"), [(5.0, Validity.VALID), (5.9, Validity.VALID), (6.1, Validity.INVALID)]
)
def test_errors_are_bounded_by_the_deadline(
    tmp_path: Path, took: float, validity: Validity
) -> None:
    """The made-up stream's deadline is 5 s."""
    made = MadeUp(
        op=lambda due: Op(due, Outcome.UNKNOWN, done=due + took) if due == FAULT else Op(due),
        checks=(BOUNDED,),
    )
    assert [found.validity for found in said(made.write(tmp_path / "run"), BOUNDED)] == [validity]


def test_without_an_error_nothing_is_said_of_its_bound(tmp_path: Path) -> None:
    run = MadeUp(op=Op, checks=(BOUNDED,)).write(tmp_path / "run")
    assert [finding.validity for finding in said(run, BOUNDED)] == [Validity.UNKNOWN]


def answers(*seconds: int) -> list[Answer]:
    return [
        Answer(f"127.77.1.{n}:27018", state=State.SECONDARY, applied=(second, 1))
        for n, second in enumerate(seconds, start=1)
    ]


def test_a_member_that_has_yet_to_take_back_its_own_writes_is_behind() -> None:
    """Cut off for 20 s, it calls itself a secondary as soon as it is back."""
    assert laggard(answers(1000, 1000, 980)) == "127.77.1.3:27018 is 20 s behind"
    assert laggard(answers(1000, 1001, 999)) == ""
    arbiter = Answer("127.77.1.100:27018", state=State.ARBITER)
    assert laggard([*answers(1000, 1000), arbiter]) == ""
    assert laggard([*answers(1000), Answer("h", silent="h does not answer")]) == "h does not answer"
