"""Rights of pods and containers: the `restricted` level of Kubernetes' Pod Security Standards.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from lightkube.models.core_v1 import (
    Capabilities,
    PodSecurityContext,
    SeccompProfile,
    SecurityContext,
)

# One user for every image, above those that hosts give to people and packages. Images that look it
# up (PostgreSQL's) have it; the others run as any.
USER = 10_001

RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/warn": "restricted",
    "pod-security.kubernetes.io/audit": "restricted",
}


def pod_context() -> PodSecurityContext:
    """Not root; volumes belong to the group. Huge volumes are not walked at every start."""
    return PodSecurityContext(
        runAsNonRoot=True,
        runAsUser=USER,
        runAsGroup=USER,
        fsGroup=USER,
        fsGroupChangePolicy="OnRootMismatch",
        seccompProfile=SeccompProfile(type="RuntimeDefault"),
    )


def container_context() -> SecurityContext:
    """Nothing that a server does not need."""
    return SecurityContext(
        allowPrivilegeEscalation=False,
        readOnlyRootFilesystem=True,
        runAsNonRoot=True,
        capabilities=Capabilities(drop=["ALL"]),
    )
