"""The Pulumi program under mocks: owners, order, secrets, protection, stable names."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pytest
from google.protobuf import json_format
from pulumi.runtime import mocks, settings, sync_await
from pulumi.runtime.stack import run_pulumi_func

from cluster.secrets import SecretStore
from manifests.kubernetes.build import components, objects
from manifests.kubernetes.component import Component, Idea
from manifests.pulumi.parts import PARTS
from manifests.pulumi.program import program
from manifests.pulumi.resources import token
from skillswap_ops.kubernetes.context import blueprint
from tests.unit.kubernetes_samples import edited, parts, shipped

SECRET = "4dabf18193072939515e22adb298388d"  # how Pulumi's protocol marks a secret value
PROVIDER = "pulumi:providers:kubernetes"


@dataclass(frozen=True)
class Registered:
    """A resource as the program registered it."""

    name: str
    type: str
    parent: str
    inputs: Any
    depends: frozenset[str]
    protected: bool
    provider: str


@dataclass
class Recorder(mocks.Mocks):
    """Answers as the engine does, with what it was given."""

    found: list[Registered] = field(default_factory=list)

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[Any, Any]]:
        return f"{args.name}-id", args.inputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], None]:
        return {}, None


class Monitor(mocks.MockMonitor):
    """Takes down every registration as it comes over the wire."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._recorder = recorder

    def RegisterResource(self, request: Any) -> Any:
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        self._recorder.found.append(
            Registered(
                request.name,
                request.type,
                request.parent.rpartition("::")[2],
                json_format.MessageToDict(request.object),
                frozenset(urn.rpartition("::")[2] for urn in request.dependencies),
                bool(request.protect),
                request.provider,
            )
        )
        return answer

    def SupportsFeature(self, request: Any) -> Any:
        return type("Answer", (), {"hasSupport": request.id != "outputValues"})


def run(found: tuple[Component, ...], *, preview: bool = False) -> list[Registered]:
    """What the program registers."""
    recorder = Recorder()
    asyncio.set_event_loop(asyncio.new_event_loop())
    settings.reset_options()
    pulumi.runtime.set_mocks(recorder, "skillswap", "test", preview, monitor=Monitor(recorder))
    settings.SETTINGS.rpc_manager.clear()
    settings.SETTINGS.outputs.clear()

    sync_await._sync_await(run_pulumi_func(program(found)))
    return recorder.found


@cache
def registered(name: str) -> tuple[Registered, ...]:
    return tuple(run(parts(name)))


def data_plane(found: tuple[Component, ...]) -> tuple[Component, ...]:
    """Without the many objects around it: the mocks take 20 ms an object."""
    around = {Idea.NETWORK, Idea.SERVICES, Idea.OPERATIONS, Idea.MONITORING}
    return tuple(component for component in found if component.idea not in around)


@pytest.fixture(autouse=True)
def no_loop_left() -> Iterator[None]:
    yield
    asyncio.set_event_loop(None)


def by_name(found: tuple[Registered, ...]) -> dict[str, Registered]:
    return {each.name: each for each in found}


def test_every_idea_is_a_component_resource() -> None:
    assert set(PARTS) == set(Idea)
    assert {part.__name__ for part in PARTS.values()} == {str(idea) for idea in Idea}


@pytest.mark.parametrize("name", ["tp3", "large"])
def test_every_object_has_its_component_for_owner(name: str) -> None:
    found = by_name(registered(name))
    for component in parts(name):
        owner = found[component.name]
        assert owner.type == f"skillswap:kubernetes:{component.idea}"
        for each in component.objects:
            assert found[each.key].parent == component.name
            assert found[each.key].type == token(each)
    made = {each.name for each in registered(name) if each.type.startswith("kubernetes:")}
    assert made == {each.key for each in objects(parts(name))}


def test_order_is_config_servers_shards_routers_services() -> None:
    found = by_name(registered("large"))
    set_of = {c.name: {each.key for each in c.objects} for c in parts("large")}

    def comes_after(late: str, early: str) -> bool:
        depends = found[f"{late}"].depends
        return set_of[early] <= depends

    shard = "StatefulSet/skillswap-large/users-1"
    router = "Deployment/skillswap-large/routers"
    service = "Deployment/skillswap-large/service-auth"
    assert comes_after(shard, "config")
    assert comes_after(router, "config")
    assert all(
        comes_after(router, name) for name in set_of if name.startswith(("users-", "sessions-"))
    )
    assert comes_after(service, "routers")
    assert comes_after(service, "haproxy")
    assert not comes_after(shard, "routers")
    assert comes_after("Deployment/skillswap-large/haproxy", "payments")


def test_passwords_are_secret_and_only_they(tmp_path: Path) -> None:
    store = SecretStore(tmp_path / "secrets")
    plan = blueprint(shipped("tp3"), store)
    found = run(data_plane(components(plan)))
    words = [secret.get_secret_value() for secret in store.known()]
    assert len(words) > 15
    secrets = [each for each in found if each.type == "kubernetes:core/v1:Secret"]
    assert len(secrets) > 8
    for each in secrets:
        assert SECRET in each.inputs["stringData"], each.name
    for each in found:
        if each.type != "kubernetes:core/v1:Secret":
            assert not [word for word in words if word in str(each.inputs)], each.name


def test_what_holds_data_is_protected() -> None:
    kinds = {"StatefulSet", "PersistentVolumeClaim", "Secret", "Namespace", "StorageClass"}
    for each in registered("tp3"):
        if each.type.startswith("kubernetes:"):
            assert each.protected == (each.type.rpartition(":")[2] in kinds), each.name


def test_names_are_stable() -> None:
    more = edited({"mongo.shards[2]": {"name": "shard-c", "segment": "more", "members": 3}})
    before = {each.name for each in run(data_plane(parts("tp3")))}
    after = {each.name for each in run(data_plane(more))}
    assert before < after
    assert all("shard-c" in name for name in after - before)


def test_a_second_preview_changes_nothing() -> None:
    """Rendered anew, from the same topology: the engine would be given the same, byte for byte."""
    again = run(edited({}), preview=True)
    assert by_name(tuple(again)) == by_name(registered("tp3"))
    assert len(again) > 190


def test_a_change_of_the_topology_changes_what_it_is_about_alone() -> None:
    before = by_name(registered("tp3"))
    after = by_name(tuple(run(data_plane(edited({"mongo.routers": 3})))))
    changed = {name for name in after if before[name].inputs != after[name].inputs}
    assert changed == {"Deployment/skillswap/routers"}


def test_dr_goes_to_its_own_cluster() -> None:
    cluster = {
        "context": "central",
        "primary_host": "payments.example.org",
        "networks": ["192.0.2.0/24"],
    }
    found = run(data_plane(edited({"kubernetes.dr_cluster": cluster})))
    providers = {each.name for each in found if each.type == PROVIDER}
    assert providers == {"cluster", "dr"}
    names = {each.name: each.provider for each in found}
    assert "::dr::" in names["StatefulSet/skillswap/pgdr1"]
    assert "::cluster::" in names["StatefulSet/skillswap/pg1"]
