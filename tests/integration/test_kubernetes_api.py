"""The objects and the faults' calls, on a real API server: KUBEBUILDER_ASSETS says where it is.

It validates, admits (Pod Security Standards among it) and authorizes as any cluster does. Nothing
runs: pods are made here as their controllers would, and are bound to machines that are names.
"""

import copy
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import httpx
import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException, NotFoundException

from cluster.clock import SYSTEM_CLOCK, wait_for
from cluster.errors import MissingPrerequisiteError, OpsError
from cluster.kubernetes.api import Api, connect
from cluster.kubernetes.labels import JOINED, PEERS, ZONE
from cluster.kubernetes.target import CUT, KubernetesTarget
from manifests.kubernetes.build import objects
from manifests.kubernetes.component import Component
from manifests.kubernetes.objects import Manifest
from manifests.kubernetes.operations import PROOF_JOB
from manifests.kubernetes.rbac import DRILLS, OPERATOR, PROVER
from tests.integration.api_server import ASSETS, TOKEN, Server, missing, running
from tests.unit.kubernetes_samples import NAMES, edited, parts, plan
from tests.unit.test_kubernetes_schemas import CUSTOM

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(bool(missing()), reason=missing() or f"{ASSETS} is set"),
]
NAMESPACE = "skillswap"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as found:
        os.environ["KUBECONFIG"] = str(found.kubeconfig)
        yield found
        del os.environ["KUBECONFIG"]


def native(found: tuple[Component, ...]) -> list[Manifest]:
    """What Kubernetes knows by itself; CRDs of operators are not there."""
    return [each for each in objects(found) if each.api_version not in CUSTOM]


@pytest.fixture(scope="module")
def applied(server: Server) -> tuple[str, ...]:
    """Both topologies, applied; the second apply of each must be accepted as well."""
    done = []
    for name in NAMES:
        for each in native(parts(name)):
            for _ in range(2):
                apply(server, each)
            done.append(f"{name} {each.key}")
    return tuple(done)


def apply(server: Server, manifest: Manifest) -> None:
    """Server-side apply, with nothing left out: unknown fields are errors."""
    group, _, version = manifest.api_version.rpartition("/")
    base = f"/apis/{group}/{version}" if group else f"/api/{version}"
    plural = PLURALS.get(manifest.kind, manifest.kind.lower() + "s")
    place = f"/namespaces/{manifest.namespace}" if manifest.namespace else ""
    answer = httpx.patch(
        f"{server.url}{base}{place}/{plural}/{manifest.name}",
        params={"fieldManager": "test", "force": "true", "fieldValidation": "Strict"},
        headers={
            "Content-Type": "application/apply-patch+yaml",
            "Authorization": f"Bearer {TOKEN}",
        },
        content=json.dumps(dict(manifest.data)),
        verify=False,  # noqa: S501 - it made its certificate itself, a moment ago
        timeout=30,
    )
    assert answer.status_code in {200, 201}, f"{manifest.key}: {answer.text}"


PLURALS = {
    "NetworkPolicy": "networkpolicies",
    "Ingress": "ingresses",
    "StorageClass": "storageclasses",
    "PriorityClass": "priorityclasses",
}


def test_everything_is_admitted(applied: tuple[str, ...], server: Server) -> None:
    assert len(applied) > 300
    assert server.version.startswith("v1.")


def test_a_wrong_field_is_refused(applied: tuple[str, ...], server: Server) -> None:
    (data,) = [e for e in native(parts("tp3")) if e.key == f"StatefulSet/{NAMESPACE}/shard-a"]
    wrong = copy.deepcopy(dict(data.data))
    wrong["spec"]["replica"] = 3  # type: ignore[index, call-overload]
    with pytest.raises(AssertionError, match=r"field not declared|unknown field"):
        apply(server, Manifest(wrong))


def pod_of(workload: str, name: str, machine: str) -> dict[str, Any]:
    """A pod as the workload's controller would make it, on a machine."""
    (found,) = [e for e in native(parts("tp3")) if e.key == f"{workload}"]
    template = copy.deepcopy(cast("Any", found.data)["spec"]["template"])
    for volume in cast("Any", found.data)["spec"].get("volumeClaimTemplates", ()):
        claim = {"claimName": f"{volume['metadata']['name']}-{name}"}
        template["spec"].setdefault("volumes", []).append(
            {"name": volume["metadata"]["name"], "persistentVolumeClaim": claim}
        )
    template["spec"]["nodeName"] = machine
    template["spec"].pop("priorityClassName", None)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": name},
        "spec": template["spec"],
    }


@pytest.fixture
def pods(applied: tuple[str, ...], server: Server) -> Iterator[Api]:
    """Three members of a shard on three machines of three zones, running, with their claims."""
    core = client.CoreV1Api(server.connection)
    for number in (1, 2, 3):
        labels = {ZONE: f"eu-west-{'abc'[number - 1]}", "topology.kubernetes.io/region": "eu-west"}
        core.create_node({"metadata": {"name": f"m{number}", "labels": labels}})
        claim = {
            "metadata": {"name": f"data-shard-a-{number}"},
            "spec": {
                "accessModes": ["ReadWriteOncePod"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
        core.create_namespaced_persistent_volume_claim(NAMESPACE, claim)
        name = f"shard-a-{number}"
        core.create_namespaced_pod(
            NAMESPACE, pod_of(f"StatefulSet/{NAMESPACE}/shard-a", name, f"m{number}")
        )
        status = {
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        }
        core.patch_namespaced_pod_status(name, NAMESPACE, status)
    yield connect(NAMESPACE)
    for number in (1, 2, 3):
        remove(core, number)


def remove(core: client.CoreV1Api, number: int) -> None:
    """A member, its claim and its machine, as far as they are there."""
    name, claim = f"shard-a-{number}", f"data-shard-a-{number}"
    with suppress(NotFoundException):
        core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=0)
    with suppress(NotFoundException):
        release(core, claim)
        core.delete_namespaced_persistent_volume_claim(claim, NAMESPACE)
    core.delete_node(f"m{number}")


def release(core: client.CoreV1Api, claim: str) -> None:
    """In a cluster a controller takes the finalizer away once no pod holds the claim."""
    body = {"metadata": {"finalizers": None}}
    core.patch_namespaced_persistent_volume_claim(claim, NAMESPACE, body)


@pytest.fixture
def target(pods: Api) -> KubernetesTarget:
    return KubernetesTarget(pods, SYSTEM_CLOCK)


def members(*numbers: int) -> list[Any]:
    wanted = {f"shard-a-{number}" for number in numbers}
    return [each for each in plan("tp3").servers if each.name in wanted]


def test_pods_are_admitted_as_restricted(pods: Api) -> None:
    """The namespace enforces the `restricted` level; a pod that is not would have been refused."""
    assert [pod.name for pod in pods.pods({"app.kubernetes.io/instance": "shard-a"})] == [
        "shard-a-1",
        "shard-a-2",
        "shard-a-3",
    ]


def test_an_unrestricted_pod_is_refused(pods: Api, server: Server) -> None:
    body = pod_of(f"StatefulSet/{NAMESPACE}/shard-a", "shard-a-9", "m1")
    body["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(ApiException) as caught:
        client.CoreV1Api(server.connection).create_namespaced_pod(NAMESPACE, body)
    assert "PodSecurity" in str(caught.value.body)


def test_states(target: KubernetesTarget) -> None:
    state = target.state(members(2)[0])
    assert (state.running, state.detail) == (True, "1 of 1 pods run on m2")
    assert not target.state(next(s for s in plan("tp3").servers if s.name == "pg1-0")).running


def test_kill_deletes_the_pod(pods: Api, target: KubernetesTarget) -> None:
    before = pods.pod("shard-a-1")
    assert before is not None
    hit = target.kill(members(1))
    assert "shard-a-1 are gone" in hit.proof
    assert pods.pod("shard-a-1") is None
    pods.delete_pod(before)  # it has gone, and nothing of its name is touched


def test_a_successor_of_the_same_name_is_not_deleted(
    pods: Api, server: Server, target: KubernetesTarget
) -> None:
    before = pods.pod("shard-a-1")
    assert before is not None
    target.kill(members(1))
    client.CoreV1Api(server.connection).create_namespaced_pod(
        NAMESPACE, pod_of(f"StatefulSet/{NAMESPACE}/shard-a", "shard-a-1", "m1")
    )
    pods.delete_pod(before, grace_seconds=0)
    after = pods.pod("shard-a-1")
    assert after is not None
    assert after.uid != before.uid


def test_isolation_is_a_label_that_can_be_taken_back(pods: Api, target: KubernetesTarget) -> None:
    pods.label_pod("shard-a-1", {PEERS: f"{CUT}x"})
    assert [pod.name for pod in pods.pods({PEERS: f"{CUT}x"})] == ["shard-a-1"]
    target.rejoin("x")
    target.rejoin("x")
    assert len(pods.pods({PEERS: JOINED, "app.kubernetes.io/instance": "shard-a"})) == 3


def test_wipe_deletes_the_claim_with_the_pod(
    pods: Api, server: Server, target: KubernetesTarget
) -> None:
    release(client.CoreV1Api(server.connection), "data-shard-a-2")
    hit = target.wipe(members(2)[0])
    assert "data-shard-a-2" in hit.proof
    assert pods.claim_uid("data-shard-a-2") is None
    assert pods.pod("shard-a-2") is None


def test_cordon_and_zone(pods: Api, target: KubernetesTarget) -> None:
    assert target.machines_of("eu-west-c") == ("m3",)
    hit = target.stop_zone("eu-west-c")
    assert hit.proof == "zone eu-west-c: 1 machines cordoned, 1 pods gone"
    assert [each.name for each in pods.machines() if not each.schedulable] == ["m3"]
    target.open_machines(["m3"])
    target.open_machines(["m3"])
    assert all(each.schedulable for each in pods.machines())
    with pytest.raises(OpsError):
        target.stop_zone("nowhere")


def test_an_eviction_is_answered(pods: Api, server: Server) -> None:
    """Nobody counts healthy pods here, so that the budget allows none: the API must say so."""
    pod = pods.pod("shard-a-1")
    assert pod is not None
    assert pods.evict(pod) is False
    assert pods.pod("shard-a-1") is not None
    client.PolicyV1Api(server.connection).delete_namespaced_pod_disruption_budget(
        "shard-a", NAMESPACE
    )
    assert pods.evict(pod) is True
    (budget,) = [
        e for e in native(parts("tp3")) if e.key == f"PodDisruptionBudget/{NAMESPACE}/shard-a"
    ]
    apply(server, budget)


def test_roles_allow_what_the_tool_does_and_no_more(
    applied: tuple[str, ...], server: Server
) -> None:
    """Asked of the API server itself, for each account and call."""
    review = client.AuthorizationV1Api(server.connection)

    def may(
        account: str,
        verb: str,
        resource: str,
        group: str = "",
        sub: str = "",
        namespace: str = NAMESPACE,
        name: str = "",
    ) -> bool:
        place = {
            "verb": verb,
            "resource": resource,
            "group": group,
            "subresource": sub,
            "namespace": namespace,
            "name": name,
        }
        user = f"system:serviceaccount:{NAMESPACE}:{account}"
        answer = review.create_subject_access_review(
            {"spec": {"user": user, "resourceAttributes": place}}
        )
        return bool(answer.status.allowed)

    for account in (OPERATOR, DRILLS):
        assert may(account, "create", "pods", sub="exec")
        assert may(account, "get", "pods", sub="log")
        assert may(account, "delete", "pods")
        assert may(account, "list", "nodes", namespace="")
        assert not may(account, "get", "secrets"), "passwords come as files of the pod"
        assert not may(account, "create", "pods")
        assert not may(account, "delete", "statefulsets", "apps")
        assert not may(account, "delete", "pods", namespace="default")
    assert may(DRILLS, "delete", "persistentvolumeclaims")
    assert may(DRILLS, "patch", "nodes", namespace="")
    assert may(DRILLS, "create", "pods", sub="eviction")
    assert not may(OPERATOR, "delete", "persistentvolumeclaims")
    assert not may(OPERATOR, "patch", "nodes", namespace="")
    assert may(PROVER, "create", "pods", sub="exec", name="pg1-0")
    assert may(PROVER, "create", "pods", sub="exec", name="archiver-1")
    assert may(PROVER, "list", "pods")
    assert not may(PROVER, "create", "pods", sub="exec", name="shard-a-1")
    assert not may(PROVER, "create", "pods", sub="exec", name="console-0")
    for verb, resource in (("delete", "pods"), ("patch", "pods"), ("get", "secrets")):
        assert not may(PROVER, verb, resource)
    assert not may(PROVER, "create", "jobs", "batch")
    assert may("payments", "patch", "configmaps")
    assert not may("payments", "delete", "pods")
    assert not may("payments", "get", "secrets")


def test_the_proof_can_be_started_by_hand(applied: tuple[str, ...], server: Server) -> None:
    """As `backup prove` does: a Job of the CronJob's own template; nobody runs it here."""
    connect(NAMESPACE).start_job(
        PROOF_JOB, "restore-proof-x", ["skillswap-ops", "backup", "prove", "--seed", "7"]
    )
    found = client.BatchV1Api(server.connection).read_namespaced_job("restore-proof-x", NAMESPACE)
    template = found.spec.template
    assert template.spec.containers[0].command[-2:] == ["--seed", "7"]
    assert template.spec.service_account_name == PROVER
    claims = [each.ephemeral for each in template.spec.volumes if each.ephemeral]
    assert len(claims) == 1
    pod = {
        "metadata": {"name": "restore-proof-x-1", "labels": dict(template.metadata.labels)},
        "spec": server.connection.sanitize_for_serialization(template.spec),
    }
    made = client.CoreV1Api(server.connection).create_namespaced_pod(NAMESPACE, pod)
    assert made.status.phase == "Pending", "admitted as restricted"


def test_a_stranger_is_told_that_he_may_not(applied: tuple[str, ...], server: Server) -> None:
    settings = client.Configuration(host=server.url)
    settings.verify_ssl = False
    settings.api_key = {"authorization": "Bearer nobody"}
    stranger = Api(NAMESPACE, client.ApiClient(settings))
    with pytest.raises(MissingPrerequisiteError):
        stranger.pods()


def test_what_operators_define_is_asked_of_the_cluster(
    applied: tuple[str, ...], server: Server
) -> None:
    """There is none at first; then one is defined, and is known."""
    api = connect(NAMESPACE)
    assert api.serves("apps/v1", "StatefulSet")
    assert not api.serves("apps/v1", "StatefulSets")
    assert not api.serves("monitoring.coreos.com/v1", "PrometheusRule")
    client.ApiextensionsV1Api(server.connection).create_custom_resource_definition(
        {
            "metadata": {"name": "prometheusrules.monitoring.coreos.com"},
            "spec": {
                "group": "monitoring.coreos.com",
                "scope": "Namespaced",
                "names": {"kind": "PrometheusRule", "plural": "prometheusrules"},
                "versions": [
                    {
                        "name": "v1",
                        "served": True,
                        "storage": True,
                        "schema": {
                            "openAPIV3Schema": {
                                "type": "object",
                                "x-kubernetes-preserve-unknown-fields": True,
                            }
                        },
                    }
                ],
            },
        }
    )
    wait_for(
        "the definition",
        lambda: api.serves("monitoring.coreos.com/v1", "PrometheusRule"),
        seconds=30,
        clock=SYSTEM_CLOCK,
    )
    (rules,) = [e for e in objects(parts("tp3")) if e.kind == "PrometheusRule"]
    apply(server, rules)


def test_dr_in_a_cluster_of_its_own_is_admitted(applied: tuple[str, ...], server: Server) -> None:
    cluster = {"context": "c", "primary_host": "p.example.org", "networks": ["192.0.2.0/24"]}
    found = edited({"kubernetes.dr_cluster": cluster, "kubernetes.namespace": "away"})
    for each in native(found):
        apply(server, each)
