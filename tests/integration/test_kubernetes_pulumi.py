"""The Pulumi engine itself, on a real API server: made, nothing to change, drift, taken away.

No controllers run there, so that the test itself does what the engine waits for: it counts quotas,
and is the garbage collector, without which nothing is ever deleted.
"""

import base64
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from pydantic import SecretStr

from cluster.secrets import SecretStore
from manifests.kubernetes.build import components
from manifests.kubernetes.component import Component, Idea
from manifests.pulumi.changes import Change, Verb
from manifests.pulumi.program import program
from manifests.pulumi.stack import Backend, Engine, local_backend
from skillswap_ops.kubernetes.context import blueprint
from skillswap_ops.main import cli
from tests.integration.api_server import ASSETS, Server, missing, running
from tests.unit.kubernetes_samples import shipped
from tests.unit.test_kubernetes_schemas import CUSTOM

WITHOUT = "pulumi is not on PATH" if not shutil.which("pulumi") else missing()
pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(bool(WITHOUT), reason=WITHOUT or f"{ASSETS} is set"),
]
NAMESPACE = "skillswap"
SHARD = f"StatefulSet/{NAMESPACE}/shard-a"
KINDS = (
    (client.CoreV1Api, "config_map"),
    (client.CoreV1Api, "persistent_volume_claim"),
    (client.CoreV1Api, "resource_quota"),
    (client.CoreV1Api, "secret"),
    (client.CoreV1Api, "service"),
    (client.CoreV1Api, "service_account"),
    (client.AppsV1Api, "deployment"),
    (client.AppsV1Api, "stateful_set"),
    (client.PolicyV1Api, "pod_disruption_budget"),
    (client.RbacAuthorizationV1Api, "role"),
    (client.RbacAuthorizationV1Api, "role_binding"),
    (client.SchedulingV1Api, "priority_class"),
    (client.StorageV1Api, "storage_class"),
)
WITHOUT_NAMESPACE = {"priority_class", "storage_class"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as found:
        os.environ["KUBECONFIG"] = str(found.kubeconfig)
        os.environ["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
        body = {"metadata": {"name": NAMESPACE}}
        client.CoreV1Api(found.connection).create_namespace(body)
        with again_and_again(partial(count_quotas, found)):
            yield found
        del os.environ["KUBECONFIG"]
        del os.environ["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"]


def plain(found: tuple[Component, ...]) -> tuple[Component, ...]:
    """The engines, without what operators define, and without the namespace, which is there."""
    around = {Idea.SERVICES, Idea.NETWORK, Idea.MONITORING, Idea.OPERATIONS}
    return tuple(
        replace(
            each,
            objects=tuple(
                o for o in each.objects if o.api_version not in CUSTOM and o.kind != "Namespace"
            ),
        )
        for each in found
        if each.idea not in around
    )


@pytest.fixture(scope="module")
def engine(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("pulumi")
    store = SecretStore(folder / "secrets")
    found = plain(components(blueprint(shipped("tp3"), store)))
    backend = Backend(local_backend(folder / "state"), SecretStr("a passphrase"))
    return Engine(NAMESPACE, backend, program(found))


def verbs(changes: tuple[Change, ...]) -> dict[Verb, int]:
    counts: dict[Verb, int] = {}
    for change in changes:
        counts[change.verb] = counts.get(change.verb, 0) + 1
    return counts


def test_made_then_nothing_to_change_then_drift(
    engine: Engine, server: Server, tmp_path: Path
) -> None:
    first = engine.preview()
    assert set(verbs(first)) == {Verb.CREATE}

    told: list[Change] = []
    made = engine.up(told.append)
    assert {change.key for change in made} == {change.key for change in first}
    assert all(change.over for change in made)
    assert {change.key for change in told} >= {SHARD}

    assert set(verbs(engine.preview())) == {Verb.SAME}

    apps = client.AppsV1Api(server.connection)
    apps.patch_namespaced_stateful_set("shard-a", NAMESPACE, {"spec": {"replicas": 1}})
    drifted = [change for change in engine.preview() if change.verb is not Verb.SAME]
    assert [(change.key, change.verb) for change in drifted] == [(SHARD, Verb.UPDATE)]
    assert "spec.replicas" in drifted[0].why

    engine.up(told.append)
    found = apps.read_namespaced_stateful_set("shard-a", NAMESPACE)
    assert found.spec.replicas == 3


def test_no_password_is_in_the_state(engine: Engine, server: Server) -> None:
    """What is secret is encrypted in the backend's files."""
    secrets = client.CoreV1Api(server.connection).list_namespaced_secret(NAMESPACE).items
    assert len(secrets) > 5
    folder = Path(engine.backend.url.removeprefix("file://"))
    text = "".join(path.read_text() for path in folder.rglob("*.json"))
    assert "shard-a" in text
    for secret in secrets:
        for value in (secret.data or {}).values():
            clear = base64.b64decode(value).decode()
            lines = [line for line in clear.splitlines() if len(line) > 40]
            assert not [line for line in lines if line in text], secret.metadata.name


def called(server: Server, home: Path, *words: str) -> Result:
    """The command as a person types it."""
    where = ("--target", "kubernetes", "--home", str(home))
    return CliRunner().invoke(cli, [*words, *where])


def test_plan_leaves_out_what_no_operator_defined(server: Server, tmp_path: Path) -> None:
    ended = called(server, tmp_path, "plan", "--output", "json")
    assert ended.exit_code == 0, ended.output
    steps = {row["step"]: row["changes"] for row in json.loads(ended.stdout)}
    assert steps[SHARD]
    assert "CronJob/skillswap/backup" in steps
    assert not [step for step in steps if step.startswith(("ServiceMonitor", "PrometheusRule"))]
    assert "left out: PrometheusRule" in ended.stderr
    again = called(server, tmp_path, "plan", "--output", "json")
    assert again.stdout == ended.stdout


def test_destroy_asks_and_names_the_volumes(server: Server, tmp_path: Path) -> None:
    ended = called(server, tmp_path, "destroy")
    assert ended.exit_code == 2  # nobody is there to answer
    assert "without a terminal add --yes" in ended.output
    for volume in ("data-shard-a-1", "data-pg1-0", "archive", "backups"):
        assert volume in ended.output
    apps = client.AppsV1Api(server.connection)
    assert apps.read_namespaced_stateful_set("shard-a", NAMESPACE)


@contextmanager
def again_and_again(control: Callable[[], None]) -> Iterator[None]:
    """A controller, beside what is done in the meantime."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.5):
            with suppress(ApiException):  # changed, or gone, since it was read
                control()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def count_quotas(server: Server) -> None:
    """Say that a quota is enforced, as the resource quota controller does."""
    calls = client.CoreV1Api(server.connection)
    for quota in calls.list_namespaced_resource_quota(NAMESPACE).items:
        if quota.status.hard != quota.spec.hard:
            status = {"hard": quota.spec.hard, "used": dict.fromkeys(quota.spec.hard, "0")}
            name = quota.metadata.name
            calls.patch_namespaced_resource_quota_status(name, NAMESPACE, {"status": status})


def collect_garbage(server: Server) -> None:
    """Let go of what is to be deleted, as the garbage collector does."""
    for item, release in everything(server):
        if item.metadata.deletion_timestamp:
            with suppress(ApiException):
                release({"metadata": {"finalizers": None}})


def everything(server: Server) -> Iterator[tuple[Any, Callable[[object], object]]]:
    """Every object of the kinds that are made there, with what patches it."""
    for api, kind in KINDS:
        calls: Any = api(server.connection)
        place = () if kind in WITHOUT_NAMESPACE else (NAMESPACE,)
        noun = f"namespaced_{kind}" if place else kind
        for item in getattr(calls, f"list_{noun}")(*place).items:
            yield item, partial(getattr(calls, f"patch_{noun}"), item.metadata.name, *place)


def test_destroy_takes_what_is_protected_too(engine: Engine, server: Server) -> None:
    """Whoever calls has asked; the namespace is not of this program, and stays."""
    keys = [change.key for change in engine.preview()]
    with again_and_again(partial(collect_garbage, server)):
        gone = engine.destroy(lambda _: None)
    assert {change.key for change in gone if change.verb is Verb.DELETE} == {*keys}
    ours = {key.rpartition("/")[2] for key in keys}
    assert not [item.metadata.name for item, _ in everything(server) if item.metadata.name in ours]
