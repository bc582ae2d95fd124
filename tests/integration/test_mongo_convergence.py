"""Provisioning MongoDB: killed anywhere it goes on where it was; drift is healed; nothing is twice.

One cluster for the whole module: every test leaves it healthy.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import psutil
import pytest
from pymongo.errors import OperationFailure

from cluster.clock import wait_for
from cluster.errors import RefusedError
from cluster.inventory import Node
from cluster.local import processes
from cluster.plan import Finished, Outcome
from cluster.server import Server
from mongo import members, nodes, sharding
from mongo.client import node_client, router_client, set_client
from mongo.credentials import ADMIN, APPLICATION, internal, login
from mongo.nodes import SetNodes
from mongo.servers import servers
from mongo.set_model import State
from mongo.sharding import default_write_concern, segment_places
from skillswap_ops.wiring import LocalContext
from tests.conftest import ROOT, Lab, make_lab, remove_lab
from tests.integration.mongo_provision import provision

pytestmark = pytest.mark.servers

# In the order in which a fresh provision comes to them.
MOMENTS = [
    "replSetInitiate:started",
    "replSetInitiate:answered",
    "replSetStepUp:started",
    "replSetStepUp:answered",
    "createUser:started",
    "createUser:answered",
    "setDefaultRWConcern:answered",
    "addShard:started",
    "addShard:answered",
    "enableSharding:started",
    "enableSharding:answered",
    "update:answered",
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = make_lab("127.83.0.0/16", "mongolab")
    yield lab
    remove_lab(lab)


@pytest.fixture(scope="module")
def context(lab: Lab) -> LocalContext:
    return lab.context


def run(lab: Lab, *moments: str) -> int:
    """Provision in a process of its own, killed at the first of these; -9 where it was."""
    argv = [sys.executable, "-m", "tests.integration.mongo_provision"]
    ended = subprocess.run(
        [*argv, str(lab.home), str(lab.topology), *moments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ended.returncode in {0, -signal.SIGKILL}, ended.stderr
    return ended.returncode


def set_ids(context: LocalContext) -> dict[str, set[str]]:
    """The ids of the sets that members belong to, by replica set."""
    return {
        one.name: {
            answer.config.set_id for answer in members.observe(context, one) if answer.config
        }
        for one in nodes.replica_sets(context)
    }


def test_killed_at_every_turn_it_still_makes_one_set_a_shard(
    lab: Lab, context: LocalContext
) -> None:
    known: dict[str, set[str]] = {}
    killed = 0
    for number in range(len(MOMENTS)):
        killed += run(lab, *MOMENTS[number:]) == -signal.SIGKILL
        for name, ids in set_ids(context).items() if killed else ():
            assert len(ids) <= 1, f"{name} was initiated twice: {ids}"
            before = known.setdefault(name, ids) if ids else known.get(name, set())
            assert not before or ids == before, f"{name} was initiated again"
    assert killed >= len(MOMENTS) - 2  # two steps side by side may pass two moments in one run
    assert run(lab) == 0
    assert {name: len(ids) for name, ids in set_ids(context).items()} == {
        "config": 1,
        "shard-a": 1,
        "shard-b": 1,
    }
    assert set_ids(context) == known
    healthy(context)


@pytest.fixture
def provisioned(lab: Lab, context: LocalContext) -> LocalContext:
    """The cluster, healthy."""
    outcomes = provision(context)
    assert not [end for end in outcomes.values() if end.error], outcomes
    return context


def healthy(context: LocalContext) -> None:
    """A second provision finds nothing to do."""
    ends = provision(context).values()
    assert {end.step.name: end.why for end in ends if end.outcome is not Outcome.UNCHANGED} == {}


def changed(ends: dict[str, Finished]) -> set[str]:
    assert not [end for end in ends.values() if end.error], [end.why for end in ends.values()]
    return {name for name, end in ends.items() if end.outcome is Outcome.CHANGED}


def test_a_second_provision_changes_nothing_and_is_quick(provisioned: LocalContext) -> None:
    ends = provision(provisioned).values()
    assert {end.outcome for end in ends} == {Outcome.UNCHANGED}
    assert max(end.ended for end in ends) - min(end.began for end in ends) < 5


def server_of(context: LocalContext, node: Node) -> Server:
    return next(server for server in servers(context) if server.name == node.name)


def primary_of(context: LocalContext, replica_set: SetNodes) -> Node:
    answers = members.observe(context, replica_set)
    host = next(answer.host for answer in answers if answer.state is State.PRIMARY)
    return next(node for node in replica_set.nodes if nodes.host(node) == host)


def test_a_killed_member_alone_is_started(provisioned: LocalContext) -> None:
    shard = nodes.shards(provisioned)[0]
    victim = primary_of(provisioned, shard)
    provisioned.target.kill([server_of(provisioned, victim)])
    ends = provision(provisioned)
    started = {name for name in changed(ends) if name.startswith("start ")}
    assert started == {f"start {victim.name}"}
    healthy(provisioned)


def wipe(context: LocalContext, node: Node) -> None:
    """The node loses its disk: killed, and its data folder is empty when it starts again."""
    context.target.kill([server_of(context, node)])
    data = context.layout.data(node)
    shutil.rmtree(data)
    context.target.make_folder(data)


def test_a_first_member_without_its_disk_joins_the_old_set(provisioned: LocalContext) -> None:
    """The trap of bitnami/charts#13821: member 0 must not start a set of its own."""
    before = set_ids(provisioned)
    wipe(provisioned, nodes.shards(provisioned)[0].nodes[0])
    provision(provisioned)
    assert set_ids(provisioned) == before
    healthy(provisioned)


def test_two_members_without_disks_while_the_third_is_down_are_left_alone(
    provisioned: LocalContext,
) -> None:
    """Nobody who answers has a configuration: the silent one may, so nothing is initiated."""
    shard = nodes.shards(provisioned)[0]
    before = set_ids(provisioned)["shard-a"]
    kept, *lost = shard.nodes
    kept_server = server_of(provisioned, kept)
    provisioned.target.kill([kept_server])
    for node in lost:  # both before either starts: one that is whole would tell the other
        wipe(provisioned, node)
    for node in lost:
        provisioned.target.start(server_of(provisioned, node))
        wait_for(f"{node.name} to answer", partial(answers, provisioned, node), seconds=30)
    [step, _] = members.steps(provisioned, shard)
    finding = step.check()
    assert not finding.done
    assert "it may hold the set's configuration" in finding.why
    assert [answer.config for answer in members.observe(provisioned, shard)[1:]] == [None, None]
    provisioned.target.start(kept_server)
    ends = provision(provisioned)
    assert not [end.why for end in ends.values() if end.error]
    assert set_ids(provisioned)["shard-a"] == before
    healthy(provisioned)


def answers(context: LocalContext, node: Node) -> bool:
    with node_client(node, internal(context)) as client:
        return bool(client.admin.command("ping"))


def reconfigure(context: LocalContext, shard: SetNodes, edit: "partial[None]") -> None:
    """What an operator does by hand."""
    with set_client(shard, internal(context)) as client:
        config = client.admin.command("replSetGetConfig")["config"]
        edit(config)
        config["version"] += 1
        client.admin.command({"replSetReconfig": config})


def _slow(config: dict[str, dict[str, int]]) -> None:
    config["settings"]["electionTimeoutMillis"] = 60_000


def _prefer(config: dict[str, list[dict[str, object]]]) -> None:
    for number, member in enumerate(config["members"]):
        member["priority"] = number + 1
        member["tags"] = {}


def _remove(host: str, config: dict[str, list[dict[str, object]]]) -> None:
    config["members"] = [one for one in config["members"] if one["host"] != host]


def test_drifted_settings_and_members_are_healed(provisioned: LocalContext) -> None:
    shard = nodes.shards(provisioned)[1]
    reconfigure(provisioned, shard, partial(_slow))
    reconfigure(provisioned, shard, partial(_prefer))
    assert shard.step in changed(provision(provisioned))
    healthy(provisioned)
    config = members.observe(provisioned, shard)[0].config
    assert config is not None
    assert config.timings == members.wanted(provisioned, shard).timings
    assert config.members == members.wanted(provisioned, shard).members


def test_a_removed_member_is_added_again(provisioned: LocalContext) -> None:
    shard = nodes.shards(provisioned)[1]
    leader = primary_of(provisioned, shard)
    victim = next(node for node in shard.nodes if node != leader)
    reconfigure(provisioned, shard, partial(_remove, nodes.host(victim)))
    assert shard.step in changed(provision(provisioned))
    healthy(provisioned)


def test_drifted_users_are_healed(provisioned: LocalContext) -> None:
    config = nodes.config_servers(provisioned)
    with set_client(config, internal(provisioned)) as client:
        client.admin.command({"updateUser": APPLICATION, "pwd": "forgotten"})
        client.admin.command({"grantRolesToUser": "monitor", "roles": ["root"]})
        client.admin.command({"dropUser": ADMIN})
    assert "users config" in changed(provision(provisioned))
    healthy(provisioned)


def test_a_drifted_default_write_concern_is_healed(provisioned: LocalContext) -> None:
    config = nodes.config_servers(provisioned)
    with set_client(config, internal(provisioned)) as client:
        client.admin.command({"setDefaultRWConcern": 1, "defaultWriteConcern": {"w": 1}})
        assert default_write_concern(client) == 1
    assert changed(provision(provisioned)) == {"default write concern"}
    with set_client(config, internal(provisioned)) as client:
        assert default_write_concern(client) == "majority"


def test_a_segment_is_never_moved_behind_the_operators_back(provisioned: LocalContext) -> None:
    """The topology file has changed its mind about where the segments live."""
    first, second = provisioned.topology.mongo.shards
    exchanged = (
        first.model_copy(update={"segment": second.segment}),
        second.model_copy(update={"segment": first.segment}),
    )
    mongo = provisioned.topology.mongo.model_copy(update={"shards": exchanged})
    topology = provisioned.topology.model_copy(update={"mongo": mongo})
    steps = {step.name: step for step in sharding.steps(replace(provisioned, topology=topology))}
    with pytest.raises(RefusedError, match="users_skills lives on shard-a, not on shard-b"):
        steps["pin users_skills"].check()
    healthy(provisioned)


def test_the_application_writes_through_every_router(provisioned: LocalContext) -> None:
    for router in nodes.routers(provisioned):
        with router_client([router], login(provisioned, APPLICATION)) as client:
            for shard in provisioned.topology.mongo.shards:
                place = client[shard.segment]["essai"]
                place.insert_one({"_id": router.name})
                assert place.find_one({"_id": router.name})
            with pytest.raises(OperationFailure) as refusal:
                client["elsewhere"]["essai"].insert_one({"_id": 1})
            assert refusal.value.code == 13
        with router_client([router], login(provisioned, ADMIN)) as client:
            for shard in provisioned.topology.mongo.shards:
                client[shard.segment].drop_collection("essai")


def test_segments_are_where_their_shards_are(provisioned: LocalContext) -> None:
    with router_client(nodes.routers(provisioned), login(provisioned, ADMIN)) as client:
        places = segment_places(client)
    assert places.items() >= {"users_skills": "shard-a", "sessions_messages": "shard-b"}.items()
    for shard in nodes.shards(provisioned):
        with set_client(shard, internal(provisioned)) as client:
            held = set(client.list_database_names()) & set(places)
        assert held == {name for name, place in places.items() if place == shard.name}


def test_no_server_opens_a_unix_socket(provisioned: LocalContext) -> None:
    """Two clusters beside each other would fight for one in a shared folder."""
    sockets = [
        socket.laddr
        for process in processes.owned(provisioned.layout.root)
        if process.name == "mongod"
        for socket in psutil.Process(process.pid).net_connections("unix")
        if socket.laddr
    ]
    assert sockets == []
