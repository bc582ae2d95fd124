"""`verify` on a live cluster whose MongoDB is broken by hand, one requirement at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mongo import nodes
from mongo.client import Client, set_client
from mongo.credentials import APPLICATION, KEYFILE, internal
from mongo.nodes import SetNodes
from mongo.servers import servers
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab
from tests.integration.mongo_provision import provision

pytestmark = pytest.mark.servers

Document = dict[str, Any]
Break = Callable[[LocalContext], None]


@pytest.fixture
def context(shared_lab: Lab) -> Iterator[LocalContext]:
    """The shared cluster; whatever the test broke is healed by a provision."""
    context = shared_lab.context
    yield context
    _keyfile(context).chmod(0o600)
    ends = provision(context)
    assert not [end.why for end in ends.values() if end.error]


def verified(lab: Lab, check: str) -> dict[str, dict[str, str]]:
    """The requirements as they were found, by the test's name."""
    rows = lab.json("verify", "-k", check, code=None)
    assert isinstance(rows, list)
    # testinfra adds its host to the names of tests that use one: [local]
    return {row["check"].rpartition("::")[2].partition("[")[0]: row for row in rows}


def test_the_healthy_cluster_meets_every_requirement(shared_lab: Lab) -> None:
    found = verified(shared_lab, "test_mongo")
    assert len(found) >= 20
    failed = {name: row["reason"] for name, row in found.items() if row["outcome"] != "passed"}
    assert failed == {}
    assert all(row["requirement"].startswith("TP3 §") for row in found.values())


@contextmanager
def as_internal(context: LocalContext, replica_set: SetNodes) -> Iterator[Client]:
    with set_client(replica_set, internal(context)) as client:
        yield client


def reconfigured(context: LocalContext, edit: Callable[[Document], None]) -> None:
    """Reconfigure shard-b by hand."""
    with as_internal(context, nodes.shards(context)[1]) as client:
        config = client.admin.command("replSetGetConfig")["config"]
        leader = client.admin.command("hello")["primary"]
        config["members"].sort(key=lambda member: member["host"] != leader)
        edit(config)
        config["version"] += 1
        client.admin.command({"replSetReconfig": config})


def a_member_is_removed(context: LocalContext) -> None:
    reconfigured(context, lambda config: config["members"].pop())


def elections_are_slow(context: LocalContext) -> None:
    def edit(config: Document) -> None:
        config["settings"]["electionTimeoutMillis"] = 14_000

    reconfigured(context, edit)


def all_are_in_one_zone(context: LocalContext) -> None:
    def edit(config: Document) -> None:
        for member in config["members"]:
            member["tags"] = {"zone": "eu-west-a"}

    reconfigured(context, edit)


def majority_is_in_memory(context: LocalContext) -> None:
    def edit(config: Document) -> None:
        config["writeConcernMajorityJournalDefault"] = False

    reconfigured(context, edit)


def the_default_is_one(context: LocalContext) -> None:
    with as_internal(context, nodes.config_servers(context)) as client:
        client.admin.command({"setDefaultRWConcern": 1, "defaultWriteConcern": {"w": 1}})


def the_application_may_do_anything(context: LocalContext) -> None:
    with as_internal(context, nodes.config_servers(context)) as client:
        client.admin.command({"grantRolesToUser": APPLICATION, "roles": ["root"]})


def the_monitor_is_gone(context: LocalContext) -> None:
    with as_internal(context, nodes.config_servers(context)) as client:
        client.admin.command({"dropUser": "monitor"})


def a_keyfile_is_open(context: LocalContext) -> None:
    _keyfile(context).chmod(0o644)


def _keyfile(context: LocalContext) -> Path:
    return context.layout.conf(nodes.routers(context)[0]) / KEYFILE


def a_secondary_is_dead(context: LocalContext) -> None:
    _kill(context, "shard-a-3")


def a_router_is_dead(context: LocalContext) -> None:
    _kill(context, "router-2")


def _kill(context: LocalContext, name: str) -> None:
    context.target.kill([server for server in servers(context) if server.name == name])


BROKEN: list[tuple[Break, str, str]] = [
    (a_member_is_removed, "test_every_shard_has_its_members", "shard-b has 2 members, not 3"),
    (elections_are_slow, "test_election_timeout_inside_the_sla", "up to 16.1 s"),
    (all_are_in_one_zone, "test_members_are_in_different_zones", "shard-b is in 1 zones, not 3"),
    (majority_is_in_memory, "test_majority_writes_are_journaled", "before they are journaled"),
    (the_default_is_one, "test_default_write_concern", "the cluster's default is w: 1"),
    (the_application_may_do_anything, "test_users_are_as_declared", "app has other roles"),
    (the_monitor_is_gone, "test_users_are_as_declared", "there is no user monitor"),
    (a_keyfile_is_open, "test_keyfiles_are_private", "mode of the keyfile is 644"),
    (a_secondary_is_dead, "test_every_member_serves", "shard-a-3 does not answer"),
    (a_router_is_dead, "test_routers_are_redundant", "router-2 does not answer"),
]


@pytest.mark.parametrize(
    ("breaks", "check", "reason"), BROKEN, ids=lambda row: getattr(row, "__name__", None)
)
def test_what_is_broken_by_hand_is_named(
    shared_lab: Lab, context: LocalContext, breaks: Break, check: str, reason: str
) -> None:
    breaks(context)
    row = verified(shared_lab, f"{check} and not routers_apply")[check]
    assert row["outcome"] == "failed"
    assert reason in row["reason"]
