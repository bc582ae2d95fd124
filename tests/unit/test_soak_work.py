"""Day-2 work in a soak: which there is, and what becomes of work that is refused or fails."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from cluster.drill.contracts import Observation, UndoRecord
from cluster.drill.injection import WorkFailedError
from cluster.errors import InconclusiveError, RefusedError, UnreachableError
from cluster.inventory import inventory
from skillswap_ops import soak_work
from skillswap_ops.healing import all_healers
from skillswap_ops.options import Selection
from skillswap_ops.soak_work import PATIENCE_SECONDS, Work, restart_of_everything, rounds
from skillswap_ops.upkeep import groups
from skillswap_ops.wiring import LocalContext, local_context

SEEN = {
    "shard-a": Observation(("shard-a-1",), 1),
    "shard-b": Observation(("shard-b-1",), 1),
    "payments": Observation(("pg1",), 1),
}


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return local_context(Selection(None, tmp_path, None, "local", "table"))


def test_every_kind_of_work_is_there_and_leaves_leaders_alone(context: LocalContext) -> None:
    found = {each.name: each for each in rounds(context)}
    assert set(found) == {
        *("work-stepdown", "work-resync", "work-switchover", "work-reinit"),
        *("work-restart-mongo", "work-restart-routers", "work-restart-etcd"),
        *("work-restart-postgres", "work-restart-proxies"),
    }
    healers = all_healers(context)
    for number in range(5):
        for each in found.values():
            [stage] = each.stages
            fault = stage.choose(SEEN, Random(number))
            assert fault.undo.kind in healers
            assert fault.undo.targets
            assert not each.lasts
            if each.name in {"work-resync", "work-reinit"}:
                assert not {"shard-a-1", "shard-b-1", "pg1"} & set(fault.name.split())


def test_a_restart_of_everything_is_that_of_the_command(context: LocalContext) -> None:
    work = restart_of_everything(context)
    [stage] = work.stages
    fault = stage.choose(SEEN, Random(0))
    members = {member for group in groups(context) for member in group.members}
    assert {*fault.undo.targets} >= members
    assert fault.undo.kind in all_healers(context)
    assert not work.lasts


def test_the_same_seed_chooses_the_same(context: LocalContext) -> None:
    for each in rounds(context):
        [stage] = each.stages
        names = {stage.choose(SEEN, Random(5)).name for _ in range(3)}
        assert len(names) == 1


def test_what_is_alone_is_not_restarted(context: LocalContext) -> None:
    fewer = context.topology.model_copy(
        update={
            "mongo": context.topology.mongo.model_copy(update={"routers": 1}),
            "edge": context.topology.edge.model_copy(update={"haproxies": 1}),
        }
    )

    small = replace(context, topology=fewer, inventory=inventory(fewer))
    names = {each.name for each in rounds(small)}
    assert "work-restart-mongo" in names
    assert not {"work-restart-routers", "work-restart-proxies"} & names


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def work(context: LocalContext, do: Callable[[], str]) -> tuple[Work, Clock]:
    clock = Clock()
    return Work(replace(context, clock=clock), "work", UndoRecord("start", ("a",)), do), clock


def test_work_that_is_done_says_when_it_began_and_what_it_did(context: LocalContext) -> None:
    made, _ = work(context, lambda: "all done")
    assert made.inject() == soak_work.Hit(100.0, "all done, in 0.0 s")


def test_work_that_fails_is_told_from_a_fault_that_was_not_proved(context: LocalContext) -> None:
    def do() -> str:
        raise UnreachableError("a is down")

    made, _ = work(context, do)
    with pytest.raises(WorkFailedError, match="a is down"):
        made.inject()


def test_a_refusal_is_patiently_asked_again(context: LocalContext) -> None:
    asked = []

    def do() -> str:
        asked.append(1)
        if len(asked) < 4:
            raise RefusedError("a is 12 s behind")
        return "done"

    made, clock = work(context, do)
    assert made.inject().proof == "done, in 3.0 s"

    def never() -> str:
        raise RefusedError("a is 12 s behind")

    made, clock = work(context, never)
    with pytest.raises(InconclusiveError, match="refused: a is 12 s behind"):
        made.inject()
    assert PATIENCE_SECONDS < clock.now - 100 < PATIENCE_SECONDS + 2
