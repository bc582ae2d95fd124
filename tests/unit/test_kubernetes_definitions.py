"""What operators have not defined is left out where it can be, and named where it cannot."""

from typing import cast

import pytest

from cluster.errors import MissingPrerequisiteError
from cluster.kubernetes.api import Api
from manifests.kubernetes.build import objects
from manifests.kubernetes.component import Component
from skillswap_ops.kubernetes.definitions import defined
from tests.unit.kubernetes_samples import edited, parts

EXTERNAL = ("external-secrets.io/v1", "ExternalSecret")
MONITORING = {"ServiceMonitor", "PrometheusRule"}


class Knows:
    """A cluster with these definitions, by API version."""

    def __init__(self, *versions: str) -> None:
        self.versions = versions

    def serves(self, api_version: str, kind: str) -> bool:
        assert kind
        return api_version in self.versions


def kinds(found: list[Component]) -> set[str]:
    return {each.kind for each in objects(tuple(found))}


def test_a_bare_cluster_gets_everything_but_what_nobody_would_read() -> None:
    said: list[str] = []
    before = parts("tp3")
    found = defined(before, lambda _: cast("Api", Knows()), said.append)
    assert kinds(list(before)) - kinds(found) == MONITORING | {"VolumeSnapshotClass"}
    assert [each.name for each in found] == [each.name for each in before]
    assert len(said) == 3
    assert any("Prometheus operator" in line for line in said)


def test_what_is_defined_stays() -> None:
    everything = Knows("monitoring.coreos.com/v1", "snapshot.storage.k8s.io/v1", EXTERNAL[0])
    said: list[str] = []
    found = defined(parts("large"), lambda _: cast("Api", everything), said.append)
    assert tuple(found) == parts("large")
    assert not said


def test_passwords_cannot_be_left_out() -> None:
    with pytest.raises(MissingPrerequisiteError) as caught:
        defined(parts("large"), lambda _: cast("Api", Knows()), lambda _: None)
    assert "ExternalSecret" in caught.value.message
    assert "kubernetes.secrets.source" in caught.value.hint


def test_each_cluster_is_asked_for_its_own() -> None:
    """A DR cluster of its own may have other operators."""
    cluster = {"context": "c", "primary_host": "p.example.org", "networks": ["192.0.2.0/24"]}
    before = edited({"kubernetes.dr_cluster": cluster})
    here, there = Knows("monitoring.coreos.com/v1"), Knows("snapshot.storage.k8s.io/v1")
    found = defined(before, lambda c: cast("Api", there if c.away else here), lambda _: None)
    away = [each for each in found if each.away]
    assert "VolumeSnapshotClass" in kinds(away)
    assert "VolumeSnapshotClass" not in kinds([each for each in found if not each.away])
    assert "ServiceMonitor" in kinds(found)
