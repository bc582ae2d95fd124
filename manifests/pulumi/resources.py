"""An object as a Pulumi resource: named by its key, protected where losing it loses data."""

from collections.abc import Sequence

import pulumi

from manifests.kubernetes.objects import Manifest

SECRET_FIELDS = ("stringData", "data")
DELETE_TIMEOUT = pulumi.CustomTimeouts(create="10m", update="10m", delete="10m")


def resource(
    manifest: Manifest,
    owner: pulumi.Resource,
    after: Sequence[pulumi.Resource],
    provider: pulumi.ProviderResource,
) -> pulumi.CustomResource:
    """The resource, as the Kubernetes provider knows it.

    Objects are typed and checked before they get here, so that one class does for all kinds.
    """
    return pulumi.CustomResource(
        token(manifest),
        manifest.key,
        props=_inputs(manifest),
        opts=pulumi.ResourceOptions(
            parent=owner,
            provider=provider,
            depends_on=[*after],
            protect=manifest.protected,
            additional_secret_outputs=list(SECRET_FIELDS) if manifest.secret else None,
            custom_timeouts=DELETE_TIMEOUT,
        ),
    )


def token(manifest: Manifest) -> str:
    """`kubernetes:apps/v1:StatefulSet`; the first group has no name in Kubernetes itself."""
    version = (
        manifest.api_version if "/" in manifest.api_version else f"core/{manifest.api_version}"
    )
    return f"kubernetes:{version}:{manifest.kind}"


def _inputs(manifest: Manifest) -> dict[str, object]:
    inputs: dict[str, object] = dict(manifest.data)
    if manifest.secret:
        for field in SECRET_FIELDS:
            if field in inputs:
                inputs[field] = pulumi.Output.secret(inputs[field])
    return inputs
