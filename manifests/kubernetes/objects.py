"""An object of Kubernetes as it is written, applied and compared: plain data, checked before.

What goes in is a typed resource of lightkube-models (a wrong field does not type-check, and raises
TypeError), or a `Custom` one of an operator that may not be there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, cast

import yaml

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

# Data that must not go with a mistaken `destroy`, or cannot be made anew.
STATEFUL = frozenset(
    {"StatefulSet", "PersistentVolumeClaim", "Secret", "Namespace", "StorageClass"}
)


# Kubernetes' own among the groups that are named like those of operators.
NATIVE = frozenset(
    {
        "networking.k8s.io",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    }
)


class Typed(Protocol):
    """A resource of lightkube."""

    def to_dict(self) -> dict[str, object]:
        """Its data, without what is not set."""
        ...


@dataclass(frozen=True)
class Custom:
    """An object of a custom resource definition. `spec` is as that definition has it."""

    api_version: str
    kind: str
    name: str
    namespace: str
    labels: Mapping[str, str]
    spec: Mapping[str, Json]
    top: Mapping[str, Json] = field(default_factory=dict)  # fields beside `spec`

    def to_dict(self) -> dict[str, object]:
        """Its data."""
        metadata = {"name": self.name, "labels": dict(self.labels)}
        if self.namespace:
            metadata["namespace"] = self.namespace
        spec = {"spec": dict(self.spec)} if self.spec else {}
        return {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": metadata,
            **spec,
            **self.top,
        }


@dataclass(frozen=True)
class Manifest:
    """One object. Equal data makes equal manifests."""

    data: Mapping[str, Json]

    @property
    def kind(self) -> str:
        """`StatefulSet`."""
        return str(self.data["kind"])

    @property
    def api_version(self) -> str:
        """`apps/v1`."""
        return str(self.data["apiVersion"])

    @property
    def metadata(self) -> Mapping[str, Json]:
        """Name, namespace, labels, annotations."""
        return cast("Mapping[str, Json]", self.data["metadata"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.metadata["name"])

    @property
    def namespace(self) -> str:
        """Its namespace; empty for what belongs to the whole cluster."""
        return str(self.metadata.get("namespace", ""))

    @property
    def key(self) -> str:
        """`StatefulSet/skillswap/shard-a`: unique in a cluster, and stable."""
        return "/".join(filter(None, (self.kind, self.namespace, self.name)))

    @property
    def protected(self) -> bool:
        """Whether losing it loses data."""
        return self.kind in STATEFUL

    @property
    def custom(self) -> bool:
        """Whether an operator's definitions must be there first."""
        group = self.api_version.partition("/")[0]
        return "." in group and group not in NATIVE

    @property
    def secret(self) -> bool:
        """Whether it holds passwords in clear."""
        return self.kind == "Secret"


def manifest(resource: Typed) -> Manifest:
    """A resource as plain data."""
    data = cast("dict[str, Json]", resource.to_dict())
    ordered = {key: data[key] for key in ("apiVersion", "kind", "metadata") if key in data}
    return Manifest(ordered | {key: value for key, value in data.items() if key not in ordered})


def manifests(resources: Iterable[Typed]) -> tuple[Manifest, ...]:
    """Resources as plain data."""
    return tuple(map(manifest, resources))


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, so that a difference in a file is a difference of lines."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(objects: Iterable[Manifest]) -> str:
    """The objects as YAML documents, each beginning with `---`."""
    return yaml.dump_all(
        [dict(each.data) for each in objects],
        Dumper=_Dumper,
        sort_keys=False,
        explicit_start=True,
        width=100,
        allow_unicode=True,
    )
