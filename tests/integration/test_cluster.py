"""The shared cluster, used and abused as its operators would: every test leaves it healthy."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import psycopg
import pymongo
import pytest
import redis
import requests
from pymongo.errors import OperationFailure

from cluster.clock import wait_for
from cluster.local import processes
from cluster.lock import exclusive
from cluster.server import Server
from mongo import nodes
from mongo.client import router_client
from mongo.credentials import ADMIN, login
from skillswap_ops.engines import all_servers
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def context(shared_lab: Lab) -> LocalContext:
    return shared_lab.context


@pytest.fixture(scope="module")
def uris(shared_lab: Lab) -> dict[str, str]:
    rows = shared_lab.json("endpoints", "--reveal")
    assert isinstance(rows, list)
    return {row["name"]: row["uri"] for row in rows}


def pids(context: LocalContext) -> dict[str, int | None]:
    return {server.name: context.target.state(server).pid for server in all_servers(context)}


def test_status_is_healthy_and_under_three_gigabytes(shared_lab: Lab) -> None:
    seen = shared_lab.json("status")
    assert isinstance(seen, dict)
    assert seen["healthy"], seen
    assert 0 < seen["memory_bytes"] < 3 * 1000**3
    assert {row["health"] for row in seen["nodes"]} == {"ok"}
    roles = [row["role"] for row in seen["nodes"] if row["kind"] == "shard"]
    assert sorted(roles) == ["PRIMARY"] * 2 + ["SECONDARY"] * 4


def test_status_fits_one_hundred_columns(shared_lab: Lab) -> None:
    shown = shared_lab.run("status").stdout
    assert max(map(len, shown.splitlines())) <= 100
    assert "\x1b" not in shown
    assert "resident in all" in shown


def test_second_provision_changes_nothing(shared_lab: Lab, context: LocalContext) -> None:
    before = pids(context)
    assert "nothing to change" in shared_lab.run("provision").stderr
    assert pids(context) == before
    plan = shared_lab.json("plan", "--all")
    assert isinstance(plan, list)
    assert [row for row in plan if row["changes"]] == []
    assert all(row["why"] for row in plan)


SERVERS = (
    "shard-a-2",
    "config-1",
    "router-1",
    "etcd-2",
    "pgsync1",
    "pg1-pgbouncer",
    "pgdr1",
    "haproxy-1",
    "redis-1",
)


@pytest.mark.parametrize(
    "killed",
    [
        # Of each kind one, and no two that stand in for each other.
        pytest.param(set(SERVERS) - {"config-1", "pgsync1"}, id="seven at once"),
        *(pytest.param({name}, id=name, marks=pytest.mark.exhaustive) for name in SERVERS),
    ],
)
def test_after_kill_9_provision_starts_only_what_was_killed(
    shared_lab: Lab, context: LocalContext, killed: set[str]
) -> None:
    before = pids(context)
    for server in all_servers(context):
        if server.name in killed:
            _kill_9(context, server)
    shared_lab.run("provision")
    after = pids(context)
    assert {key for key in after if after[key] != before[key]} == killed
    wait_for(
        "health", lambda: shared_lab.run("status", code=None).returncode == 0, seconds=90, every=1
    )


def _kill_9(context: LocalContext, server: Server) -> None:
    pid = context.target.state(server).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for("its end", lambda: not context.target.state(server).running, seconds=60)


def test_psql_works(uris: dict[str, str]) -> None:
    for name in ("pg-payments", "pg-payments-direct", "pg-admin", "pg-payments-reads"):
        ended = _client("psql", uris[name], "-Atc", "select 41 + 1")
        assert ended.stdout.strip() == "42", (name, ended.stderr)


def test_pgbench_works_through_the_pool(context: LocalContext, uris: dict[str, str]) -> None:
    bench = context.programs.postgres("pgbench", context.topology.postgres.version)
    uri = uris["pg-payments"]
    try:
        made = _client(bench, "-i", "-s", "1", "-q", uri)
        assert made.returncode == 0, made.stderr
        ran = _client(bench, "-c", "4", "-t", "25", "-n", uri)
        assert "100/100" in ran.stdout, ran.stdout + ran.stderr
    finally:
        _client(bench, "-i", "-I", "d", uri)


def _client(*argv: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_pymongo_works_on_both_segments(context: LocalContext, uris: dict[str, str]) -> None:
    for segment in ("users_skills", "sessions_messages"):
        with pymongo.MongoClient(uris[f"mongo-{segment}"]) as client:
            place = client[segment]["essai"]
            place.insert_many({"_id": number} for number in range(100))
            assert place.count_documents({}) == 100
            with pytest.raises(OperationFailure) as refusal:
                place.drop()
            assert refusal.value.code == 13
            assert place.delete_many({}).deleted_count == 100
            with router_client(nodes.routers(context), login(context, ADMIN)) as admin:
                admin[segment].drop_collection("essai")


def test_endpoints_mask_secrets_unless_asked(shared_lab: Lab, uris: dict[str, str]) -> None:
    masked = shared_lab.run("endpoints").stdout + shared_lab.run("endpoints", "-o", "json").stdout
    for path in shared_lab.context.layout.secrets.rglob("*"):
        assert path.is_dir() or path.read_text() not in masked
    assert "***" in masked
    assert "***" not in "".join(uris.values())
    one = shared_lab.run("endpoints", "pg-payments", "--reveal").stdout.strip()
    assert one == uris["pg-payments"]


def test_no_secret_in_logs_arguments_or_readable_files(context: LocalContext) -> None:
    secrets = {
        path.name: path.read_text() for path in context.layout.secrets.rglob("*") if path.is_file()
    }
    assert len(secrets) > 10
    command_lines = "\n".join(
        " ".join(psutil.Process(process.pid).cmdline())
        for process in processes.owned(context.layout.root)
    )
    readable = [
        path
        for path in context.layout.root.rglob("*")
        if path.suffix in {".log", ".conf", ".yml", ".cfg", ".ini"} and path.stat().st_mode & 0o077
    ]
    for name, secret in secrets.items():
        assert secret not in command_lines, name
        for path in readable:
            assert secret not in path.read_text("utf-8", "replace"), (name, path)


# Every port, without credentials


def test_mongo_ports_refuse_anonymous_clients(context: LocalContext) -> None:
    ports = [
        (server.node.address, port)
        for server in all_servers(context)
        for port in server.ports
        if port in {27017, 27018, 27019}
    ]
    assert len(ports) == 11
    for address, port in ports:
        with pymongo.MongoClient(address, port, directConnection=True) as client:
            for order in ({"listDatabases": 1}, {"find": "x"}, {"insert": "x", "documents": [{}]}):
                with pytest.raises(OperationFailure) as refusal:
                    client["admin"].command(order)
                assert refusal.value.code == 13, (address, port, order)


@pytest.mark.parametrize("port", [5432, 6432, 5000, 5001, 5002])
def test_postgres_ports_refuse_without_the_password(context: LocalContext, port: int) -> None:
    addresses = {server.node.address for server in all_servers(context) if port in server.ports}
    assert addresses
    for address in addresses:
        for user in ("postgres", "payments_app", "nobody"):
            for password in (None, "wrong"):
                with pytest.raises(psycopg.OperationalError):
                    psycopg.connect(
                        host=address,
                        port=port,
                        user=user,
                        password=password,
                        dbname="payments",
                        connect_timeout=5,
                    )


def test_http_ports_refuse_changes_and_secrets(context: LocalContext) -> None:
    for server in all_servers(context):
        address = server.node.address
        if 8008 in server.ports:
            for path in ("restart", "reload", "failover", "switchover", "reinitialize"):
                answer = requests.post(f"http://{address}:8008/{path}", json={}, timeout=5)
                assert answer.status_code == 401, (server.name, path, answer.status_code)
            patch = requests.patch(f"http://{address}:8008/config", json={"ttl": 30}, timeout=5)
            assert patch.status_code == 401
        if 2379 in server.ports:
            for path, body in (
                ("v3/kv/range", {"key": "AA==", "range_end": "AA=="}),
                ("v3/kv/put", {"key": "YQ==", "value": "YQ=="}),
                ("v3/auth/user/list", {}),
            ):
                answer = requests.post(f"http://{address}:2379/{path}", json=body, timeout=5)
                assert answer.status_code != 200, (server.name, path, answer.text)
        if 7000 in server.ports:
            assert requests.get(f"http://{address}:7000/", timeout=5).status_code == 401


def test_redis_refuses_anonymous_clients(context: LocalContext) -> None:
    [server] = [server for server in all_servers(context) if 6379 in server.ports]
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(server.node.address, 6379, socket_timeout=5).set("a", "b")


# The command line's manners


def test_logs_name_what_there_is(shared_lab: Lab) -> None:
    assert shared_lab.run("logs", "pg1", "-n", "5").stdout.count("\n") == 5
    assert "pgsync1" in shared_lab.run("logs", "nonesuch", code=2).stderr


def test_destroy_asks_and_without_a_terminal_refuses(shared_lab: Lab) -> None:
    refusal = shared_lab.run("destroy", code=2).stderr
    assert "--yes" in refusal
    assert shared_lab.run("status").returncode == 0


def test_a_second_run_at_once_is_refused(shared_lab: Lab, context: LocalContext) -> None:
    with exclusive(context.layout.lock, "drill run"):
        refusal = shared_lab.run("provision", code=1).stderr
    assert "`drill run` (pid" in refusal


def test_nothing_outside_the_home(context: LocalContext) -> None:
    """Every file that a server has open for writing lies in the cluster's folder."""
    root = context.layout.root
    for process in processes.owned(root):
        for file in psutil.Process(process.pid).open_files():
            writes = getattr(file, "mode", "r") != "r"
            shared = file.path.startswith("/dev/shm/")
            assert not writes or shared or Path(file.path).is_relative_to(root), file.path


@pytest.mark.exhaustive  # a minute: Patroni takes leave of etcd, and all start again
def test_stop_and_start_again(shared_lab: Lab, context: LocalContext) -> None:
    """Every server ends by itself and comes back with its data."""
    shared_lab.run("stop", "--yes")
    assert processes.owned(context.layout.root) == ()
    seen = shared_lab.json("status", code=1)
    assert isinstance(seen, dict)
    assert {row["health"] for row in seen["nodes"]} == {"down"}
    shared_lab.run("provision")
    wait_for(
        "health", lambda: shared_lab.run("status", code=None).returncode == 0, seconds=120, every=1
    )
