"""The program that the engine runs: every component, each after what it needs."""

from collections.abc import Callable, Sequence

import pulumi

from manifests.kubernetes.component import Component
from manifests.pulumi.parts import PARTS, Part


def program(
    components: Sequence[Component], context: str | None = None, away: str | None = None
) -> Callable[[], None]:
    """The entry point. `context` and `away` name contexts of the kubeconfig: the cluster's, and
    that of a DR cluster of its own.
    """

    def run() -> None:
        here = _provider("cluster", context)
        there = _provider("dr", away) if any(each.away for each in components) else here
        made: dict[str, Part] = {}
        for component in components:
            after = [made[name] for name in component.needs]
            provider = there if component.away else here
            made[component.name] = PARTS[component.idea](component, after, provider)

    return run


def _provider(name: str, context: str | None) -> pulumi.ProviderResource:
    """The cluster of the kubeconfig; a field that others changed is taken back, and shown."""
    import pulumi_kubernetes  # noqa: PLC0415 - takes seconds

    return pulumi_kubernetes.Provider(
        name, context=context, enable_server_side_apply=True, enable_patch_force=True
    )
