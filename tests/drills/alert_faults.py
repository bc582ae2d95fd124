"""Faults that alerts are for, and that no runbook's proof makes already."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from cluster.clock import wait_for
from mongo import nodes
from mongo.backup import settings
from mongo.backup.manifest import SNAPSHOTS
from mongo.client import node_client, set_client
from mongo.credentials import ADMIN, login
from postgres import patroni
from postgres.client import superuser, value
from postgres.faults.flipped_byte import FLIP
from postgres.scopes import primary_scope
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab
from tests.drills import runbook_conditions as conditions
from tests.drills.runbook_conditions import NOTHING, Hand, kill

NO_ELECTION_SECONDS = 90
SERVICE = "auth"
FILLS_EVERY = 180.0
DOCUMENT = 15 << 20
SMALLEST_OPLOG = 990  # MiB: the server takes no less
WAL_BYTES = 1200 << 20


@dataclass(frozen=True)
class Fault:
    """`make` breaks something and undoes it; so many seconds later what the alert asks is so."""

    alerts: tuple[str, ...]
    make: Callable[[Lab], object]
    shows: float = 0.0


def secondary(shard: str) -> Callable[[LocalContext], list[str]]:
    return lambda context: [conditions.secondary_of(context, shard)]


def kill_instance(lab: Lab) -> object:
    """One of a service's instances dies."""
    return kill("an instance is", lambda _: [f"{SERVICE}-1"])(lab)


@contextmanager
def no_heir(lab: Lab) -> Iterator[Hand]:
    """The secondaries of a shard may not stand for election, and its primary dies."""
    context = lab.context
    primary = conditions.primary_of(context, "shard-a")
    [shard] = [one for one in nodes.shards(context) if one.name == "shard-a"]
    for node in shard.data_bearing:
        if node.name != primary:
            with node_client(node, login(context, ADMIN)) as client:
                client.admin.command("replSetFreeze", NO_ELECTION_SECONDS)
    context.target.kill(conditions.servers(context, primary))
    yield NOTHING


@contextmanager
def frozen_under_pause(lab: Lab) -> Iterator[Hand]:
    """Patroni is paused and the leader's stands still: PostgreSQL leads, no proxy knows it."""
    context = lab.context
    scope = primary_scope(context)
    node = patroni.leader_of(scope)
    [server] = [one for one in conditions.servers(context, node.name) if one.name == node.name]
    with conditions.paused(context, scope):
        context.target.freeze((server,), "patroni")
        try:
            yield NOTHING
        finally:
            context.target.thaw((server,))
            wait_for("its Patroni", lambda: patroni.state(node), seconds=30)


@contextmanager
def half_promotion(lab: Lab) -> Iterator[Hand]:
    """A promotion is killed in its midst, and ended once it was told of."""
    with conditions.half_promoted(lab):
        try:
            yield NOTHING
        finally:
            lab.run("dr", "promote", "--yes", seconds=400)


@contextmanager
def rotten_backup(lab: Lab) -> Iterator[Hand]:
    """A byte of the newest snapshot rots, and the proof that is due meets it."""
    folder = settings.folder(lab.context)
    assert folder
    *_, part = sorted((folder / SNAPSHOTS).glob("*/shard-a"))
    whole = part.read_bytes()
    middle = len(whole) // 2
    part.write_bytes(whole[:middle] + bytes([whole[middle] ^ FLIP]) + whole[middle + 1 :])
    try:
        lab.run("backup", "prove", code=1, seconds=300)
        yield NOTHING
    finally:
        part.write_bytes(whole)


@contextmanager
def lost_snapshots(lab: Lab) -> Iterator[Hand]:
    """The snapshots of MongoDB are gone; the archive of the oplogs is not."""
    folder = settings.folder(lab.context)
    assert folder
    there, away = folder / SNAPSHOTS, folder / "snapshots-away"
    there.rename(away)
    try:
        yield NOTHING
    finally:
        away.rename(there)


@contextmanager
def held_slot(lab: Lab) -> Iterator[Hand]:
    """The DR standby is away while more is written than its slot should hold."""
    context = lab.context
    context.target.kill(conditions.servers(context, "pgdr1"))
    with superuser(context, patroni.leader_of(primary_scope(context))) as connection:
        for _ in range(WAL_BYTES >> 20):
            value(connection, "SELECT pg_logical_emit_message(false, 'held', repeat('x', 1048576))")
    yield NOTHING


@contextmanager
def short_oplog(lab: Lab) -> Iterator[Hand]:
    """A secondary's oplog is small, and so much is written that it covers minutes."""
    context = lab.context
    [shard] = [one for one in nodes.shards(context) if one.name == "shard-b"]
    name = conditions.secondary_of(context, shard.name)
    node = context.inventory.named(name)
    over = threading.Event()

    def resize(megabytes: float) -> float:
        with node_client(node, login(context, ADMIN)) as client:
            before = float(client.local.command("collStats", "oplog.rs")["maxSize"]) / (1 << 20)
            client.admin.command("replSetResizeOplog", size=megabytes)
        return before

    def write() -> None:
        """So much that it goes back three minutes, no more than the archiver can follow."""
        while not over.wait(FILLS_EVERY * DOCUMENT / (SMALLEST_OPLOG << 20)):
            with suppress(PyMongoError), set_client(shard, login(context, ADMIN)) as client:
                row = {"n": time.time(), "x": bytes(DOCUMENT)}
                client["drills"]["large"].replace_one({"_id": 0}, row, upsert=True)
        with set_client(shard, login(context, ADMIN)) as client:
            client["drills"]["large"].drop()

    before, writer = resize(float(SMALLEST_OPLOG)), threading.Thread(target=write)
    writer.start()
    try:
        yield NOTHING
    finally:
        over.set()
        writer.join()
        resize(before)
