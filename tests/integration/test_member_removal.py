"""Members and a shard leave under load, killed at random moments; then they come back."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import pytest
import yaml

from cluster.clock import wait_for
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Kind
from cluster.local import processes
from mongo import members, nodes, sharding, spare
from mongo.client import node_client, router_client, set_client
from mongo.credentials import ADMIN, internal, login
from mongo.nodes import SetNodes, host
from postgres import haproxy, names, patroni
from postgres.client import superuser, value
from postgres.removal import HAS_SLOT, SLOTS_TTL
from postgres.scopes import primary_scope
from skillswap_ops.engines import all_servers
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab, make_lab, remove_lab
from tests.integration.tls_load import Load, under_load

pytestmark = [pytest.mark.servers, pytest.mark.exhaustive]

SEED = int(os.environ.get("SKILLSWAP_OPS_TEST_SEED", "0")) or random.SystemRandom().randrange(10**6)
KILLS = 4
LONGEST = 25.0  # seconds; about as long as a removal takes here
SHARD_B, SHARD_C = (
    {"name": name, "segment": "sessions_messages", "members": 1} for name in ("shard-b", "shard-c")
)
PG = [
    {"name": "pg1", "zone": "eu-west-a", "role": "primary"},
    {"name": "pgsync1", "zone": "eu-west-b", "role": "synchronous"},
    {"name": "pg3", "zone": "eu-west-c", "role": "synchronous"},
]
COMMANDS = {
    "shard-c-1": ("mongo", "shard", "remove", "shard-c"),
    "shard-a-5": ("mongo", "member", "remove", "shard-a-5"),
    "shard-a-4": ("mongo", "member", "remove", "shard-a-4"),
    "config-3": ("mongo", "member", "remove", "config-3"),
    "config-2": ("mongo", "member", "remove", "config-2"),
    "pg3": ("pg", "member", "remove", "pg3"),
}
LEAVING = tuple(COMMANDS)


def shape(
    shard_a: int, config: int, postgres: int, *others: dict[str, object]
) -> dict[str, object]:
    return {
        "mongo": {
            "shards": [
                {"name": "shard-a", "segment": "users_skills", "members": shard_a},
                *others,
            ],
            "config_servers": {"members": config},
            "routers": 2,
        },
        "postgres": {"members": PG[:postgres], "etcd": 1},
        "redis": {"members": 0},
    }


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = make_lab("127.118.0.0/16", "leaving", **shape(5, 3, 3, SHARD_B, SHARD_C))
    try:
        made.run("provision", seconds=400)
        yield made
        made.run("destroy", "--yes")
    finally:
        remove_lab(made)


@pytest.fixture(scope="module")
def smaller(lab: Lab) -> Lab:
    """The same cluster by a file that has fewer members, and a shard less."""
    return by_file(lab, shape(3, 1, 2, SHARD_B))


def by_file(lab: Lab, changes: dict[str, object]) -> Lab:
    topology = yaml.safe_load(lab.topology.read_text("utf-8")) | changes
    file = lab.home / "changed.yaml"
    file.write_text(yaml.safe_dump(topology), "utf-8")
    return Lab(lab.home, file)


def stop(lab: Lab, *stopped: str) -> None:
    for server in all_servers(lab.context):
        if server.name in stopped:
            lab.context.target.stop(server)


def shard_a(context: LocalContext) -> SetNodes:
    return nodes.shards(context)[0]


def leader(context: LocalContext) -> str:
    found = spare.primary(members.observe(context, shard_a(context)))
    return nodes.names(context)[found.host] if found else ""


def lead(lab: Lab, name: str) -> None:
    """Have this member of shard-a lead it."""

    def leads() -> bool:
        node = lab.context.inventory.named(name)
        with suppress(OpsError), node_client(node, internal(lab.context), seconds=5) as client:
            client.admin.command("replSetStepUp", 1)
        return leader(lab.context) == name

    if leader(lab.context) != name:
        wait_for(f"{name} as primary", leads, seconds=60, every=1.0)


def test_what_the_rest_could_not_stand_is_refused(lab: Lab, smaller: Lab) -> None:
    refused = smaller.run("provision", code=1).stderr
    assert "not in the topology any more" in refused
    for words in COMMANDS.values():
        assert f"`{' '.join(words)}`" in refused
    assert "pg3" in smaller.run("plan", code=1).stderr
    wrong = lab.run("mongo", "member", "remove", "shard-a-5", "--yes", code=2)
    assert "shard-a-5 is in the topology" in wrong.stderr
    before = lab.context.layout.topology.read_text("utf-8")
    stop(lab, "shard-a-2", "shard-a-3")
    try:
        alone = smaller.run("mongo", "member", "remove", "shard-a-5", "--yes", code=1)
        assert "of its 4 votes 2 would serve" in alone.stderr
        stop(lab, "pgsync1")
        alone = smaller.run("pg", "member", "remove", "pg3", "--yes", code=1)
        assert "cannot go on without pg3: the Patroni of pgsync1 does not answer" in alone.stderr
    finally:
        lab.run("provision")
    assert lab.context.layout.topology.read_text("utf-8") == before


def test_a_shard_that_is_not_empty_is_refused(lab: Lab, smaller: Lab) -> None:
    shard_c = nodes.shards(lab.context)[2]
    with set_client(shard_c, internal(lab.context)) as client:
        client["astray"]["rows"].insert_many([{"_id": n} for n in range(3)])
        wrong = smaller.run(*COMMANDS["shard-c-1"], "--yes", code=1)
        assert "past the routers: 3 documents in astray.rows" in wrong.stderr
        client.drop_database("astray")
    with router_client(nodes.routers(lab.context), login(lab.context, ADMIN)) as client:
        assert "shard-c" in sharding.registered_shards(client)
    file = smaller.topology.read_text("utf-8")
    try:
        one = by_file(lab, shape(3, 1, 2))
        wrong = one.run("mongo", "shard", "remove", "shard-b", "--yes", code=1)
        assert "sessions_messages lives on shard-b" in wrong.stderr
    finally:
        smaller.topology.write_text(file, "utf-8")


def test_members_leave_under_load_killed_at_any_moment(lab: Lab, smaller: Lab) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    lead(lab, "shard-a-5")
    make_pg3_lead(lab)
    with under_load(lab.context, api=False) as load:
        for name in LEAVING:
            remove(smaller, name, chance)
        load.end()
        assert_nothing_lost(load)
    context = smaller.context
    for replica_set in nodes.replica_sets(context):
        for answer in members.observe(context, replica_set):
            assert answer.config
            assert set(answer.config.hosts) == {host(node) for node in replica_set.nodes}
    assert_forgotten_by_postgres(context)
    assert_nothing_is_left(lab, context)
    smaller.run("provision", seconds=300)
    assert "nothing to change" in smaller.run("provision").stderr
    seen = wait_for("health", lambda: healthy(smaller), seconds=60, every=1)
    assert not {node["node"] for node in seen["nodes"]} & set(LEAVING)
    rows = cast("list[dict[str, Any]]", lab.json("audit", "show", "--last", "80"))
    assert {"mongo member remove", "mongo shard remove", "pg member remove"} <= {
        row["command"] for row in rows
    }


def remove(smaller: Lab, name: str, chance: random.Random) -> None:
    """Begin, and be killed, again and again; then go through with it."""
    words = (*COMMANDS[name], "--yes")
    for _ in range(KILLS):
        moment = chance.uniform(0.5, LONGEST)
        running = subprocess.Popen(
            smaller.command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            _, said = running.communicate(timeout=moment)
            print(f"{name}: done before {moment:.1f} s ({running.returncode})")
            assert running.returncode == 0, said
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate()
            print(f"{name}: killed after {moment:.1f} s")
    smaller.run(*words)
    again = cast("dict[str, Any]", smaller.json(*words))
    assert (again["node"], again["found"]) == (words[3], False)


def make_pg3_lead(lab: Lab) -> None:
    """Without pgsync1 it becomes the synchronous standby, and stays it when pgsync1 is back."""
    scope = primary_scope(lab.context)
    if patroni.leader_of(scope).name == "pg3":
        return
    stop(lab, "pgsync1")

    def synchronous() -> bool:
        leads = patroni.leader_of(scope)
        row = patroni.state(leads).standby("pg3")
        return row is not None and row.sync_state == "sync"

    wait_for("pg3 as synchronous standby", synchronous, seconds=60, every=0.5)
    lab.run("provision")
    assert cast("dict[str, Any]", lab.json("pg", "switchover", "--yes"))["after"] == "pg3"


def assert_nothing_lost(load: Load) -> None:
    for ledger, stream in zip(load.ledgers, load.streams, strict=True):
        print(f"{stream.name}: {len(ledger.acked)} acked, not: {dict(stream.wrong)}")
        assert len(ledger.acked) > 100
        assert ledger.lost() == 0


def assert_forgotten_by_postgres(context: LocalContext) -> None:
    scope = primary_scope(context)
    assert patroni.view_of(scope.members).named("pg3") is None
    assert SLOTS_TTL not in patroni.config(patroni.leader_of(scope))
    for node in scope.members:
        with superuser(context, node) as connection:
            assert value(connection, HAS_SLOT, "pg3") == 0
    for proxy in context.inventory.of(Kind.HAPROXY):
        up = haproxy.routes(proxy, names.password(context, names.STATS_USER)).up
        assert not [listener for listener, found in up.items() if "pg3" in found]


def assert_nothing_is_left(lab: Lab, context: LocalContext) -> None:
    """No file, no process, no program; and who follows a set follows those that are there."""
    layout = context.layout
    left = {path.name for path in layout.root.glob("nodes/*")}
    assert not {name for name in left if name.split(".")[0] in LEAVING}
    programs = {*LEAVING, "pg3-pgbouncer"}
    assert not programs & set(context.target.supervisor.states())
    assert processes.owned_by(layout.root, programs) == ()
    gone = [lab.context.inventory.named(name) for name in LEAVING if name != "pg3"]
    for node in (*nodes.archivers(context), *nodes.routers(context)):
        texts = [path.read_text("utf-8") for path in layout.conf(node).iterdir()]
        assert not [one.name for one in gone if any(host(one) in text for text in texts)]
    with router_client(nodes.routers(context), login(context, ADMIN)) as client:
        assert set(sharding.registered_shards(client)) == {"shard-a", "shard-b"}

        # Who has left stays among the seeds until the config servers look: seeds lead to the rest.
        seeds = sharding.registered_shards(client)["shard-a"].partition("/")[2].split(",")
        assert {host(node) for node in shard_a(context).nodes} <= set(seeds)


def healthy(lab: Lab) -> dict[str, Any]:
    """What `status` says. Raises UnreachableError that names who is unwell."""
    seen = cast("dict[str, Any]", lab.json("status", code=None))
    if not seen["healthy"]:
        unwell = [one for one in seen["nodes"] if one["health"] != "ok"]
        raise UnreachableError(f"{unwell}")
    return seen


def test_members_come_back_by_the_file(lab: Lab) -> None:
    """At the addresses that others had before them; and what a killed removal left is swept.

    A shard does not: what is archived under its name is the former one's.
    """
    left = lab.context.layout.root / "nodes" / "shard-a-9.gone" / "data"
    left.mkdir(parents=True)
    again = lab.run("provision", code=1)
    assert "shard-c was a shard that has left: a new one needs another name" in again.stderr
    larger = by_file(lab, shape(5, 3, 3, SHARD_B, {**SHARD_C, "name": "shard-d"}))
    larger.run("provision", seconds=400)
    assert not left.parent.exists()
    seen = wait_for("health", lambda: healthy(larger), seconds=120, every=1)
    back = {*LEAVING} - {"shard-c-1"} | {"shard-d-1"}
    assert back <= {node["node"] for node in seen["nodes"]}
