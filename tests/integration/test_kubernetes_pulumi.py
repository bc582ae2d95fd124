"""The Pulumi engine itself, on a real API server: made, then nothing to change, then drift.

Without controllers nothing is ever deleted there (every deletion waits for the garbage collector),
so that `destroy` is asked for its questions alone.
"""

import base64
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kubernetes import client
from pydantic import SecretStr

from cluster.secrets import SecretStore
from manifests.kubernetes.build import components
from manifests.kubernetes.component import Component, Idea
from manifests.pulumi.changes import Change, Verb
from manifests.pulumi.program import program
from manifests.pulumi.stack import Backend, Engine, local_backend
from skillswap_ops.kubernetes.context import blueprint
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


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as found:
        os.environ["KUBECONFIG"] = str(found.kubeconfig)
        os.environ["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
        body = {"metadata": {"name": NAMESPACE}}
        client.CoreV1Api(found.connection).create_namespace(body)
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
