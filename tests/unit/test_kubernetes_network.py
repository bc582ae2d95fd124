"""Who reaches whom, by the policies themselves: evaluated as Kubernetes does, for every pair."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import pytest

from cluster.kubernetes.labels import PEERS
from manifests.kubernetes.build import objects
from manifests.kubernetes.component import Component
from tests.unit.kubernetes_samples import NAMES, edited, one, parts
from tests.unit.test_kubernetes_objects import WORKLOADS, pod

MONGO = {"shard-a", "shard-b", "config", "routers", "archiver"}


@dataclass(frozen=True)
class Pod:
    """A pod, by its workload."""

    name: str
    labels: tuple[tuple[str, str], ...]

    def matches(self, selector: Any) -> bool:
        assert set(selector) <= {"matchLabels"}
        return set(selector.get("matchLabels", {}).items()) <= set(self.labels)


def pods(found: tuple[Component, ...]) -> list[Pod]:
    return [
        Pod(each.name, tuple(pod(each.data)["metadata"]["labels"].items()))
        for each in objects(found)
        if each.kind in WORKLOADS
    ]


def policies(found: tuple[Component, ...]) -> list[Any]:
    return [each.data["spec"] for each in objects(found) if each.kind == "NetworkPolicy"]


def allows(rules: Iterable[Any], peer: Pod, side: str, port: int) -> bool:
    return any(
        any(
            "podSelector" in one
            and "namespaceSelector" not in one
            and peer.matches(one["podSelector"])
            for one in rule[side]
        )
        and any(one["port"] == port and one["protocol"] == "TCP" for one in rule["ports"])
        for rule in rules
    )


def reaches(found: list[Any], source: Pod, target: Pod, port: int) -> bool:
    """Both ends must allow it."""
    out = [p for p in found if source.matches(p["podSelector"]) and "Egress" in p["policyTypes"]]
    into = [p for p in found if target.matches(p["podSelector"]) and "Ingress" in p["policyTypes"]]
    assert out, "nobody is without a policy"
    assert into
    leaves = any(allows(p.get("egress", ()), target, "to", port) for p in out)
    enters = any(allows(p.get("ingress", ()), source, "from", port) for p in into)
    assert leaves == enters, f"{source.name} to {target.name}:{port}: only one end is open"
    return leaves


@cache
def matrix(name: str) -> frozenset[tuple[str, str, int]]:
    """Every (source, target, port) that passes."""
    found, rules = pods(parts(name)), policies(parts(name))
    ports = {
        rule_port["port"] for p in rules for r in p.get("ingress", ()) for rule_port in r["ports"]
    }
    return frozenset(
        (source.name, target.name, port)
        for source, target, port in product(found, found, sorted(ports))
        if reaches(rules, source, target, port)
    )


def sources(name: str, target: str, port: int) -> set[str]:
    return {source for source, other, number in matrix(name) if (other, number) == (target, port)}


def targets(name: str, source: str) -> set[tuple[str, int]]:
    return {(target, port) for other, target, port in matrix(name) if other == source}


TOOL = {
    each.name
    for each in pods(parts("tp3"))
    if dict(each.labels)["app.kubernetes.io/component"] == "operations"
}
WATCHERS = TOOL | {"mongo-exporter", "postgres-exporter", "redis-exporter"}


def test_shards_are_reached_by_routers_members_and_those_who_watch() -> None:
    """TP3 §4: App → mongos → shards; the application does not reach a shard."""
    assert sources("tp3", "shard-a", 27018) == MONGO | WATCHERS
    assert sources("tp3", "config", 27019) == MONGO | WATCHERS


def test_the_archiver_follows_every_set_and_is_reached_by_nobody() -> None:
    assert targets("tp3", "archiver") == {
        ("shard-a", 27018),
        ("shard-b", 27018),
        ("config", 27019),
    }
    assert not {source for source, target, _ in matrix("tp3") if target == "archiver"}


def test_only_those_who_keep_something_in_a_bucket_get_out_to_it() -> None:
    """Egress that no label names, on the port of the S3 service."""

    def outside(found: tuple[Component, ...]) -> set[tuple[str, int]]:
        return {
            (each.name, port["port"])
            for each in objects(found)
            if each.kind == "NetworkPolicy"
            for rule in each.data["spec"].get("egress", ())  # type: ignore[union-attr]
            if rule["to"][0].get("ipBlock", {}).get("except")  # type: ignore[index, call-overload, union-attr]
            for port in rule["ports"]  # type: ignore[index, call-overload, union-attr]
        }

    assert outside(parts("tp3")) == set()
    keepers = {"payments", "payments-dr", "every-archiver", "every-operations", "service-files"}
    keepers |= {"restore-proof"}
    assert outside(parts("large")) == {(name, 443) for name in keepers}
    place = {"endpoint": "s3.example.org", "bucket": "skillswap"}
    repository = {"type": "s3", "port": 9443, **place}
    apart = edited(
        {
            "mongo.backup": {"repository": repository},
            "objects.external": {"port": 8443, **place},
        }
    )
    assert outside(apart) == {
        ("every-archiver", 9443),
        ("every-operations", 9443),
        ("service-files", 8443),
    }
    archive = edited({"archive.repositories": [repository]})
    assert outside(archive) == {
        ("payments", 9443),
        ("payments-dr", 9443),
        ("restore-proof", 9443),
    }


def test_services_reach_the_stores_they_use() -> None:
    stores = {("routers", 27017), ("haproxy", 5000), ("redis", 6379)}
    assert targets("tp3", "service-payments") & stores == {("haproxy", 5000)}
    assert targets("tp3", "service-reviews") & stores == {("routers", 27017)}
    assert targets("tp3", "service-chat") & stores == {("routers", 27017), ("redis", 6379)}


def test_services_call_those_they_depend_on() -> None:
    called = {target for target, port in targets("tp3", "service-sessions") if port == 8080}
    assert called == {"service-auth", "service-notifications", "service-payments"}
    assert sources("tp3", "service-gateway", 8080) == TOOL


def test_only_the_proxies_and_members_reach_postgres() -> None:
    members = {"pg1", "pgsync1"}
    assert sources("tp3", "pg1", 5432) == {"haproxy"} | members | WATCHERS
    assert sources("tp3", "pg1", 6432) == {"haproxy"} | WATCHERS


def test_dr_reaches_the_primary_through_the_proxies_alone() -> None:
    mine = {(target, port) for target, port in targets("tp3", "pgdr1") if target != "pgdr1"}
    assert mine == {("haproxy", 5001)}
    assert "pg1" not in {source for source, target, _ in matrix("tp3") if target == "pgdr1"}


@pytest.mark.parametrize("name", NAMES)
def test_nobody_is_open_to_everybody(name: str) -> None:
    for each in policies(parts(name)):
        for rule in each.get("ingress", ()):
            assert rule["from"]
            assert rule["ports"]
            assert {"podSelector": {}} not in rule["from"]


def test_the_matrix_is_no_wider_than_the_sum_of_the_arrows() -> None:
    """What is not named above: exactly so many pairs; a new arrow must be a decision."""
    databases = {"shard-a", "shard-b", "config", "routers", "pg1", "pgsync1", "pgdr1", "redis"}
    outward = {
        (source, target)
        for source, target, _ in matrix("tp3")
        if source in databases and target not in databases
    }
    assert outward == {("pgdr1", "haproxy")}


def test_a_member_that_is_cut_off_loses_its_peers_and_nothing_else() -> None:
    """A drill takes the label away: policies can only allow."""
    found, rules = pods(parts("tp3")), policies(parts("tp3"))
    (member,) = [each for each in found if each.name == "pgsync1"]
    labels = dict(member.labels) | {PEERS: "cut-by-a-drill"}
    cut = Pod("cut", tuple(labels.items()))
    by_name = {each.name: each for each in found}

    def both_ways(other: str, port: int) -> tuple[bool, bool]:
        return (
            reaches(rules, cut, by_name[other], port),
            reaches(rules, by_name[other], cut, port),
        )

    assert both_ways("pg1", 5432) == (False, False)
    assert both_ways("pg1", 8008) == (False, False)
    assert both_ways("haproxy", 5432) == (False, True)
    api = [p for p in rules if cut.matches(p["podSelector"]) and "6443" in str(p.get("egress"))]
    assert not api, "its leader's lease lives in the API: that is cut, too"
    assert [p for p in rules if member.matches(p["podSelector"]) and "6443" in str(p.get("egress"))]


def test_the_public_api_opens_with_its_name() -> None:
    closed = one(parts("tp3"), "NetworkPolicy/service-gateway")
    open_ = edited({"kubernetes.host": "api.example.org"})
    spaces = [
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for rule in one(open_, "NetworkPolicy/service-gateway")["spec"]["ingress"]
        for peer in rule["from"]
        if "namespaceSelector" in peer
    ]
    assert spaces == ["monitoring", "ingress-nginx"]
    assert "ingress-nginx" not in str(closed)
    assert one(open_, "Ingress/service-gateway")["spec"]["rules"][0]["host"] == "api.example.org"
