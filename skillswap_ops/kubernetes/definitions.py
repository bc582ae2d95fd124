"""What operators must have defined in the cluster before objects of theirs can be made.

Monitors, rules and snapshot classes are left out where nobody would read them, and that is said;
without the passwords or the certificates that an operator is to bring nothing could start, so that
is an error.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from cluster.errors import MissingPrerequisiteError
from cluster.kubernetes.api import Api
from manifests.kubernetes.component import Component
from manifests.kubernetes.objects import Manifest

OPTIONAL = {
    "monitoring.coreos.com/v1": "the Prometheus operator",
    "snapshot.storage.k8s.io/v1": "the snapshot controller",
}
NEEDED = {
    "external-secrets.io/v1": (
        "install External Secrets, or set kubernetes.secrets.source to generated"
    ),
    "cert-manager.io/v1": "install cert-manager, or set kubernetes.tls.source to given",
}
Kind = tuple[str, str]  # API version, kind
Say = Callable[[str], None]


def defined(
    found: Sequence[Component], api_of: Callable[[Component], Api], say: Say
) -> list[Component]:
    """The components without what their cluster does not know.

    Raises MissingPrerequisiteError where what is unknown cannot be done without.
    """
    missing: dict[bool, set[Kind]] = {}
    for away in sorted({each.away for each in found}):
        there = [each for each in found if each.away is away]
        wanted = sorted({_kind(row) for each in there for row in custom(each)})
        api = api_of(there[0])
        missing[away] = {kind for kind in wanted if not api.serves(*kind)}
        _tell(missing[away], say)
    return [without(each, missing[each.away]) for each in found]


def custom(component: Component) -> Iterable[Manifest]:
    """Its objects that only an operator's definitions make known."""
    return (each for each in component.objects if each.custom)


def without(component: Component, missing: set[Kind]) -> Component:
    """The component without objects of these kinds."""
    objects = tuple(each for each in component.objects if _kind(each) not in missing)
    return replace(component, objects=objects)


def _kind(manifest: Manifest) -> Kind:
    return manifest.api_version, manifest.kind


def _tell(missing: set[Kind], say: Say) -> None:
    needed = {kind: version for version, kind in missing if version not in OPTIONAL}
    if needed:
        raise MissingPrerequisiteError(
            f"the cluster does not know {', '.join(sorted(needed))}: an operator is not installed",
            "; ".join(NEEDED[version] for version in sorted(set(needed.values()))),
        )
    for version, kind in sorted(missing):
        say(f"left out: {kind}, for {OPTIONAL[version]} is not in the cluster")
