"""MongoDB's backups on real servers: one small cluster, broken in all the ways that count."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import PIPE
from typing import Any, cast

import bson
import pytest
from bson.timestamp import Timestamp
from pymongo import MongoClient
from pymongo.client_session import ClientSession

from cluster.backup.contracts import BackupKind
from cluster.clock import wait_for
from cluster.context import Context
from cluster.inventory import Node
from cluster.kubernetes import scripts
from cluster.local import processes
from cluster.local.target import LocalTarget
from cluster.target import Target
from mongo import nodes
from mongo.backup import locking, settings
from mongo.backup.engine import ENGINE
from mongo.backup.slices import decode, listed, reach
from mongo.client import node_client, set_client
from mongo.credentials import internal
from mongo.servers import servers
from tests.conftest import Lab, make_lab, remove_lab
from tests.integration.backup_lab import COLLECTION, Load, in_copy, live, shards, whole_second

pytestmark = pytest.mark.servers
NETWORK = "127.103.0.0/16"
MONGO = {
    "shards": [
        {"name": "shard-a", "segment": "users_skills", "members": 3},
        {"name": "shard-b", "segment": "sessions_messages", "members": 1},
    ],
    "config_servers": {"members": 1},
    "routers": 1,
    "backup": {"slice": 2},
}
POSTGRES = {
    "members": [
        {"name": "pg1", "zone": "eu-west-a", "role": "primary"},
        {"name": "pg2", "zone": "eu-west-b", "role": "synchronous"},
    ],
    "etcd": 1,
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = make_lab(NETWORK, "backups", mongo=MONGO, postgres=POSTGRES, redis={"members": 0})
    try:
        made.run("provision")
        yield made
        made.run("destroy", "--yes")
    finally:
        remove_lab(made)


@pytest.fixture(scope="module")
def load(lab: Lab) -> Load:
    """The same writes for all: ids go on."""
    return Load(lab.context)


def listing(lab: Lab) -> dict[str, Any]:
    return cast("dict[str, Any]", lab.json("backup", "list", "mongo"))


def text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def archived_past(lab: Lab, at: datetime) -> None:
    """Wait until the archive has come to an instant."""
    wait_for(
        "the archive",
        lambda: any(window.last >= at for window in ENGINE.windows(lab.context)),
        seconds=60,
        every=0.5,
    )


def test_a_snapshot_is_listed_and_whole(lab: Lab, load: Load) -> None:
    with load:
        ended = lab.run("backup", "run", "mongo", "--kind", "incr")
    assert "a snapshot is always full" in ended.stderr
    [made] = listing(lab)["backups"]
    assert (made["engine"], made["kind"], made["good"]) == ("mongo", "full", True)
    assert "everything is whole" in lab.run("backup", "verify", "mongo").stdout
    assert locking.held(lab.context) is None


def test_a_killed_archiver_leaves_no_gap(lab: Lab, load: Load) -> None:
    """Everything in the oplog from the first slice on is in the archive, byte for byte."""
    root = lab.context.layout.root
    [archiver] = [one for one in servers(lab.context) if one.name == "archiver-1"]
    with load:
        for pause in (1.0, 2.5, 4.0):
            time.sleep(pause)
            killed = [one for one in processes.owned(root) if one.server == "archiver-1"]
            assert killed
            for one in killed:
                os.kill(one.pid, signal.SIGKILL)
            wait_for("its end", lambda: not [
                one for one in processes.owned(root) if one.server == "archiver-1"
            ], seconds=60)  # fmt: skip
            lab.context.target.start(archiver)
    at = whole_second()
    archived_past(lab, at)
    place = settings.place(lab.context)
    storage, sealer = place.storage(), place.sealer()
    for replica_set in nodes.replica_sets(lab.context):
        archived = listed(storage, 1, replica_set.name)
        assert not archived.gaps
        assert reach(archived.slices, archived.slices[0].prev).missing is None
        kept = []
        for one in archived.slices:
            with storage.open(one.key) as source:
                kept += list(decode(sealer, one, source))
        first, last = archived.slices[0].prev, archived.slices[-1].last
        with set_client(replica_set, internal(lab.context)) as client:
            there = client.local["oplog.rs"].find({"ts": {"$gt": first.bson, "$lte": last.bson}})
            assert [bson.decode(each)["ts"] for each in kept] == [each["ts"] for each in there]


def test_a_killed_backup_leaves_no_lock_and_no_backup(lab: Lab) -> None:
    context = lab.context
    before = [one["label"] for one in listing(lab)["backups"]]
    running = subprocess.Popen(lab.command("backup", "run", "mongo"), stderr=subprocess.DEVNULL)
    members = [node for one in nodes.replica_sets(context) for node in one.data_bearing]
    wait_for(
        "a locked member", lambda: locking.locked_members(context, members), seconds=60, every=0.02
    )
    running.kill()
    running.wait()
    assert [one["label"] for one in listing(lab)["backups"]] == before
    lab.run("backup", "verify", "mongo")
    assert locking.locked_members(context, members) == ()
    assert locking.held(context) is None
    for node in members:
        with node_client(node, internal(context)) as client:
            assert client.admin.command("ping")["ok"]


class Afar:
    """The same servers, whose folders come over a stream: by the programs that run in pods."""

    def __init__(self, target: LocalTarget) -> None:
        self._target = target
        self.fetched: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._target, name)

    def read(self, node: Node, path: Path) -> bytes | None:
        ended = subprocess.run(["cat", str(path)], capture_output=True, check=False)
        return None if ended.returncode else ended.stdout

    def fetch(self, node: Node, folder: Path, into: Path, leave_out: Sequence[str]) -> None:
        self.fetched.append(node.group)
        packed = subprocess.run(scripts.pack(str(folder), leave_out), stdout=PIPE, check=False)
        assert packed.returncode in {0, 1}
        subprocess.run(scripts.unpack(str(into)), input=packed.stdout, check=True)


def test_a_snapshot_that_came_over_a_stream_is_one(lab: Lab, load: Load) -> None:
    """As on Kubernetes. The restore beside the cluster, which comes next, begins with it."""
    target = Afar(cast("LocalTarget", lab.context.target))
    context = replace(cast("Context", lab.context), target=cast("Target", target))
    with load:
        [made] = ENGINE.run(context, BackupKind.FULL, lambda _: None)
    # A checkpoint that had begun before the lock may end within it: then a set is fetched again.
    assert set(target.fetched) == {"config", "shard-a", "shard-b"}
    assert made.good
    assert made.label == listing(lab)["backups"][-1]["label"]
    assert "everything is whole" in lab.run("backup", "verify", "mongo").stdout


def test_beside_the_cluster_is_what_was_acknowledged_by_then(lab: Lab, load: Load) -> None:
    with load:
        time.sleep(1.5)
        at = whole_second()
        time.sleep(1.5)
    until = time.time()
    folder = lab.home / "beside"
    lab.run("restore", "mongo", "--to", text(at), "--into", str(folder))
    wrong = [
        line
        for segment in shards(lab.context)
        for line in load.wrong(segment, in_copy(lab, folder, segment), at, until)
    ]
    assert wrong == []
    assert ".conf" in next(folder.glob("*/mongod.conf")).name
    refused = lab.run("restore", "mongo", "--to", text(at), "--into", str(folder), code=2)
    assert "not empty" in refused.stderr
    shutil.rmtree(folder)


def test_prepared_transactions_end_as_they_were_decided_at_the_instant(lab: Lab) -> None:
    """Of two over both shards, one was committed on the first shard alone by then."""
    context = lab.context
    lab.run("backup", "run", "mongo")
    with ExitStack() as stack:
        sides = []
        for segment, name in shards(context).items():
            replica_set = next(one for one in nodes.replica_sets(context) if one.name == name)
            client = stack.enter_context(set_client(replica_set, internal(context)))
            sides.append((client, segment))
        done, open_ = prepared(sides, 10_000_001, stack), prepared(sides, 10_000_002, stack)
        at = max(stamp for _, stamp in done)
        end(done[0], at)
        time.sleep(1.2)
        instant = whole_second()
        time.sleep(1.2)
        end(done[1], at)
        for side in open_:
            end(side, max(stamp for _, stamp in open_))
    folder = lab.home / "prepared"
    said = lab.run("restore", "mongo", "--to", text(instant), "--into", str(folder)).stderr
    assert "of 2 prepared transactions 1 are committed" in said
    for segment in shards(context):
        found = [one for one in in_copy(lab, folder, segment) if one > 10_000_000]
        assert found == [10_000_001], segment
    shutil.rmtree(folder)


Side = tuple[ClientSession, Timestamp]


def prepared(
    sides: list[tuple[MongoClient[Any], str]], number: int, stack: ExitStack
) -> list[Side]:
    """One transaction over all sides, as a router would prepare it: the same session on each."""
    made: list[Side] = []
    first: ClientSession | None = None
    for client, segment in sides:
        session = stack.enter_context(client.start_session())
        client.admin.command("ping", session=session)
        if first is not None:
            session._server_session.session_id = first.session_id
        first = session
        session.start_transaction()
        client[segment][COLLECTION].insert_one({"_id": number}, session=session)
        answer = client.admin.command(
            {"prepareTransaction": 1, "writeConcern": {"w": "majority"}}, session=session
        )
        made.append((session, answer["prepareTimestamp"]))
    return made


def end(side: Side, at: Timestamp) -> None:
    session, _ = side
    session.client.admin.command({"commitTransaction": 1, "commitTimestamp": at}, session=session)


def test_what_cannot_be_reached_is_refused_with_what_can(lab: Lab) -> None:
    [window] = ENGINE.windows(lab.context)
    early = text(window.first - timedelta(seconds=30))
    refused = lab.run("restore", "mongo", "--to", early, "--into", str(lab.home / "no"), code=2)
    assert "before the first snapshot" in refused.stderr
    assert f"{window.first:%H:%M:%S} UTC to" in refused.stderr
    refused = lab.run("restore", "mongo", "--to", "2100-01-01", "--in-place", "--yes", code=2)
    assert "yet to come" in refused.stderr
    refused = lab.run("restore", "mongo", "--to", "0/5A3F0D8", "--in-place", "--yes", code=2)
    assert "MongoDB knows no LSN" in refused.stderr


def test_a_gap_is_found_and_refused(lab: Lab, load: Load) -> None:
    context = lab.context
    with load:
        time.sleep(9)
    archived = listed(settings.place(context).storage(), 1, "shard-a")
    [manifest] = _manifests(lab)[-1:]
    start = manifest["sets"]["shard-a"]["last"]
    behind = [one for one in archived.slices if list(one.prev) > start]
    gone = cast("Path", settings.folder(context)) / behind[1].key
    aside = lab.home / "aside"
    shutil.move(gone, aside)
    try:
        found = lab.run("backup", "verify", "mongo", code=1)
        assert "oplog archive of shard-a: lacks what happened from" in found.stdout
        at = behind[-1].last.instant
        refused = lab.run(
            "restore", "mongo", "--to", text(at), "--into", str(lab.home / "no"), code=2
        )
        assert "shard-a's archive lacks what happened from" in refused.stderr
    finally:
        shutil.move(aside, gone)
    lab.run("backup", "verify", "mongo")


def _manifests(lab: Lab) -> list[dict[str, Any]]:
    folder = cast("Path", settings.folder(lab.context)) / "snapshots"
    return [json.loads(one.read_bytes())["body"] for one in sorted(folder.glob("*/manifest.json"))]


def test_in_place_and_then_once_more_through_both_histories(lab: Lab, load: Load) -> None:
    with load:
        time.sleep(1.5)
        at = whole_second()
        time.sleep(3.5)
    until = time.time()
    lab.run("restore", "mongo", "--to", text(at), "--in-place", "--yes")
    first = {segment: live(lab, segment) for segment in shards(lab.context)}
    wrong = [
        line for segment, found in first.items() for line in load.wrong(segment, found, at, until)
    ]
    assert wrong == []
    lab.run("status")
    assert locking.held(lab.context) is None

    put_away, folder = at + timedelta(seconds=2), lab.home / "put-away"
    lab.run("restore", "mongo", "--to", text(put_away), "--into", str(folder))
    assert [
        line
        for segment in shards(lab.context)
        for line in load.wrong(segment, in_copy(lab, folder, segment), put_away, until)
    ] == []
    shutil.rmtree(folder)

    begun = {segment: len(writes) for segment, writes in load.writes.items()}
    with load:
        time.sleep(1.5)
        again = whole_second()
        time.sleep(1.5)
    folder = lab.home / "again"
    lab.run("restore", "mongo", "--to", text(again), "--into", str(folder))
    for segment in shards(lab.context):
        found = set(in_copy(lab, folder, segment))
        since = {one.id for one in load.writes[segment][begun[segment] :]}
        assert found - since == set(first[segment])  # nothing of the history that was left
        taken = {one.id for one in load.writes[segment][: begun[segment]]}
        assert load.wrong(segment, found | taken, again, time.time()) == []
    shutil.rmtree(folder)


def test_a_restored_cluster_is_what_provision_would_make(lab: Lab) -> None:
    plan = cast("list[dict[str, Any]]", lab.json("plan"))
    assert [row["what"] for row in plan if row["changes"]] == []
    lab.run("backup", "run", "mongo")
    assert listing(lab)["backups"][-1]["good"]
