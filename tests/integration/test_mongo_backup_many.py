"""Proofs of MongoDB's backups that are repeated: instants by chance, kills at any moment."""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from cluster.backup.contracts import Target
from cluster.clock import wait_for
from cluster.errors import OpsError
from mongo import members, nodes
from mongo.backup import inplace, locking
from mongo.backup.engine import ENGINE
from mongo.nodes import names
from mongo.servers import servers
from mongo.set_model import State
from tests.conftest import Lab, make_lab, remove_lab
from tests.integration.backup_lab import Load, in_copy, live, shards, whole_second
from tests.integration.test_mongo_backup import MONGO, POSTGRES, text

pytestmark = [pytest.mark.servers, pytest.mark.exhaustive]
NETWORK = "127.103.0.0/16"
SEED = 20261126
INSTANTS, KILLS = 10, 8
STORED = {"repository": {"type": "objects"}}


@pytest.fixture(scope="module", params=("folder", "objects"))
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Once with the repository in a folder, once in the lab's own S3."""
    in_s3 = request.param == "objects"
    mongo = {**MONGO, "backup": {**MONGO["backup"], **(STORED if in_s3 else {})}}
    made = make_lab(
        NETWORK,
        "backups",
        mongo=mongo,
        postgres=POSTGRES,
        redis={"members": 0},
        objects={"members": int(in_s3)},
    )
    try:
        made.run("provision")
        yield made
        made.run("destroy", "--yes")
    finally:
        remove_lab(made)


def test_ten_instants_of_one_load_with_a_failover_in_it(lab: Lab) -> None:
    """One of them is the first second after the new primary was seen."""
    context, chance = lab.context, random.Random(SEED)
    lab.run("backup", "run", "mongo")
    replica_set = nodes.shards(context)[0]
    load = Load(context)
    with load:
        began = whole_second()
        time.sleep(12)
        old = primary(lab)
        [server] = [one for one in servers(context) if one.name == old]
        context.target.kill([server])
        wait_for("another primary", lambda: primary(lab) not in {"", old}, seconds=60, every=0.1)
        switched = whole_second()
        time.sleep(12)
        ended = whole_second()
    until = time.time()
    lab.run("provision")
    first, last = int(began.timestamp()) + 2, int(ended.timestamp()) - 2
    seconds = chance.sample(range(first, last), INSTANTS - 1)
    wrong = []
    for second in (int(switched.timestamp()), *seconds):
        at, folder = datetime.fromtimestamp(second, UTC), lab.home / "beside"
        done = ENGINE.restore_beside(context, Target(time=at), folder, lambda _: None)
        for segment in shards(context):
            wrong += load.wrong(segment, in_copy(lab, folder, segment), at, until)
        print(f"{text(at)}: restored in {done.seconds:.1f} s, wrong so far: {len(wrong)}")
        shutil.rmtree(folder)
    assert wrong == []
    assert replica_set.name == "shard-a"


def primary(lab: Lab) -> str:
    known = names(lab.context)
    answers = members.observe(lab.context, nodes.shards(lab.context)[0])
    leaders = [known[one.host] for one in answers if one.state is State.PRIMARY]
    return leaders[0] if len(leaders) == 1 else ""


def test_a_backup_killed_at_any_moment(lab: Lab) -> None:
    context, chance = lab.context, random.Random(SEED)
    began = time.monotonic()
    lab.run("backup", "run", "mongo")
    whole = time.monotonic() - began
    every = [node for one in nodes.replica_sets(context) for node in one.data_bearing]
    for _ in range(KILLS):
        before = {one.label for one in ENGINE.list(context)}
        running = subprocess.Popen(lab.command("backup", "run", "mongo"), stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.3, whole))
        running.kill()
        finished = running.wait() == 0
        new = [one for one in ENGINE.list(context) if one.label not in before]
        assert all(one.good for one in new)
        damages = ENGINE.verify(context)
        assert damages == ()
        assert locking.locked_members(context, every) == ()
        print(f"finished: {finished}, new backups: {len(new)}")


def test_a_restore_in_place_killed_at_any_moment_is_finished_by_the_next(lab: Lab) -> None:
    context, chance = lab.context, random.Random(SEED)
    load = Load(context)
    lab.run("backup", "run", "mongo")
    with load:
        time.sleep(2)
        at = whole_second()
        time.sleep(2)
    until = time.time()
    command = ("restore", "mongo", "--to", text(at), "--in-place", "--yes")
    began = time.monotonic()
    lab.run(*command)
    whole = time.monotonic() - began
    for _ in range(KILLS):
        running = subprocess.Popen(lab.command(*command), stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.5, whole))
        running.kill()
        running.wait()
        stage = "under way" if inplace.under_way(context) else "not begun, or ended"
        if inplace.under_way(context):
            with pytest.raises(OpsError):
                inplace.refuse_half_restored(context)
            assert "was cut off" in lab.run("provision", code=1).stderr
        lab.run(*command)
        wrong = [
            line
            for segment in shards(context)
            for line in load.wrong(segment, live(lab, segment), at, until)
        ]
        assert wrong == []
        print(f"killed {stage}: restored")
    lab.run("provision")
