"""What the objects say of members, zones, quorum, volumes, rights; whatever the topology is."""

import re
from typing import Any

import pytest

from cluster.inventory import Kind
from cluster.topology import PostgresRole
from manifests.kubernetes.build import objects
from manifests.kubernetes.component import Component
from manifests.kubernetes.objects import Manifest
from manifests.services.catalogue import CATALOGUE
from tests.unit.kubernetes_samples import NAMES, edited, everything, one, parts, plan, shipped

WORKLOADS = {"StatefulSet", "Deployment", "Job", "CronJob"}


def pod(data: Any) -> Any:
    """The pod template of a workload."""
    spec = data["spec"]
    return (spec["jobTemplate"]["spec"] if data["kind"] == "CronJob" else spec)["template"]


def workloads(name: str) -> list[Manifest]:
    return [each for each in everything(name) if each.kind in WORKLOADS]


def zones(data: Any) -> list[str]:
    terms = pod(data)["spec"]["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]["nodeSelectorTerms"]
    (wanted,) = [e["values"] for e in terms[0]["matchExpressions"] if e["key"].endswith("/zone")]
    return list(wanted)


def pods_of(data: Any) -> list[str]:
    start = data["spec"]["ordinals"]["start"]
    return [
        f"{data['metadata']['name']}-{number}"
        for number in range(start, start + data["spec"]["replicas"])
    ]


# Names


@pytest.mark.parametrize("name", NAMES)
def test_every_object_is_named_once(name: str) -> None:
    keys = [each.key for each in everything(name)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("name", NAMES)
def test_pods_are_named_as_the_nodes(name: str) -> None:
    """Members, Patroni and the synchronous standby go by these names."""
    sets = [each.data for each in everything(name) if each.kind == "StatefulSet"]
    made = {pod_name for data in sets for pod_name in pods_of(data)}
    fleets = {Kind.ROUTER, Kind.HAPROXY}
    assert made == {node.name for node in plan(name).inventory.nodes if node.kind not in fleets}


@pytest.mark.parametrize("name", NAMES)
def test_every_address_is_given_by_a_service(name: str) -> None:
    services = {each.name: each.data for each in everything(name) if each.kind == "Service"}
    sets = {
        pod_name: each.data["spec"]["serviceName"]  # type: ignore[index, call-overload]
        for each in everything(name)
        if each.kind == "StatefulSet"
        for pod_name in pods_of(each.data)
    }
    for node in plan(name).inventory.nodes:
        labels = node.address.removesuffix(f".{shipped(name).name}.svc.cluster.local").split(".")
        if len(labels) == 2:
            assert sets[labels[0]] == labels[1] == node.group
        assert labels[-1] in services


def test_names_do_not_move_when_a_shard_is_added() -> None:
    more = edited({"mongo.shards[2]": {"name": "shard-c", "segment": "more", "members": 3}})
    before, after = ({each.key for each in objects(found)} for found in (parts("tp3"), more))
    gone = {key for key in before - after if "Job/" not in key}
    assert not gone
    assert all("shard-c" in key or "Job/" in key for key in after - before)


# Places


def test_members_of_payments_are_pinned_to_their_zones() -> None:
    """The primary and its synchronous standby are never in one zone, DR is in its region."""
    for member in shipped("tp3").postgres.members:
        assert zones(one(parts("tp3"), f"StatefulSet/{member.name}")) == [member.zone]
    assert zones(one(parts("tp3"), "StatefulSet/pgdr1")) == ["eu-central-a"]


@pytest.mark.parametrize("name", NAMES)
def test_copies_of_data_are_on_different_machines(name: str) -> None:
    for each in everything(name):
        if each.kind == "StatefulSet":
            rules = pod(each.data)["spec"]["affinity"]["podAntiAffinity"]
            (term,) = rules["requiredDuringSchedulingIgnoredDuringExecution"]
            assert term["topologyKey"] == "kubernetes.io/hostname"
            chosen = term["labelSelector"]["matchLabels"].items()
            assert chosen <= pod(each.data)["metadata"]["labels"].items()


def test_sets_are_spread_as_the_topology_spreads_them() -> None:
    lopsided = edited({"mongo.shards[0].zones": ["eu-west-a", "eu-west-a", "eu-west-b"]})
    for found, skew, wanted in (
        (parts("tp3"), 1, ["eu-west-a", "eu-west-b", "eu-west-c"]),
        (lopsided, 1, ["eu-west-a", "eu-west-b"]),
    ):
        data = one(found, "StatefulSet/shard-a")
        (rule,) = pod(data)["spec"]["topologySpreadConstraints"]
        assert (rule["maxSkew"], rule["whenUnsatisfiable"]) == (skew, "DoNotSchedule")
        assert zones(data) == wanted


# Quorum


@pytest.mark.parametrize(
    ("members", "arbiter", "least"), [(3, False, 2), (5, False, 3), (2, True, 2), (7, False, 4)]
)
def test_drains_leave_a_majority(members: int, arbiter: bool, least: int) -> None:
    found = edited({"mongo.shards[0].members": members, "mongo.shards[0].arbiter": arbiter})
    budget = one(found, "PodDisruptionBudget/shard-a")
    assert budget["spec"]["minAvailable"] == least
    chosen = budget["spec"]["selector"]["matchLabels"].items()
    names = ["shard-a", "shard-a-arbiter"] if arbiter else ["shard-a"]
    counted = 0
    for name in names:
        data = one(found, f"StatefulSet/{name}")
        assert chosen <= pod(data)["metadata"]["labels"].items()
        counted += data["spec"]["replicas"]
    assert counted == members + arbiter


@pytest.mark.parametrize("name", NAMES)
def test_stateful_sets_do_not_share_pods(name: str) -> None:
    """Two sets whose selectors match one pod fight over it."""
    sets = [each.data for each in everything(name) if each.kind == "StatefulSet"]
    arbiters = objects(edited({"mongo.shards[0].members": 2, "mongo.shards[0].arbiter": True}))
    for group in (sets, [each.data for each in arbiters if each.kind == "StatefulSet"]):
        for mine in group:
            chosen = mine["spec"]["selector"]["matchLabels"].items()  # type: ignore[index, call-overload, union-attr]
            matched = [
                other["metadata"]["name"]  # type: ignore[index, call-overload]
                for other in group
                if chosen <= pod(other)["metadata"]["labels"].items()
            ]
            assert matched == [mine["metadata"]["name"]]  # type: ignore[index, call-overload]


def test_payments_take_changes_one_by_one() -> None:
    for name in ("pg1", "pgsync1", "pgdr1"):
        strategy = one(parts("tp3"), f"StatefulSet/{name}")["spec"]["updateStrategy"]
        assert strategy == {"type": "OnDelete"}
    strategy = one(parts("tp3"), "StatefulSet/shard-a")["spec"]["updateStrategy"]
    assert strategy == {"type": "RollingUpdate"}


def test_no_etcd_and_patroni_may_only_what_it_does() -> None:
    assert not [each for each in everything("tp3") if "etcd" in each.key]
    rules = one(parts("tp3"), "Role/payments")["rules"]
    assert {rule["resources"][0]: sorted(rule["verbs"]) for rule in rules} == {
        "configmaps": ["create", "get", "list", "patch", "update", "watch"],
        "pods": ["get", "list", "patch", "update", "watch"],
    }
    assert pod(one(parts("tp3"), "StatefulSet/pg1"))["spec"]["serviceAccountName"] == "payments"


# Large


def test_large_is_what_was_asked_for() -> None:
    shape = shipped("large")
    per_segment = {name: len(shards) for name, shards in shape.mongo.segments.items()}
    assert per_segment == {"users_skills": 3, "sessions_messages": 3}
    assert {shard.members for shard in shape.mongo.shards} == {5}
    assert one(parts("large"), "Deployment/routers")["spec"]["replicas"] == 4
    roles = [member.role for member in shape.postgres.members]
    assert roles.count(PostgresRole.SYNCHRONOUS) == 2
    for service in CATALOGUE.names:
        scaler = one(parts("large"), f"HorizontalPodAutoscaler/service-{service}")
        assert scaler["spec"]["minReplicas"] == 10
        deployment = one(parts("large"), f"Deployment/service-{service}")
        assert "replicas" not in deployment["spec"], "an apply would undo the autoscaler"


# Pods


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_is_restricted(name: str) -> None:
    for each in workloads(name):
        spec = pod(each.data)["spec"]
        context = spec["securityContext"]
        assert context["runAsNonRoot"], each.key
        assert context["runAsUser"] > 0, each.key
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, each.key
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"], each.key
            assert rights["allowPrivilegeEscalation"] is False, each.key
            assert rights["capabilities"] == {"drop": ["ALL"]}, each.key
            assert {"cpu", "memory"} == set(container["resources"]["requests"]), each.key
            assert {"cpu", "memory"} == set(container["resources"]["limits"]), each.key
            assert re.search(r"[:@][^/]+$", container["image"]), each.key
            assert not container["image"].endswith(":latest"), each.key


@pytest.mark.parametrize("name", NAMES)
def test_only_what_talks_to_kubernetes_has_a_token(name: str) -> None:
    holders = {
        pod(each.data)["spec"]["serviceAccountName"]
        for each in workloads(name)
        if pod(each.data)["spec"]["automountServiceAccountToken"]
    }
    assert holders == {
        "payments",
        "payments-dr",
        "skillswap-operator",
        "skillswap-drills",
        "skillswap-prover",
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_mount_has_its_volume(name: str) -> None:
    for each in workloads(name):
        spec = pod(each.data)["spec"]
        claims = each.data["spec"].get("volumeClaimTemplates", ())  # type: ignore[union-attr]
        known = {volume["name"] for volume in spec["volumes"]} if "volumes" in spec else set()
        known |= {claim["metadata"]["name"] for claim in claims}  # type: ignore[index, call-overload]
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            mounts = container.get("volumeMounts", ())
            assert {mount["name"] for mount in mounts} <= known, each.key
            places = [mount["mountPath"] for mount in mounts]
            assert len(places) == len(set(places)), each.key


@pytest.mark.parametrize("name", NAMES)
def test_volumes_are_encrypted_and_outlive_a_mistake(name: str) -> None:
    (storage,) = [each.data for each in everything(name) if each.kind == "StorageClass"]
    assert storage["parameters"]["encrypted"] == "true"  # type: ignore[index, call-overload]
    assert (storage["reclaimPolicy"], storage["volumeBindingMode"]) == (
        "Retain",
        "WaitForFirstConsumer",
    )
    for each in everything(name):
        if each.kind == "StatefulSet":
            retention = each.data["spec"]["persistentVolumeClaimRetentionPolicy"]  # type: ignore[index, call-overload]
            assert retention == {"whenDeleted": "Retain", "whenScaled": "Retain"}
            for claim in each.data["spec"].get("volumeClaimTemplates", ()):  # type: ignore[index, call-overload, union-attr]
                assert claim["spec"]["storageClassName"] == storage["metadata"]["name"]  # type: ignore[index, call-overload]


# Probes


def test_a_member_that_resyncs_is_alive_and_not_ready() -> None:
    (container,) = pod(one(parts("tp3"), "StatefulSet/shard-a"))["spec"]["containers"]
    assert container["livenessProbe"]["tcpSocket"] == {"port": 27018}
    script = container["readinessProbe"]["exec"]["command"][-1]
    assert all(word in script for word in ("isWritablePrimary", "secondary", "arbiterOnly"))
    patient = container["startupProbe"]
    assert patient["periodSeconds"] * patient["failureThreshold"] >= 3600


def test_patroni_says_who_is_ready() -> None:
    containers = pod(one(parts("tp3"), "StatefulSet/pgsync1"))["spec"]["containers"]
    patroni, pgbouncer = containers
    assert patroni["readinessProbe"]["httpGet"] == {"path": "/readiness", "port": 8008}
    assert patroni["livenessProbe"]["httpGet"] == {"path": "/liveness", "port": 8008}
    assert pgbouncer["readinessProbe"]["tcpSocket"] == {"port": 6432}
    assert "pkill -INT" in pgbouncer["lifecycle"]["preStop"]["exec"]["command"][-1]


# Order


@pytest.mark.parametrize("name", NAMES)
def test_components_come_after_what_they_need(name: str) -> None:
    order = [component.name for component in parts(name)]

    def behind(component: Component) -> set[str]:
        needs = {each.name: each for each in parts(name)}
        found: set[str] = set()
        for need in component.needs:
            found |= {need} | behind(needs[need])
        return found

    for component in parts(name):
        assert all(order.index(need) < order.index(component.name) for need in component.needs)
    (services,) = [each for each in parts(name) if each.name == "services"]
    shards = {shard.name for shard in shipped(name).mongo.shards}
    assert {"foundation", "config", "routers", "payments", "haproxy"} | shards <= behind(services)


# DR in a cluster of its own


def test_dr_can_live_in_a_cluster_of_its_own() -> None:
    found = edited(
        {
            "kubernetes.dr_cluster": {
                "context": "central",
                "primary_host": "payments.example.org",
                "networks": ["192.0.2.0/24"],
            }
        }
    )
    away = [component for component in found if component.away]
    assert [component.name for component in away] == [
        "foundation-dr",
        "network-dr",
        "archive-dr",
        "payments-dr",
    ]
    names = {component.name for component in away}
    assert all(set(component.needs) <= names for component in away)
    files = one(tuple(away), "StatefulSet/pgdr1")
    assert pod(files)["spec"]["automountServiceAccountToken"]
    here = objects(tuple(component for component in found if not component.away))
    assert not [each for each in here if "pgdr1" in each.key]
    (policy,) = [
        each.data for each in here if each.key.endswith("NetworkPolicy/skillswap/haproxy")
    ] or [each.data for each in here if each.kind == "NetworkPolicy" and "haproxy" in each.name]
    blocks = [
        peer["ipBlock"]["cidr"]
        for rule in policy["spec"]["ingress"]  # type: ignore[index, call-overload, union-attr]
        for peer in rule["from"]  # type: ignore[index, call-overload, union-attr]
        if "ipBlock" in peer  # type: ignore[operator]
    ]
    assert blocks == ["192.0.2.0/24"]


@pytest.mark.parametrize("name", NAMES)
def test_containers_of_a_pod_have_names_of_their_own(name: str) -> None:
    """A service is called `files`, too; the API server refuses what the schemas let pass."""
    for each in workloads(name):
        spec = pod(each.data)["spec"]
        names = [part["name"] for part in (*spec.get("initContainers", ()), *spec["containers"])]
        assert len(names) == len(set(names)), each.key
