"""The names of all volume claims that a cluster's objects lead to."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from manifests.kubernetes.component import Component
from manifests.kubernetes.objects import Manifest


def claims(found: Sequence[Component]) -> tuple[str, ...]:
    """`data-shard-a-1`: those that stateful sets make for their pods, and claims by themselves."""
    return tuple(
        name for component in found for each in component.objects for name in _claims(each)
    )


def _claims(manifest: Manifest) -> Iterator[str]:
    if manifest.kind == "PersistentVolumeClaim":
        yield manifest.name
    if manifest.kind != "StatefulSet":
        return
    spec = cast("dict[str, Any]", manifest.data["spec"])
    start, count = spec["ordinals"]["start"], spec["replicas"]
    for claim in spec.get("volumeClaimTemplates", ()):
        for number in range(start, start + count):
            yield f"{claim['metadata']['name']}-{manifest.name}-{number}"
