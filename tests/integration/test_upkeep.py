"""Day 2 on the shared lab: hand-overs, members copied anew, restarts, their book, the metrics."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from cluster.clock import wait_for
from cluster.metrics import Reading, values
from cluster.restarting import half_done
from cluster.server import Server
from manifests.monitoring import local
from mongo import members, nodes, spare
from mongo.client import node_client, set_client
from mongo.credentials import internal
from postgres import patroni
from postgres.scopes import primary_scope
from skillswap_ops.engines import all_servers
from skillswap_ops.monitoring.exporter import Exporter
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab

pytestmark = [pytest.mark.servers, pytest.mark.exhaustive]  # as a file not shown in CI's time yet

ROWS = 500


@pytest.fixture
def context(shared_lab: Lab) -> LocalContext:
    return shared_lab.context


def asked(lab: Lab, *words: str) -> dict[str, Any]:
    return cast("dict[str, Any]", lab.json(*words, "--yes"))


def primary(context: LocalContext, name: str) -> str:
    shard = next(one for one in nodes.shards(context) if one.name == name)
    leads = spare.primary(members.observe(context, shard))
    assert leads
    return nodes.names(context)[leads.host]


def secondaries(context: LocalContext, name: str) -> list[str]:
    shard = next(one for one in nodes.shards(context) if one.name == name)
    leader = primary(context, name)
    return [node.name for node in shard.data_bearing if node.name != leader]


def server(context: LocalContext, name: str) -> Server:
    return next(one for one in all_servers(context) if one.name == name)


@contextmanager
def stopped(lab: Lab, name: str) -> Iterator[None]:
    one = server(lab.context, name)
    lab.context.target.stop(one)
    try:
        yield
    finally:
        lab.run("provision")


def test_a_primary_steps_down(shared_lab: Lab, context: LocalContext) -> None:
    before = primary(context, "shard-a")
    done = asked(shared_lab, "mongo", "stepdown", "shard-a")
    assert done["before"] == before
    assert done["after"] == primary(context, "shard-a") != before
    [gap] = done["gaps"]
    assert (gap["before"], gap["after"]) == (before, done["after"])
    assert 0 < gap["at_most"] < context.topology.sla.mongo.election


def test_a_member_copies_its_data_anew(shared_lab: Lab, context: LocalContext) -> None:
    member = secondaries(context, "shard-a")[0]
    shard = nodes.shards(context)[0]
    with set_client(shard, internal(context)) as client:
        client["resync_test"]["rows"].insert_many([{"_id": n} for n in range(ROWS)])
        try:
            done = asked(shared_lab, "mongo", "member", "resync", member)
            assert "files of" in done["removed"]
            alone = members.observe(context, shard)
            assert spare.cannot_hand_over(alone, {}) == ""
            with node_client(context.inventory.named(member), internal(context)) as copy:
                assert copy["resync_test"]["rows"].count_documents({}) == ROWS
        finally:
            client.drop_database("resync_test")


def test_what_a_set_could_not_stand_is_refused(shared_lab: Lab, context: LocalContext) -> None:
    leader, (down, other) = primary(context, "shard-b"), secondaries(context, "shard-b")
    wrong = shared_lab.run("mongo", "member", "resync", leader, "--yes", code=1)
    assert f"{leader} is the primary of shard-b: it must hand over first" in wrong.stderr
    with stopped(shared_lab, down):
        one = shared_lab.run("mongo", "member", "resync", other, "--yes", code=1)
        assert "1 of 3 votes would be left" in one.stderr
        assert f"{down} does not answer" in one.stderr
        rolling = shared_lab.run("restart", "--rolling", "--component", "mongo", "--yes", code=1)
        assert "shard-b cannot be without" in rolling.stderr
        assert primary(context, "shard-b") == leader


def test_postgresql_switches_over_and_a_standby_is_made_anew(
    shared_lab: Lab, context: LocalContext
) -> None:
    scope = primary_scope(context)
    before = patroni.leader_of(scope).name
    done = asked(shared_lab, "pg", "switchover")
    assert (done["before"], done["after"]) == (before, patroni.leader_of(scope).name)
    assert any(gap["after"] == done["after"] for gap in done["gaps"])
    leading = shared_lab.run("pg", "reinit", done["after"], "--yes", code=1)
    assert f"{done['after']} leads {scope.name}" in leading.stderr
    again = asked(shared_lab, "pg", "reinit", before)
    assert again["source"] == done["after"]
    [leader] = patroni.states([patroni.leader_of(scope)]).values()
    row = leader.standby(before)
    assert row
    assert (row.state, row.sync_state) == ("streaming", "sync")
    assert asked(shared_lab, "pg", "switchover")["after"] == before


def test_proxies_and_routers_restart_one_at_a_time(shared_lab: Lab, context: LocalContext) -> None:
    names = ("router-1", "router-2", "haproxy-1", "haproxy-2")
    before = {name: context.target.state(server(context, name)).pid for name in names}
    turns = cast(
        "list[dict[str, Any]]",
        shared_lab.json(
            "restart", "--rolling", "--component", "routers", "--component", "proxies", "--yes"
        ),
    )
    assert [turn["move"] for turn in turns] == [f"restart {name}" for name in names]
    after = {name: context.target.state(server(context, name)).pid for name in names}
    assert all(before[name] != after[name] for name in names)


def test_a_restart_that_is_killed_is_finished_by_the_next(
    shared_lab: Lab, context: LocalContext
) -> None:
    """Killed while a router is stopped; the other one alone would not let it be restarted."""
    words = ("restart", "--rolling", "--component", "routers", "--yes")
    command = subprocess.Popen(
        shared_lab.command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(
            "a router that is stopped",
            lambda: (
                half_done(context.layout)
                and not context.target.state(server(context, half_done(context.layout))).running
            ),
            seconds=60,
            every=0.01,
        )
    finally:
        command.kill()
        command.wait()
    name = half_done(context.layout)
    again = shared_lab.run(*words)
    assert not name or f"{name} was stopped by a restart that was killed" in again.stderr
    assert context.target.state(server(context, "router-1")).running
    assert context.target.state(server(context, "router-2")).running
    assert half_done(context.layout) == ""


def test_all_of_it_is_in_the_book(shared_lab: Lab) -> None:
    rows = cast("list[dict[str, Any]]", shared_lab.json("audit", "show", "--last", "200"))
    found = {row["command"]: row["result"] for row in rows}
    assert {"mongo stepdown", "mongo member resync", "pg switchover", "pg reinit"} <= set(found)
    assert "whole; head" in shared_lab.run("audit", "verify").stdout


def test_the_exporter_sees_everybody_and_who_is_frozen(context: LocalContext) -> None:
    exporter = Exporter(context)
    try:
        seen = exporter.readings()
        assert not [labels for labels, up in values(seen, "node_up").items() if not up]
        assert values(seen, "mongo_primaries") == {
            (s.name,): 1 for s in nodes.replica_sets(context)
        }
        assert values(seen, "postgres_primaries") == {("payments",): 1, ("payments-dr",): 0}
        assert values(seen, "postgres_synchronous_standbys")["payments",] == 1
        assert all(lag < 5 for lag in values(seen, "mongo_replication_lag_seconds").values())
        frozen = [server(context, name) for name in ("shard-a-2", "pgdr1")]
        context.target.freeze(frozen)
        try:
            first, again = exporter.readings(), exporter.readings()
        finally:
            context.target.thaw(frozen)
        for readings in (first, again):
            assert down(readings) >= {"shard-a-2", "pgdr1"}
            assert values(readings, "node_up")  # everybody else is answered for
        assert values(first, "exporter_read_seconds")[()] < 5
    finally:
        exporter.close()


def test_an_alert_fires_and_clears(shared_lab: Lab, context: LocalContext) -> None:
    """A real Prometheus scrapes the exporter. All that exhaust it are in tests/drills."""
    shared_lab.run("monitor", "up")
    try:
        assert firing(context) == set()
        context.target.kill([server(context, "router-2")])
        wait_for("the alert", lambda: "MongoRouterDown" in firing(context), seconds=60, every=0.5)
        assert shared_lab.run("monitor", "alerts", code=1).stdout.count("router-lost") == 1
        shared_lab.run("provision")
        wait_for("silence", lambda: not firing(context), seconds=60, every=0.5)
        assert shared_lab.run("monitor", "alerts").returncode == 0
        [run] = cast("Any", shared_lab.json("drill", "run", "mongo-router-loss", "--yes"))
        [told] = run["alerts"]
        assert told["alert"] == "MongoRouterDown"
        assert 15 <= told["fired"] <= told["allowed"]
        assert told["cleared"] is not None
    finally:
        shared_lab.run("monitor", "down", "--yes")


def firing(context: LocalContext) -> set[str]:
    return {one.name for one in local.alerts(context) if one.state == "firing"}


def down(readings: list[Reading]) -> set[str]:
    return {labels[0] for labels, up in values(readings, "node_up").items() if not up}
