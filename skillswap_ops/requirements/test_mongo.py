"""What TP3 requires of MongoDB, on the live cluster."""

import stat
from collections.abc import Mapping

import pytest
from pymongo.errors import OperationFailure

from cluster.context import Context
from cluster.errors import RefusedError
from cluster.inventory import Kind, Node
from cluster.status import Health
from mongo import members, nodes, users
from mongo.backup.archive import LATE_SECONDS
from mongo.client import (
    MECHANISM,
    UNAUTHORIZED,
    Client,
    ask_all,
    node_client,
    router_client,
    set_client,
)
from mongo.credentials import ADMIN, APPLICATION, KEYFILE, MONITOR, internal, login
from mongo.live import live_timings
from mongo.servers import MONGOS_CONF, ROUTER_CONF
from mongo.set_model import Answer, SetConfig, State
from mongo.sharding import default_write_concern, registered_shards, segment_places
from mongo.status import status
from skillswap_ops.requirements.conftest import Machine

Answers = Mapping[str, list[Answer]]
TP3_VOTES = 3
# Needs the right to write, and changes nothing where it is wrongly given.
HARMLESS_WRITE: dict[str, object] = {
    "delete": "ops_readiness",
    "deletes": [{"q": {"_id": "no such document"}, "limit": 1}],
}
NO_COLLECTION = "ops_no_such_collection"


@pytest.fixture(scope="module")
def answers(context: Context) -> Answers:
    """What every member of every replica set says."""
    sets = nodes.replica_sets(context)
    return dict(
        zip(
            [one.name for one in sets],
            ask_all(sets, lambda one: members.observe(context, one)),
            strict=True,
        )
    )


@pytest.fixture(scope="module")
def configs(answers: Answers) -> Mapping[str, SetConfig]:
    """The configuration of every replica set that has one."""
    return {
        name: next(answer.config for answer in said if answer.config)
        for name, said in answers.items()
        if any(answer.config for answer in said)
    }


def hosts_of(nodes_: tuple[Node, ...]) -> list[str]:
    """Their hosts, sorted."""
    return sorted(nodes.host(node) for node in nodes_)


# Shape


def test_every_shard_has_its_members(context: Context, configs: Mapping[str, SetConfig]) -> None:
    """TP3 §4: every shard is a replica set of a primary and two secondaries, or an arbiter."""
    for shard in nodes.shards(context):
        found = sorted(configs[shard.name].hosts) if shard.name in configs else []
        wanted = hosts_of(shard.nodes)
        assert found == wanted, f"{shard.name} has {len(found)} members, not {len(wanted)}"
        votes = sum(member.votes for member in configs[shard.name].members)
        assert votes >= TP3_VOTES, f"{shard.name} has {votes} votes, TP3 wants {TP3_VOTES}"


def test_every_member_serves(answers: Answers) -> None:
    """TP3 §5: every member of every replica set is a primary, a secondary or an arbiter."""
    serving = {State.PRIMARY, State.SECONDARY, State.ARBITER}
    wrong = [
        answer.silent or f"{answer.host} is {answer.state.name}"
        for said in answers.values()
        for answer in said
        if answer.state not in serving
    ]
    assert not wrong, "; ".join(wrong)


def test_one_primary_a_set(answers: Answers) -> None:
    """TP3 §4: every replica set has exactly one primary."""
    for name, said in answers.items():
        primaries = [answer.host for answer in said if answer.state is State.PRIMARY]
        assert len(primaries) == 1, f"{name} has {len(primaries)} primaries"


def test_members_are_in_different_zones(context: Context, configs: Mapping[str, SetConfig]) -> None:
    """TP3 §5: the members of a replica set are spread over availability zones."""
    zones = len(context.topology.region(context.topology.mongo.region).zones)
    for name, config in configs.items():
        data_bearing = [member for member in config.members if not member.arbiter]
        found = {dict(member.tags).get("zone", "none") for member in data_bearing}
        wanted = min(zones, len(data_bearing))
        assert len(found) == wanted, f"{name} is in {len(found)} zones, not {wanted}"


def test_three_config_servers(context: Context, configs: Mapping[str, SetConfig]) -> None:
    """TP3 §4: the configuration is held by three config servers."""
    config = nodes.config_servers(context)
    found = configs[config.name].hosts if config.name in configs else ()
    assert len(found) >= TP3_VOTES, f"there are {len(found)} config servers"
    assert sorted(found) == hosts_of(config.nodes)


def test_shards_are_registered(context: Context) -> None:
    """TP3 §4: every shard is part of the sharded cluster."""
    with router_client(nodes.routers(context), login(context, ADMIN)) as client:
        found = set(registered_shards(client))
    assert found == {shard.name for shard in nodes.shards(context)}


def test_segments_are_pinned(context: Context) -> None:
    """TP3 §4: every functional segment lives on shards of its own, pinned to the first of them."""
    with router_client(nodes.routers(context), login(context, ADMIN)) as client:
        places = segment_places(client)
    for segment, shards in context.topology.mongo.segments.items():
        found, wanted = places.get(segment), shards[0].name
        assert found == wanted, f"{segment} lives on {found}, not on {wanted}"


def test_routers_are_redundant(context: Context) -> None:
    """TP3 §4: routers are redundant, and each reaches every shard."""
    routers = nodes.routers(context)
    assert len(routers) >= 2, f"there is {len(routers)} router"
    wanted = {shard.name for shard in nodes.shards(context)}
    for router in routers:
        with node_client(router, login(context, MONITOR)) as client:
            assert client.admin.command("hello").get("msg") == "isdbgrid"
            assert set(registered_shards(client)) == wanted


def test_routers_know_every_config_server(context: Context, machine: Machine) -> None:
    """TP3 §4: every router is told of all the config servers."""
    seeds = nodes.config_servers(context).seeds
    for router in nodes.routers(context):
        folder = context.layout.conf(router)
        files = [machine(router).file(str(folder / name)) for name in (MONGOS_CONF, ROUTER_CONF)]
        found = [file.content_string for file in files if file.exists]
        assert found, f"{router.name} has no configuration file"
        assert all(seeds in text for text in found), f"{router.name} is not told of {seeds}"


# Durability and time


def test_default_write_concern(context: Context) -> None:
    """TP3 §4: a write that names no write concern waits for the one that the topology declares."""
    declared = context.topology.mongo.write_concern
    with set_client(nodes.config_servers(context), internal(context)) as client:
        found = default_write_concern(client)
    assert found == declared, f"the cluster's default is w: {found}, not w: {declared}"


def test_routers_apply_the_default_write_concern(context: Context) -> None:
    """TP3 §4: every router gives the declared default to writes."""
    declared = context.topology.mongo.write_concern
    for router in nodes.routers(context):
        with node_client(router, login(context, ADMIN)) as client:
            found = default_write_concern(client, in_memory=True)
        assert found == declared, f"{router.name} has w: {found}, not w: {declared}"


def test_majority_writes_are_journaled(configs: Mapping[str, SetConfig]) -> None:
    """TP3 §4: a majority write is on the majority's disks (j: true) when it is acknowledged."""
    for name, config in configs.items():
        assert config.journaled, f"{name} acknowledges majority writes before they are journaled"


def test_election_timeout_inside_the_sla(context: Context) -> None:
    """TP3 §5: a primary's loss is followed by an election in less than 15 seconds."""
    promised = context.topology.sla.mongo.election
    for replica_set in nodes.replica_sets(context):
        timings = live_timings(context, replica_set)
        longest = timings.election_timeout * (1 + timings.offset)
        assert longest < promised, (
            f"{replica_set.name} stands for election after up to {longest:g} s, "
            f"promised are {promised:g} s"
        )


def test_lag_inside_the_rpo(context: Context) -> None:
    """TP3 §6: no secondary is further behind than the recovery point objective."""
    promised = context.topology.sla.mongo.rpo
    lags = {row.node.name: row.lag_seconds for row in status(context) if row.role == "SECONDARY"}
    assert lags, "no secondary was seen"
    late = {name: lag for name, lag in lags.items() if lag is None or lag > promised}
    assert not late, f"behind by more than {promised:g} s, or nobody knows: {late}"


# Access


def test_anonymous_clients_are_refused(context: Context) -> None:
    """TP3 §5: no MongoDB port answers a client that has not logged in."""
    for node in filter(nodes.is_mongo, context.inventory.nodes):
        with node_client(node, None) as client:
            assert refuses(client, {"listDatabases": 1}), f"{node.name} lists its databases"


def test_keyfiles_are_private(context: Context, machine: Machine) -> None:
    """TP3 §5: the key of the cluster's servers is readable to them alone."""
    for node in filter(nodes.is_mongo, context.inventory.nodes):
        file = machine(node).file(str(context.layout.conf(node) / KEYFILE))
        assert file.exists, f"{node.name} has no keyfile"
        others = file.mode & (stat.S_IRWXG | stat.S_IRWXO)
        assert not others, f"{node.name}: mode of the keyfile is {file.mode:o}"


def test_users_are_as_declared(context: Context) -> None:
    """TP3 §5: MongoDB's users have the roles that they need, no others, over SCRAM-SHA-256."""
    with router_client(nodes.routers(context), login(context, ADMIN)) as client:
        found = {user["user"]: user for user in client.admin.command("usersInfo")["users"]}
    for user in users.cluster_users(context):
        name = user.login.user
        assert name in found, f"there is no user {name}"
        roles = {users.Role(role["role"], role["db"]) for role in found[name]["roles"]}
        assert roles == user.roles, f"{name} has other roles"
        mechanisms = found[name]["mechanisms"]
        assert mechanisms == [MECHANISM], f"{name} logs in by {mechanisms}"


def test_the_application_is_confined(context: Context) -> None:
    """TP3 §5: the application's user can reach its segments and nothing beside them."""
    with router_client(nodes.routers(context), login(context, APPLICATION)) as client:
        for segment in context.topology.mongo.segments:
            client[segment].command("count", "ops_readiness")
            assert refuses(client, {"drop": NO_COLLECTION}, segment), f"it may drop in {segment}"
        assert refuses(client, HARMLESS_WRITE, "elsewhere"), "it may write elsewhere"
        assert refuses(client, {"find": "system.users"}), "it may read the users"
        assert refuses(client, {"usersInfo": 1}), "it may list the users"


def test_the_application_knows_no_shard(context: Context) -> None:
    """TP3 §4: the application reaches the shards through the routers alone."""
    for member in context.inventory.of(Kind.SHARD):
        with (
            pytest.raises(RefusedError),
            node_client(member, login(context, APPLICATION)) as client,
        ):
            client.admin.command("ping")


def test_the_monitoring_user_cannot_write(context: Context) -> None:
    """TP3 §5: the monitoring user can look and not touch."""
    segment = context.topology.mongo.shards[0].segment
    with router_client(nodes.routers(context), login(context, MONITOR)) as client:
        assert refuses(client, HARMLESS_WRITE, segment), f"it may write {segment}"
        assert refuses(client, {"find": "ops_readiness"}, segment), f"it may read {segment}"


def refuses(client: Client, order: dict[str, object], database: str = "admin") -> bool:
    """Whether the order is refused for want of rights. Any other error is the caller's."""
    try:
        client[database].command(order)
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return True
    return False


# Backups


def test_the_oplog_archive_is_well_inside_the_rpo(context: Context) -> None:
    """TP3 §6: five minutes; what a lost cluster loses is what the archive does not have yet."""
    if not context.topology.mongo.backup.enabled:
        pytest.skip("mongo.backup.enabled is false")
    [archiver] = [one for one in status(context) if one.node.kind is Kind.ARCHIVER]
    assert archiver.health is Health.OK, archiver.detail
    assert archiver.lag_seconds is not None
    assert archiver.lag_seconds <= min(LATE_SECONDS, context.topology.sla.mongo.rpo)
