"""Every object of both shipped topologies, against the schemas of the newest Kubernetes."""

import copy
from typing import Any

import kubernetes_validate
import pytest

from manifests.kubernetes.objects import Manifest
from tests.unit.kubernetes_samples import (
    NAMES,
    VERSIONS,
    complaints,
    everything,
    one,
    parts,
)

# Definitions that do not come with Kubernetes: their operators know them.
CUSTOM = {
    "external-secrets.io/v1",
    "monitoring.coreos.com/v1",
    "snapshot.storage.k8s.io/v1",
}


def native(name: str) -> list[Manifest]:
    return [each for each in everything(name) if each.api_version not in CUSTOM]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_objects_are_valid(name: str, version: str) -> None:
    wrong = {each.key: found for each in native(name) if (found := complaints(each.data, version))}
    assert not wrong
    assert len(native(name)) > 150


def test_three_newest_versions_are_asked() -> None:
    assert VERSIONS[-1].startswith(kubernetes_validate.latest_version())
    assert len(set(VERSIONS)) == 3


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "replica"), 3),
        (("spec", "replicas"), "three"),
        (("spec", "template", "spec", "containers", 0, "livenessProb"), {}),
        (("spec", "volumeClaimTemplates", 0, "spec", "accessModes"), "ReadWriteOnce"),
    ],
)
def test_a_wrong_field_fails(path: tuple[str | int, ...], value: object, version: str) -> None:
    data = copy.deepcopy(one(parts("tp3"), "StatefulSet/shard-a"))
    assert not complaints(data, version)
    place: Any = data
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    assert complaints(data, version)


def test_the_cached_validators_say_what_the_library_says() -> None:
    data = dict(one(parts("tp3"), "StatefulSet/shard-a"))
    kubernetes_validate.validate(data, VERSIONS[-1], strict=True)
    data["spec"] = {**data["spec"], "replica": 3}
    with pytest.raises(kubernetes_validate.ValidationError) as caught:
        kubernetes_validate.validate(data, VERSIONS[-1], strict=True)
    assert [f"spec: {caught.value.message}"] == complaints(data, VERSIONS[-1])


@pytest.mark.parametrize("name", NAMES)
def test_custom_objects_are_what_operators_define(name: str) -> None:
    kinds = {each.kind for each in everything(name) if each.api_version in CUSTOM}
    assert kinds == {each.kind for each in everything(name) if each.custom}
    expected = {"ServiceMonitor", "PrometheusRule", "VolumeSnapshotClass"}
    assert kinds == expected | ({"ExternalSecret"} if name == "large" else set())
