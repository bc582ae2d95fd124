"""The conditions that runbooks are for, made with real faults on a lab."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe
from typing import cast

from cluster.certificates import Authority, in_use
from cluster.clock import wait_for
from cluster.drill.evidence import VERDICT, runs
from cluster.drill.journal import Journal
from cluster.errors import OpsError
from cluster.inventory import Kind
from cluster.local import processes
from cluster.server import Server
from manifests.services import releases
from mongo.client import node_client
from mongo.credentials import ADMIN, KEYFILE, login
from postgres import guarantees, names, patroni, restore_state
from postgres.client import superuser
from postgres.faults.archive_outage import folder_repository, switch_wal
from postgres.scopes import Scope, primary_scope, scopes
from runbooks.facts.reading import look
from runbooks.facts.records import MongoSet
from runbooks.facts.records import Server as ServerFact
from skillswap_ops.engines import all_servers
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab

Hand = Callable[[], None]
NOTHING: Hand = lambda: None  # noqa: E731 - a value


@dataclass(frozen=True)
class Condition:
    """`make` breaks the lab, and yields what a person would do by hand; it undoes what it must.

    `answers` are the runbook's. `quick`: CI runs it; `pairs`: it is also made beside another one.
    """

    runbook: str
    make: Callable[[Lab], "object"]
    answers: dict[str, object] = field(default_factory=dict)
    quick: bool = False
    pairs: bool = False
    root: bool = False
    settle: float = 120.0


def servers(context: LocalContext, *nodes: str) -> tuple[Server, ...]:
    return tuple(one for one in all_servers(context) if one.node.name in nodes)


def primary_of(context: LocalContext, shard: str) -> str:
    found = [one for one in look(context, ["mongo_set"]).of("mongo_set") if one.name == shard]
    return cast("MongoSet", found[0]).primary


def secondary_of(context: LocalContext, shard: str) -> str:
    primary = primary_of(context, shard)
    members = [one.name for one in context.inventory.of(Kind.SHARD, group=shard)]
    return next(name for name in members if name != primary)


def leader(context: LocalContext) -> str:
    return patroni.leader_of(primary_scope(context)).name


def standby(context: LocalContext) -> str:
    scope = primary_scope(context)
    return next(one.name for one in scope.members if one.name != leader(context))


def kill(what: str, choose: Callable[[LocalContext], list[str]]) -> Callable[[Lab], object]:
    """Nodes that are killed with all that runs on them; `what` says which."""

    @contextmanager
    def make(lab: Lab) -> Iterator[Hand]:
        context = lab.context
        context.target.kill(servers(context, *choose(context)))
        yield NOTHING

    make.__doc__ = f"{what} killed"
    return make


@contextmanager
def corrupt_member(lab: Lab) -> Iterator[Hand]:
    """Every page of the catalogue of a stopped member is damaged, as by a disk."""
    context = lab.context
    name = secondary_of(context, "shard-a")
    [server] = servers(context, name)
    context.target.stop(server)
    path = context.layout.data(server.node) / "_mdb_catalog.wt"
    size = path.stat().st_size
    with path.open("r+b") as file:
        for place in range(4096, size, 4096):
            file.seek(place + 64)
            file.write(os.urandom(512))
    with suppress(OpsError):
        context.target.start(server)
    yield NOTHING


def locked(shard: str) -> Callable[[Lab], object]:
    """A secondary takes no writes, as where a backup was killed, and its set writes on."""

    @contextmanager
    def make(lab: Lab) -> Iterator[Hand]:
        context = lab.context
        node = context.inventory.named(secondary_of(context, shard))
        with node_client(node, login(context, ADMIN), seconds=600) as client:
            client.admin.command("fsync", lock=True)
            try:
                yield NOTHING
            finally:
                with suppress(Exception):
                    while client.admin.command("fsyncUnlock")["lockCount"]:
                        pass

    return make


@contextmanager
def filling_disk(lab: Lab) -> Iterator[Hand]:
    """A secondary's data is on a small disk of its own, which something fills up."""
    context = lab.context
    [server] = servers(context, secondary_of(context, "shard-a"))
    data = context.layout.data(server.node)
    ballast = data.parent / "data" / ".ballast"
    context.target.wipe(server)
    options = f"size=900m,mode=0700,uid={context.target.user.uid},gid={context.target.user.gid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(data)], check=True)
    try:
        context.target.start(server)
        wait_for(
            "its copy",
            lambda: all(one.health == "ok" for one in _servers_seen(context, server.name)),
            seconds=120,
        )
        used = shutil.disk_usage(data)
        ballast.write_bytes(bytes(int(used.total * 0.93) - used.used))  # 10% free is no concern
        yield ballast.unlink
    finally:
        ballast.unlink(missing_ok=True)
        context.target.stop(server)
        subprocess.run(["umount", str(data)], check=True)
        context.target.start(server)


def _servers_seen(context: LocalContext, name: str) -> list[ServerFact]:
    every = look(context, ["server"]).of("server")
    return [cast("ServerFact", one) for one in every if one.name == name]


def freeze(what: str, name: str) -> Callable[[Lab], AbstractContextManager[Hand]]:
    """A node that is frozen until the proof is over; `what` says which."""

    @contextmanager
    def make(lab: Lab) -> Iterator[Hand]:
        context = lab.context
        frozen = servers(context, name)
        context.target.freeze(frozen)
        try:
            yield NOTHING
        finally:
            context.target.thaw(frozen)

    make.__doc__ = f"{what} is frozen."
    return make


frozen_archiver = freeze("The archiver", "archiver-1")
frozen_instance = freeze("An instance of a service", "skills-2")


@contextmanager
def strange_key(lab: Lab) -> Iterator[Hand]:
    """A router was started with a key that is not the cluster's."""
    context = lab.context
    [router] = servers(context, "router-1")
    path = context.layout.conf(router.node) / KEYFILE
    context.target.stop(router)
    path.write_text(token_urlsafe(48))  # its owner and mode stay
    context.target.supervisor.start(router.name)  # target.start would write the right one
    yield NOTHING


@contextmanager
def killed_rollout(lab: Lab) -> Iterator[Hand]:
    """A rollout is killed once its canary runs."""
    path = lab.context.layout.releases
    rollout = subprocess.Popen(
        lab.command("services", "rollout", "skills", "--set", "limits.login_per_minute=28"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    canary = lab.context.layout.root / "nodes" / "skills-canary"
    try:
        wait_for(
            "a rollout under way",
            lambda: releases.load(path).change and canary.exists(),
            seconds=60,
            every=0.02,
        )
    finally:
        _end(rollout)
    yield NOTHING


@contextmanager
def paused(context: LocalContext, scope: Scope) -> Iterator[None]:
    """Patroni is paused, as for maintenance: it mends nothing by itself."""
    password = names.password(context, names.REST_USER)
    patroni.change_config(scope.members[0], password, {"pause": True})
    wait_for(
        "a pause",
        lambda: all(one.paused for one in patroni.states(scope.members).values()),
        seconds=30,
    )
    try:
        yield
    finally:
        for member in scope.members:
            with suppress(OpsError):
                patroni.change_config(member, password, {"pause": None})


@contextmanager
def paused_and_killed(lab: Lab) -> Iterator[Hand]:
    """Patroni was paused for maintenance and forgotten; then the primary dies."""
    context = lab.context
    scope = primary_scope(context)
    primary = patroni.leader_of(scope)
    with paused(context, scope):
        context.target.kill(servers(context, primary.name))
        yield NOTHING


def follower(context: LocalContext) -> Scope:
    return next(one for one in scopes(context) if one.follows is not None)


@contextmanager
def promoted_dr(lab: Lab) -> Iterator[Hand]:
    """Somebody promotes the DR standby by hand, while its Patroni is paused."""
    context = lab.context
    with paused(context, follower(context)):
        with superuser(context, context.inventory.named("pgdr1")) as connection:
            connection.execute("SELECT pg_promote(wait => false)")
        yield NOTHING


@contextmanager
def paused_replay(lab: Lab) -> Iterator[Hand]:
    """The replay of the DR standby was paused, and its Patroni, which would resume it."""
    context = lab.context
    with paused(context, follower(context)):
        with superuser(context, context.inventory.named("pgdr1")) as connection:
            connection.execute("SELECT pg_wal_replay_pause()")
        yield NOTHING


@contextmanager
def closed_archive(lab: Lab) -> Iterator[Hand]:
    """The repository's folder is closed to the servers."""
    context = lab.context
    node = patroni.leader_of(primary_scope(context))
    folder = folder_repository(context) or ""
    run = context.target.run_tool
    mode = run(node, ["stat", "--format=%a", folder]).stdout.strip()
    run(node, ["chmod", "000", folder])
    try:
        switch_wal(context, node)
        yield NOTHING
    finally:
        run(node, ["chmod", mode, folder])


@contextmanager
def exhausted_pool(lab: Lab) -> Iterator[Hand]:
    """Sessions that hold transactions open take every connection of the pool."""
    context = lab.context
    size = context.topology.edge.pool_size
    with ExitStack() as stack:
        for _ in range(size):
            connection = stack.enter_context(_quiet(guarantees.session(context)))
            connection.execute("BEGIN")
        waiting = subprocess.Popen(
            [sys.executable, "-c", _WAITER, str(lab.home), str(lab.topology)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield NOTHING
        finally:
            waiting.kill()
            waiting.wait()


_WAITER = """
import sys
from pathlib import Path
from postgres import guarantees
from skillswap_ops.options import Selection
from skillswap_ops.wiring import local_context
context = local_context(Selection(Path(sys.argv[2]), Path(sys.argv[1]), None, "local", "table"))
with guarantees.session(context) as connection:
    connection.execute("SELECT 1")
"""


@contextmanager
def _quiet(session: object) -> Iterator[object]:
    """A session whose end by the server is no error of the test."""
    with suppress(OpsError), session as connection:  # type: ignore[attr-defined]
        yield connection


@contextmanager
def old_certificate(lab: Lab) -> Iterator[Hand]:
    """The object store's certificate was made eleven months and a half ago."""
    context = lab.context
    [node] = context.inventory.of(Kind.OBJECTS)
    then = datetime.now(UTC) - timedelta(days=350)
    own = Authority(context.layout)
    own.renew(node.name, (node.address,), then)
    in_use(context.layout)[node.name].write_bytes(own.file(node.name).read_bytes())
    yield NOTHING


@contextmanager
def old_proof(lab: Lab) -> Iterator[Hand]:
    """Restores were proved once, long ago."""
    lab.run("backup", "run", seconds=300)
    lab.run("backup", "prove", code=None, seconds=300)
    [*_, folder] = [one for one in runs(lab.context.layout.drills) if "backup-proof" in one.name]
    then = time.time() - 40 * 86400
    os.utime(folder / VERDICT, (then, then))
    yield NOTHING


def killed(drill: str, what: str) -> Callable[[Lab], AbstractContextManager[Hand]]:
    """A drill that is killed before it undoes its fault; `what` says which."""

    @contextmanager
    def make(lab: Lab) -> Iterator[Hand]:
        run = subprocess.Popen(
            lab.command("drill", "run", drill, "--yes"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        journal = Journal(lab.context.layout.drills)
        try:
            wait_for("an open fault", journal.open_entries, seconds=90)
        finally:
            _end(run)
        yield NOTHING
        lab.run("drill", "heal", "--yes", code=None)

    make.__doc__ = f"{what} is killed before it undoes it."
    return make


killed_drill = killed("pg-patroni-freeze", "A drill that froze Patroni")


@contextmanager
def lost_region(lab: Lab) -> Iterator[Hand]:
    """Every PostgreSQL and etcd of the region dies; afterwards the lead goes back."""
    context = lab.context
    gone = primary_scope(context)
    context.target.kill(servers(context, *(one.name for one in (*gone.members, *gone.etcd))))
    yield NOTHING
    lab.run("dr", "failback", "--yes", seconds=400)


@contextmanager
def region_away(lab: Lab) -> Iterator[Hand]:
    """The DR region leads."""
    lab.run("dr", "promote", "--yes", seconds=300)
    yield NOTHING


@contextmanager
def half_promoted(lab: Lab) -> Iterator[Hand]:
    """`dr promote` is killed as soon as it has written down that it has begun."""
    command = subprocess.Popen(
        lab.command("dr", "promote", "--yes"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    path = lab.context.layout.root / "regions.json"
    try:
        wait_for("a promotion under way", path.exists, seconds=60, every=0.01)
    finally:
        _end(command)
    yield NOTHING
    lab.run("dr", "failback", "--yes", seconds=400)


@contextmanager
def half_restored(lab: Lab) -> Iterator[Hand]:
    """A restore in place is killed when it has stopped the cluster."""
    lab.run("backup", "run", "postgres", "--kind", "full", seconds=300)
    lab.run("backup", "mark", "before-the-mistake", seconds=60)
    command = subprocess.Popen(
        lab.command("restore", "pg", "--to", "before-the-mistake", "--in-place", "--yes"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def touched() -> bool:
        found = restore_state.load(lab.context.layout)
        return found is not None and found.phase.touched

    try:
        wait_for("a restore that has touched the cluster", touched, seconds=120, every=0.02)
    finally:
        _end(command)
    yield NOTHING


def _end(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL it, and nothing that it has started but its own threads."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def left_over(lab: Lab) -> list[str]:
    """Processes that stand still: a fault that nobody undid."""
    found = processes.owned(lab.context.layout.root)
    return [one.server for one in found if processes.still(one)]


ALL = (
    Condition(
        "server-down",
        kill("Redis is", lambda _: ["redis-1"]),
        {"well": True},
        quick=True,
        pairs=True,
    ),
    Condition(
        "mongo-primary-lost",
        kill("a shard's primary is", lambda one: [primary_of(one, "shard-a")]),
        {"start": True},
        quick=True,
        pairs=True,
    ),
    Condition(
        "pg-sync-standby-lost",
        kill("the synchronous standby is", lambda one: [standby(one)]),
        {"start": True, "back": True},
        quick=True,
        pairs=True,
    ),
    Condition(
        "mongo-shard-offline",
        kill("two of a shard's three members are", lambda _: ["shard-b-1", "shard-b-2"]),
        pairs=True,
    ),
    Condition(
        "mongo-config-lost",
        kill("two of three config servers are", lambda _: ["config-1", "config-2"]),
        pairs=True,
    ),
    Condition("mongo-member-corrupted", corrupt_member, {"disk": True, "resync": True}),
    Condition("mongo-replication-lag", locked("shard-a"), {"cause": "locked", "well": True}),
    Condition("mongo-archive-behind", frozen_archiver),
    Condition("mongo-disk-filling", filling_disk, {"purge": False, "room": True}, root=True),
    Condition("router-lost", kill("a router is", lambda _: ["router-1"]), pairs=True),
    Condition("router-unwell", strange_key),
    Condition("pg-primary-lost", paused_and_killed, {"paused": True}),
    Condition(
        "pg-split-brain",
        promoted_dr,
        {
            "which": True,
            "paused": True,
            "fence": True,
            "keep": True,
            "well": False,
            "reinit": True,
        },
    ),
    Condition("pg-replication-lag", paused_replay, {"cause": "paused", "well": True}, pairs=True),
    Condition("pg-archive-failing", closed_archive, {"repository": True}),
    Condition(
        "pg-etcd-quorum-lost",
        kill("two of three etcd members are", lambda _: ["etcd-1", "etcd-2"]),
        pairs=True,
    ),
    Condition("edge-latency", exhausted_pool, {"cause": "idle", "end-idle": True, "over": True}),
    Condition("certificate-rotation", old_certificate, {"passwords": False}, pairs=True),
    Condition("restore-proof-failed", old_proof),
    Condition("fault-left-behind", killed_drill),
    Condition(
        "region-lost",
        lost_region,
        {"wait-for-it": True, "fenced": True, "promote": True},
        settle=300,
    ),
    Condition("pg-failback", region_away, {"sound": True, "failback": True}, settle=300),
    Condition("change-half-done", half_promoted, {"go-on": True}, settle=300),
    Condition(
        "pg-pitr",
        half_restored,
        {"stopped": True, "restore": True, "right": True},
        settle=300,
    ),
)
# On a cluster with the services.
OF_SERVICES = (
    Condition("service-not-ready", frozen_instance),
    Condition("service-rollout-stuck", killed_rollout),
)
