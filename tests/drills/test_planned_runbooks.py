"""Runbooks for a day that somebody chose: nothing is wrong, and `doctor` finds nothing."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster.clock import wait_for
from cluster.inventory import Kind
from runbooks.catalogue import catalogue
from runbooks.facts.reading import look
from skillswap_ops.runbooking import sla_seconds
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab, make_lab, remove_lab
from tests.drills.runbook_conditions import (
    leader,
    primary_of,
    servers,
    standby,
)
from tests.drills.runbook_ledger import Ledger
from tests.drills.runbook_proving import Row, record, safe_answers, wait_until_healthy

pytestmark = [pytest.mark.servers, pytest.mark.exhaustive]
SWITCHOVER = {
    "time": True,
    "engine": "postgres",
    "switchover": True,
    "mongo-too": True,
    "stepdown": True,
}
THIRD = {"name": "shard-c", "segment": "sessions_messages", "members": 3}


def answers(folder: Path, runbook: str, given: dict[str, object]) -> str:
    path = folder / f"{runbook}.yaml"
    path.write_text(yaml.safe_dump({**safe_answers(runbook), **given}))
    return str(path)


def row(context: LocalContext, name: str, took: float, judged: tuple[int, int]) -> Row:
    acked, lost = judged
    assert acked
    assert not lost
    promised = sla_seconds(context.topology.sla, catalogue()[name].front.sla) or 0.0
    return Row(name, 0.0, took, promised, acked, lost)


def leads(context: LocalContext) -> tuple[str, str]:
    return leader(context), primary_of(context, "shard-a")


def test_a_planned_switchover_moves_both_leads(
    shared_lab: Lab, table: list[Row], tmp_path: Path
) -> None:
    wait_until_healthy(shared_lab, 120)
    context, name = shared_lab.context, "planned-switchover"
    before = leads(context)
    with Ledger(context) as ledger:
        began = time.monotonic()
        given = answers(tmp_path, name, dict(SWITCHOVER))
        shared_lab.run("runbook", "run", name, "--answers", given, seconds=600)
        took = time.monotonic() - began
        assert all(one != other for one, other in zip(before, leads(context), strict=True))
        wait_until_healthy(shared_lab, 120)
        table.append(row(context, name, took, ledger.judge()))
    record(table[-1], "both primaries are to move")


def test_a_planned_upgrade_restarts_every_member_and_loses_nothing(
    shared_lab: Lab, table: list[Row], tmp_path: Path
) -> None:
    wait_until_healthy(shared_lab, 120)
    context, name = shared_lab.context, "planned-upgrade"
    upgraded = [one.name for one in context.inventory.of(Kind.SHARD)]
    upgraded += [leader(context), standby(context)]
    before = pids(context, upgraded)
    with Ledger(context) as ledger:
        began = time.monotonic()
        given = answers(tmp_path, name, {"install": True, "provision": True, "restart": True})
        shared_lab.run("runbook", "run", name, "--answers", given, seconds=1200)
        took = time.monotonic() - began
        wait_until_healthy(shared_lab, 120)
        table.append(row(context, name, took, ledger.judge()))
    after = pids(context, upgraded)
    assert all(before[one] != after[one] for one in upgraded)
    record(table[-1], "every member is started anew, in turn, as for a new minor version")


def pids(context: LocalContext, nodes: list[str]) -> dict[str, set[int | None]]:
    return {
        node: {context.target.state(one).pid for one in servers(context, node)} for node in nodes
    }


@pytest.fixture
def small_lab() -> Iterator[Lab]:
    """A cluster of its own, for a shard that is added stays."""
    members = [
        {"name": "pg1", "zone": "eu-west-a", "role": "primary"},
        {"name": "pg2", "zone": "eu-west-b", "role": "synchronous"},
    ]
    lab = make_lab(
        "127.97.0.0/16",
        "growing",
        postgres={"members": members, "etcd": 1},
        redis={"members": 0},
    )
    try:
        lab.run("provision")
        yield lab
        lab.run("destroy", "--yes")
    finally:
        remove_lab(lab)


def test_a_shard_is_added_by_the_file_that_the_run_names(
    small_lab: Lab, table: list[Row], tmp_path: Path
) -> None:
    """The run itself is of the cluster as it was: --topology names the file without the shard."""
    wait_until_healthy(small_lab, 120)
    name = "add-shard"
    topology = yaml.safe_load(small_lab.topology.read_text())
    topology["mongo"]["shards"].append(THIRD)
    grown = small_lab.home / "grown.yaml"
    grown.write_text(yaml.safe_dump(topology))
    given = answers(tmp_path, name, {"provision": True, "spread": False})
    with Ledger(small_lab.context) as ledger:
        began = time.monotonic()
        words = ("runbook", "run", name, "--file", str(grown), "--answers", given)
        small_lab.run(*words, seconds=600)
        took = time.monotonic() - began
        lab = Lab(small_lab.home, grown)
        wait_until_healthy(lab, 120)
        table.append(row(lab.context, name, took, ledger.judge()))
    sets = {one.name: one for one in look(lab.context, ["mongo_set"]).of("mongo_set")}
    assert sets["shard-c"].serving == 3  # type: ignore[attr-defined]
    wait_for("a third shard", lambda: "3 shards" in lab.run("status").stdout, seconds=60)
    record(table[-1], "a third shard is wanted")
