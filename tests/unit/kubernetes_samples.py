"""The objects of both shipped topologies, and Kubernetes' own schemas to hold them against."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import kubernetes_validate.utils as schemas
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from cluster.topology import Topology
from cluster.topology_file import load_topology
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.build import components, objects
from manifests.kubernetes.component import Component
from manifests.kubernetes.objects import Manifest
from skillswap_ops.kubernetes.context import blueprint
from tests.unit.topology_samples import topology

NAMES = ("tp3", "large")
VERSIONS = sorted(set(schemas.all_versions()), key=schemas.Version)[-3:]
FOLDER = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"


@cache
def shipped(name: str) -> Topology:
    return load_topology(Path(name))


@cache
def plan(name: str) -> Blueprint:
    return blueprint(shipped(name), None)


@cache
def parts(name: str) -> tuple[Component, ...]:
    return components(plan(name))


def everything(name: str) -> tuple[Manifest, ...]:
    return objects(parts(name))


def edited(edits: dict[str, object]) -> tuple[Component, ...]:
    """The components of the TP3 topology with changed fields."""
    return components(blueprint(topology(edits), None))


def one(found: tuple[Component, ...], key: str) -> Any:
    """The data of the object `Kind/name`, which must be one only."""
    kind, name = key.split("/")
    (data,) = [o.data for o in objects(found) if o.kind == kind and o.name == name]
    return data


@cache
def _registry(version: str) -> "Registry[Any]":
    text = (FOLDER / f"v{version}-local-strict" / "_definitions.json").read_text("utf-8")
    definitions: Resource[Any] = Resource.from_contents(json.loads(text))
    return definitions @ Registry()


@cache
def _validator(version: str, kind: str, api_version: str) -> Draft202012Validator:
    group, _, number = api_version.rpartition("/")
    place = "-".join(filter(None, (group.partition(".")[0], number)))
    file = FOLDER / f"v{version}-local-strict" / f"{kind.lower()}-{place}.json"
    return Draft202012Validator(json.loads(file.read_text("utf-8")), registry=_registry(version))


def complaints(data: Any, version: str) -> list[str]:
    """What a version of Kubernetes has against an object; unknown fields are wrong."""
    found = _validator(version, data["kind"], data["apiVersion"]).iter_errors(data)
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in found]
