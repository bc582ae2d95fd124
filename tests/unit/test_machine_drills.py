"""Which machines a drill takes, how it is undone, and where it cannot be had."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import cast

import pytest

from cluster.context import Context
from cluster.drill.contracts import Observation, Seen, UndoRecord
from cluster.errors import InconclusiveError, MissingPrerequisiteError
from cluster.faults.kill import START_SERVERS
from cluster.faults.machines import OPEN_MACHINES, DrainMachine, LoseZone, open_again
from cluster.inventory import Node, inventory
from cluster.layout import Layout
from cluster.local.target import LocalTarget
from cluster.secrets import SecretStore
from cluster.target import CanKill, CanLoseMachines, Hit, Target
from manifests.kubernetes.programs import PodPrograms
from skillswap_ops.machine_drills import DRILLS
from skillswap_ops.machine_drills.machine_drain import machine_of_leader
from skillswap_ops.machine_drills.zone_loss import ZONE_LOSS, zone_of_leader
from tests.unit.topology_samples import topology

SEEN: Seen = {"payments": Observation(leaders=("pg1",))}
CHANCE = Random(1)


@dataclass
class Machines:
    """A target with a machine a node, which remembers what it was told."""

    name: str = "machines"
    told: list[tuple[str, ...]] = field(default_factory=list)

    def drain_machine(self, machine: str) -> Hit:
        self.told.append(("drain", machine))
        return Hit(1.0, "drained")

    def stop_zone(self, zone: str) -> Hit:
        self.told.append(("stop", zone))
        return Hit(1.0, "gone")

    def machine_of(self, node: Node) -> str:
        return f"machine-of-{node.name}"

    def machines_of(self, zone: str) -> tuple[str, ...]:
        return (f"{zone}-1", f"{zone}-2")

    def open_machines(self, machines: Sequence[str]) -> None:
        self.told.append(("open", *machines))


class Plain:
    """A target without machines."""

    name = "plain"


def context(tmp_path: Path, target: object) -> Context:
    shape = topology()
    return Context(
        topology=shape,
        inventory=inventory(shape),
        layout=Layout(tmp_path),
        secrets=SecretStore(tmp_path / "secrets"),
        target=cast("Target", target),
        programs=PodPrograms(),
    )


def test_a_drain_takes_the_machine_of_the_payments_primary(tmp_path: Path) -> None:
    target = Machines()
    fault = machine_of_leader(context(tmp_path, target), SEEN, CHANCE)
    assert fault.undo == UndoRecord(OPEN_MACHINES, ("machine-of-pg1",))
    fault.inject()
    assert target.told == [("drain", "machine-of-pg1")]


def test_a_lost_zone_is_that_of_the_payments_primary(tmp_path: Path) -> None:
    target = Machines()
    fault = zone_of_leader(context(tmp_path, target), SEEN, CHANCE)
    assert fault.undo == UndoRecord(OPEN_MACHINES, ("eu-west-a-1", "eu-west-a-2"))
    fault.inject()
    open_again(cast("Target", target))(fault.undo)
    assert target.told == [("stop", "eu-west-a"), ("open", "eu-west-a-1", "eu-west-a-2")]


def test_without_machines_a_zone_is_every_server_in_it(tmp_path: Path) -> None:
    fault = zone_of_leader(context(tmp_path, Plain()), SEEN, CHANCE)
    assert fault.undo.kind == START_SERVERS
    hit = set(fault.undo.targets)
    assert hit >= {"shard-a-1", "shard-b-1", "config-1", "router-1", "etcd-1", "pg1", "haproxy-1"}
    assert not {name for name in hit if name.endswith(("-2", "-3")) or name.startswith("pgdr")}


def test_the_standby_that_leads_now_is_the_one_that_is_hit(tmp_path: Path) -> None:
    seen: Seen = {"payments": Observation(leaders=("pgsync1",))}
    fault = zone_of_leader(context(tmp_path, Machines()), seen, CHANCE)
    assert fault.undo.targets == ("eu-west-b-1", "eu-west-b-2")


@pytest.mark.parametrize("leaders", [(), ("pg1", "pgsync1")])
def test_without_one_leader_there_is_no_target(tmp_path: Path, leaders: tuple[str, ...]) -> None:
    seen: Seen = {"payments": Observation(leaders=leaders)}
    for choose in (machine_of_leader, zone_of_leader):
        with pytest.raises(InconclusiveError):
            choose(context(tmp_path, Machines()), seen, CHANCE)


def test_a_target_without_machines_says_so() -> None:
    plain = cast("Target", Plain())
    record = UndoRecord(OPEN_MACHINES, ("m1",))
    for call in (
        DrainMachine(plain, "m1").inject,
        LoseZone(plain, "a").inject,
        lambda: open_again(plain)(record),
    ):
        with pytest.raises(MissingPrerequisiteError) as caught:
            call()
        assert "plain" in caught.value.message


def test_what_the_local_target_can(tmp_path: Path) -> None:
    """It loses zones as it loses nodes, and has no machine to drain."""
    local = LocalTarget.__new__(LocalTarget)
    needs = {spec.name: spec.needs for spec in DRILLS}
    assert needs == {"machine-drain": (CanLoseMachines,), "zone-loss": (CanKill,)}
    assert isinstance(local, CanKill)
    assert not isinstance(local, CanLoseMachines)


def test_a_topology_without_spare_members_has_nothing_to_drill(tmp_path: Path) -> None:
    whole = context(tmp_path, Machines())
    assert not ZONE_LOSS.skip(whole)
    alone = topology({"mongo.shards[0].members": 1})
    assert ZONE_LOSS.skip(replace(whole, topology=alone, inventory=inventory(alone)))
