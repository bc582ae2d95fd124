"""Each fault of the local target on a real server, and the server whole again afterwards.

What is hard about them is tested on plain processes (tests/unit/test_local_faults*.py).
"""

from collections.abc import Iterator

import psutil
import pytest
import redis

from cluster.clock import SYSTEM_CLOCK, wait_for
from cluster.inventory import Kind
from cluster.local import partition
from cluster.server import Server
from cluster.target import CanFill
from mongo.client import node_client
from mongo.credentials import MONITOR, login
from skillswap_ops.engines import all_servers
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab

pytestmark = pytest.mark.servers

DOWN, SECONDARY = 8, 2  # a member's `state` as its peers see it


@pytest.fixture
def context(shared_lab: Lab) -> LocalContext:
    return shared_lab.context


@pytest.fixture
def chat(context: LocalContext) -> Iterator["redis.Redis"]:
    """An open connection to Redis, which answers within five seconds or not at all."""
    [node] = context.inventory.of(Kind.REDIS)
    password = context.secrets.get("redis-app").get_secret_value()
    with redis.Redis(
        node.address, 6379, username="app", password=password, socket_timeout=5
    ) as client:
        assert client.ping()
        yield client


def named(context: LocalContext, name: str) -> Server:
    return next(server for server in all_servers(context) if server.name == name)


def states(context: LocalContext, name: str) -> dict[str, int]:
    """Its set's members as one member sees them: state by address."""
    with node_client(named(context, name).node, login(context, MONITOR), seconds=5) as client:
        members = client.admin.command("replSetGetStatus")["members"]
    return {member["name"].partition(":")[0]: member["state"] for member in members}


def test_frozen_redis_is_silent_and_its_connections_live(
    context: LocalContext, chat: "redis.Redis"
) -> None:
    server = named(context, "redis-1")
    pool_socket = chat.connection_pool.get_connection()
    try:
        hit = context.target.freeze([server])
        assert "redis-1 (1 redis-server)" in hit.proof
        assert context.target.state(server).running
        pool_socket.send_command("PING")
        assert not pool_socket.can_read(timeout=1)
    finally:
        context.target.thaw([server])
    assert pool_socket.read_response() == b"PONG"


def test_throttled_redis_is_slow_and_not_dead(context: LocalContext, chat: "redis.Redis") -> None:
    server = named(context, "redis-1")
    try:
        context.target.throttle([server], 0.2)
        waits = [_seconds(chat) for _ in range(20)]
    finally:
        context.target.release([server])
    # It stands still for 0.16 s at a time: some of the answers waited for the most part of it, and
    # all of them came.
    assert max(waits) > 0.08


def _seconds(chat: "redis.Redis") -> float:
    began = SYSTEM_CLOCK.monotonic()
    assert chat.ping()
    took = SYSTEM_CLOCK.monotonic() - began
    SYSTEM_CLOCK.sleep(0.03)  # not in step with the stops
    return took


def test_wiped_redis_begins_anew(context: LocalContext, chat: "redis.Redis") -> None:
    server = named(context, "redis-1")
    data = context.layout.data(server.node)
    owner = data.stat().st_uid
    try:
        hit = context.target.wipe(server)
        assert "SIGKILL: 1 processes of redis-1 are gone" in hit.proof
        assert list(data.iterdir()) == []
        assert data.stat().st_uid == owner
        wait_for("its end", lambda: not context.target.state(server).running, seconds=60)
    finally:
        context.target.start(server)
    chat.connection_pool.disconnect()
    wait_for("an answer", chat.ping, seconds=60)


@pytest.mark.skipif(bool(partition.lacks()), reason=partition.lacks() or "can cut")
def test_isolated_secondary_is_down_to_its_peers_and_up_to_clients(context: LocalContext) -> None:
    members = sorted(
        (server for server in all_servers(context) if server.node.group == "shard-a"),
        key=lambda server: states(context, server.name)[server.node.address] != SECONDARY,
    )
    alone, *peers = members
    address = alone.node.address
    try:
        hit = context.target.isolate("alone", [alone], peers)
        assert "no connection from the servers" in hit.proof
        for peer in peers:
            wait_for(
                f"{peer.name} missing {alone.name}",
                lambda peer=peer: states(context, peer.name)[address] == DOWN,  # type: ignore[misc]
                seconds=30,
            )
        # It answers to us, and misses both of them, each side by a clock of its own.
        wait_for(
            f"{alone.name} missing both",
            lambda: sorted(states(context, alone.name).values()) == [SECONDARY, DOWN, DOWN],
            seconds=30,
        )
        # They have each other.
        assert DOWN not in {states(context, peers[0].name)[peer.node.address] for peer in peers}
    finally:
        context.target.rejoin("alone")
    for member in members:
        wait_for(
            f"{member.name} seeing all",
            lambda member=member: DOWN not in states(context, member.name).values(),  # type: ignore[misc]
            seconds=60,
        )


def test_frozen_node_of_many_processes(context: LocalContext) -> None:
    """Patroni with its PostgreSQL: all of it, and for less than anybody's patience."""
    server = named(context, "pg1")
    data = str(context.layout.data(server.node))
    try:
        hit = context.target.freeze([server])
        found = [each.info for each in psutil.process_iter(["cwd", "status"])]
        backends = [each["status"] for each in found if (each["cwd"] or "").startswith(data)]
    finally:
        context.target.thaw([server])
    assert set(backends) == {psutil.STATUS_STOPPED}
    assert len(backends) > 5
    assert "postgres" in hit.proof


def test_filled_wal_volume_stops_no_machine(context: LocalContext) -> None:
    if why := context.target.lacks(CanFill):
        pytest.skip(why)
    node = named(context, "pgsync1").node
    try:
        hit = context.target.fill(node, context.layout.wal(node) / "pg_wal")
        assert "fail with ENOSPC" in hit.proof
        assert psutil.disk_usage(str(context.layout.root)).free > 0
    finally:
        context.target.drain(node, context.layout.wal(node))
    assert psutil.disk_usage(str(context.layout.wal(node))).free > 16 * 1024**2
