"""`kill -9` of `drill run` in the middle of every kind of fault: `drill heal` leaves no trace."""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from cluster.clock import wait_for
from cluster.drill.eventlog import read_events
from cluster.drill.events import Injected
from cluster.drill.evidence import EVENTS, runs
from cluster.drill.journal import Journal
from cluster.drill.leftovers import Leftover
from cluster.errors import UnreachableError
from cluster.faults.fill import DRAIN_VOLUME
from cluster.faults.freeze import THAW_SERVERS
from cluster.faults.isolate import REJOIN_NETWORK
from cluster.faults.kill import START_SERVERS
from cluster.faults.machines import OPEN_MACHINES
from cluster.faults.throttle import RELEASE_SERVERS
from cluster.local import cgroups, firewall, processes
from cluster.local.partition import prefix
from cluster.local.volumes import BALLAST
from mongo import live, nodes
from mongo.drills import leftovers as mongo_leftovers
from mongo.faults import destroyed_data as mongo_destroyed
from mongo.faults import flipped_byte as mongo_flip
from mongo.faults.stepdown import ALLOW_ELECTION
from postgres import patroni
from postgres.drills import leftovers as postgres_leftovers
from postgres.faults import destroyed_data as postgres_destroyed
from postgres.faults import flipped_byte as postgres_flip
from postgres.faults.archive_outage import OPEN_ARCHIVE
from postgres.faults.region_lost import REGION_BACK
from postgres.faults.switchover import SETTLE_SWITCHOVER
from postgres.faults.synchronous_off import SYNCHRONOUS_AGAIN
from postgres.scopes import primary_scope
from skillswap_ops.drilling import chosen, why_skipped
from skillswap_ops.engines import all_servers
from skillswap_ops.healing import all_healers
from skillswap_ops.one_instant import RESTORE_BOTH
from skillswap_ops.wholeness import lacks
from tests.conftest import Lab

pytestmark = pytest.mark.servers
MOUNTS = Path("/proc/mounts")
WHOLE_SECONDS = 240.0
FAULT_SECONDS = 120.0


@dataclass(frozen=True)
class Case:
    """A drill with these kinds of faults. `stays`: the machine shows them until they are undone."""

    drill: str
    kinds: frozenset[str]
    stays: bool = True

    def __str__(self) -> str:
        return self.drill


CASES = (
    Case("pg-node-kill", frozenset({START_SERVERS})),
    Case("mongo-member-wipe", frozenset({START_SERVERS})),
    Case("mongo-primary-freeze", frozenset({THAW_SERVERS})),
    Case("pg-async", frozenset({SYNCHRONOUS_AGAIN, REJOIN_NETWORK})),
    Case("mongo-slow-member", frozenset({RELEASE_SERVERS}), stays=False),
    Case("mongo-stepdown", frozenset({ALLOW_ELECTION}), stays=False),
    Case("pg-archive-outage", frozenset({OPEN_ARCHIVE})),
    Case("pg-switchover", frozenset({SETTLE_SWITCHOVER}), stays=False),
    Case("pg-disk-full", frozenset({DRAIN_VOLUME})),
    Case("pg-backup-corruption", frozenset({postgres_flip.UNFLIP}), stays=False),
    Case("pg-pitr", frozenset({postgres_destroyed.RESTORE_TO}), stays=False),
    Case("pg-dr-promote", frozenset({REGION_BACK})),
    Case("mongo-backup-corruption", frozenset({mongo_flip.UNFLIP}), stays=False),
    Case("mongo-pitr", frozenset({mongo_destroyed.RESTORE_TO}), stays=False),
    Case("cross-store-pitr", frozenset({RESTORE_BOTH}), stays=False),
    Case("machine-drain", frozenset({OPEN_MACHINES}), stays=False),  # where there are machines
)


@dataclass(frozen=True)
class Traces:
    """Whatever a fault may leave on this machine."""

    tables: tuple[str, ...]
    groups: tuple[str, ...]
    dead: tuple[str, ...]
    stopped: tuple[str, ...]
    ballast: tuple[str, ...]
    mounts: tuple[str, ...]
    archive: str


@dataclass(frozen=True)
class Settings:
    """What an engine was told, and must be told again."""

    patroni: object
    write_concern: str
    sets: object


def traces(lab: Lab) -> Traces:
    context = lab.context
    root, tree, mine = context.layout.root, cgroups.tree(), prefix(context.layout.root)
    return Traces(
        tables=firewall.tables(mine) if os.geteuid() == 0 else (),
        groups=tuple(sorted(path.name for path in tree.glob(f"{mine}*"))) if tree else (),
        dead=tuple(
            each.name for each in all_servers(context) if not context.target.state(each).running
        ),
        stopped=_stopped(root),
        ballast=tuple(map(str, root.rglob(BALLAST))),
        mounts=tuple(line for line in MOUNTS.read_text().splitlines() if str(root) in line),
        archive=oct(context.layout.archive.stat().st_mode),
    )


def _stopped(root: Path) -> tuple[str, ...]:
    found = []
    for each in processes.owned(root):
        try:
            if psutil.Process(each.pid).status() == psutil.STATUS_STOPPED:
                found.append(each.server)
        except psutil.NoSuchProcess:
            continue
    return tuple(sorted(found))


def settings(lab: Lab) -> Settings:
    context = lab.context
    sets = {one.name: live.set_settings(context, one) for one in nodes.replica_sets(context)}
    leader = patroni.leader_of(primary_scope(context))
    return Settings(patroni.config(leader), live.live_default(context), sets)


def rows(lab: Lab) -> set[Leftover]:
    """What drills have written, in both engines."""
    context = lab.context
    return {*mongo_leftovers.leftovers(context), *postgres_leftovers.leftovers(context)}


# In CI the one of most kinds: the network, the archive's folder, a setting.
IN_CI = ("pg-async",)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=() if case.drill in IN_CI else pytest.mark.exhaustive)
        for case in CASES
    ],
    ids=str,
)
def test_a_killed_drill_leaves_no_trace_once_healed(shared_lab: Lab, case: Case) -> None:
    if why := _skipped(shared_lab, case.drill):
        pytest.skip(why)
    _wait_until_whole(shared_lab)
    before, others = (traces(shared_lab), settings(shared_lab)), rows(shared_lab)
    _kill_in_the_middle(shared_lab, case)
    during = traces(shared_lab)
    refusal = shared_lab.run("drill", "run", case.drill, "--yes", code=1)
    assert "still in place" in refusal.stderr
    assert "drill heal" in refusal.stderr
    assert "faults undone" in shared_lab.run("drill", "heal", "--yes").stderr
    assert "No fault" in shared_lab.run("drill", "heal", "--yes").stderr
    _wait_until_whole(shared_lab)
    assert (traces(shared_lab), settings(shared_lab)) == before
    assert rows(shared_lab) <= others
    assert during != before[0] or not case.stays, "the fault could not be seen"


def test_every_kind_of_undo_has_its_case(shared_lab: Lab) -> None:
    here = {kind for case in CASES for kind in case.kinds}
    assert here == set(all_healers(shared_lab.context))


def _kill_in_the_middle(lab: Lab, case: Case) -> None:
    """Start a drill, wait until all its faults are proved to have hit, and kill the harness."""
    drills, began = lab.context.layout.drills, set(runs(lab.context.layout.drills))
    spec = chosen([case.drill])[0].build(lab.context)
    for observer in spec.observers:
        observer.close()
    harness = subprocess.Popen(
        lab.command("drill", "run", case.drill, "--yes", "--phase", "0"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def injected() -> bool:
        assert harness.poll() is None, f"{case.drill} ended by itself with {harness.returncode}"
        new = sorted(set(runs(drills)) - began)
        events = read_events(new[-1] / EVENTS) if new and (new[-1] / EVENTS).exists() else ()
        hits = [event for event in events if isinstance(event.what, Injected)]
        return len(hits) == len(spec.stages)

    try:
        wait_for(f"the faults of {case.drill}", injected, seconds=FAULT_SECONDS)
    finally:
        os.killpg(harness.pid, signal.SIGKILL)
        harness.wait()
    open_kinds = {entry.undo.kind for entry in Journal(drills).open_entries()}
    assert case.kinds <= open_kinds


def _skipped(lab: Lab, drill: str) -> str:
    return why_skipped(lab.context, chosen([drill])[0])


def _wait_until_whole(lab: Lab) -> None:
    """Healthy, and every engine's own idea of whole; nothing here mends what is not."""

    def whole() -> bool:
        if missing := lacks(lab.context):
            raise UnreachableError(missing)
        shown = lab.run("status", code=None)
        if shown.returncode:
            raise UnreachableError(shown.stdout)
        return True

    wait_for("the cluster is not whole", whole, seconds=WHOLE_SECONDS, every=1)
