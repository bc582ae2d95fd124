"""Stateful sets, deployments, Services and budgets around a pod, the same for every engine."""

from collections.abc import Mapping, Sequence

from lightkube.models.apps_v1 import (
    DeploymentSpec,
    DeploymentStrategy,
    RollingUpdateDeployment,
    StatefulSetOrdinals,
    StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec,
    StatefulSetUpdateStrategy,
)
from lightkube.models.core_v1 import (
    ClientIPConfig,
    PersistentVolumeClaim,
    PodTemplateSpec,
    ServicePort,
    ServiceSpec,
    SessionAffinityConfig,
)
from lightkube.models.policy_v1 import PodDisruptionBudgetSpec
from lightkube.resources.apps_v1 import Deployment, StatefulSet
from lightkube.resources.core_v1 import Service
from lightkube.resources.policy_v1 import PodDisruptionBudget

from cluster.topology import Topology
from manifests.kubernetes import names

# The program's own steps wait for what these become: initiating a set comes after its pods. Pulumi
# would wait for a Service's pods too, which come after it, and ten minutes for each.
NO_WAIT = {"pulumi.com/skipAwait": "true"}
STICKY_SECONDS = 10_800  # a cursor and a transaction belong to the router that they began on


def stateful_set(
    topology: Topology,
    name: str,
    component: str,
    instance: str,
    pods: PodTemplateSpec,
    claims: Sequence[PersistentVolumeClaim],
    *,
    replicas: int,
    service: str,
    first: int = 1,
    by_hand: bool = False,
    more: Mapping[str, str] | None = None,
) -> StatefulSet:
    """Pods with names and volumes; `by_hand`: the tool says when each one takes a change.

    All start at once: members find each other, and a set that starts one by one would wait for a
    member that cannot be ready alone. `more` narrows the choice of pods to this set's.
    """
    selector = names.selector(component, instance)
    selector.matchLabels = {**(selector.matchLabels or {}), **(more or {})}
    return StatefulSet(
        metadata=names.meta(topology, name, component, instance, NO_WAIT),
        spec=StatefulSetSpec(
            serviceName=service,
            replicas=replicas,
            ordinals=StatefulSetOrdinals(start=first),
            selector=selector,
            template=pods,
            podManagementPolicy="Parallel",
            updateStrategy=StatefulSetUpdateStrategy(
                type="OnDelete" if by_hand else "RollingUpdate"
            ),
            minReadySeconds=None if by_hand else 10,
            volumeClaimTemplates=list(claims) or None,
            persistentVolumeClaimRetentionPolicy=StatefulSetPersistentVolumeClaimRetentionPolicy(
                whenDeleted="Retain", whenScaled="Retain"
            ),
        ),
    )


def deployment(
    topology: Topology,
    name: str,
    component: str,
    pods: PodTemplateSpec,
    *,
    replicas: int | None,
    instance: str | None = None,
) -> Deployment:
    """Pods that are all alike; never one less than wanted. No `replicas`: an autoscaler's."""
    instance = instance or name
    return Deployment(
        metadata=names.meta(topology, name, component, instance, NO_WAIT),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=names.selector(component, instance),
            strategy=DeploymentStrategy(
                type="RollingUpdate",
                rollingUpdate=RollingUpdateDeployment(maxSurge=1, maxUnavailable=0),
            ),
            minReadySeconds=5,
            revisionHistoryLimit=10,
            template=pods,
        ),
    )


def ports(numbers: Mapping[str, int]) -> list[ServicePort]:
    """Ports by name."""
    return [
        ServicePort(name=name, port=number, targetPort=number, protocol="TCP")
        for name, number in numbers.items()
    ]


def headless(
    topology: Topology, name: str, component: str, numbers: Mapping[str, int], instance: str
) -> Service:
    """Gives each pod a name, before it is ready too: members must find each other to get there."""
    return Service(
        metadata=names.meta(topology, name, component, instance),
        spec=ServiceSpec(
            clusterIP="None",
            publishNotReadyAddresses=True,
            selector=names.chosen(component, instance),
            ports=ports(numbers) or None,
        ),
    )


def service(
    topology: Topology,
    name: str,
    component: str,
    numbers: Mapping[str, int],
    *,
    instance: str | None = None,
    more: Mapping[str, str] | None = None,
    sticky: bool = False,
    not_ready_too: bool = False,
) -> Service:
    """One address in front of pods. `sticky`: a client stays with the pod that it began with."""
    instance = instance or name
    affinity = SessionAffinityConfig(clientIP=ClientIPConfig(timeoutSeconds=STICKY_SECONDS))
    return Service(
        metadata=names.meta(topology, name, component, instance, NO_WAIT),
        spec=ServiceSpec(
            type="ClusterIP",
            selector={**names.chosen(component, instance), **(more or {})},
            ports=ports(numbers),
            sessionAffinity="ClientIP" if sticky else None,
            sessionAffinityConfig=affinity if sticky else None,
            publishNotReadyAddresses=not_ready_too or None,
        ),
    )


def budget(
    topology: Topology,
    name: str,
    component: str,
    *,
    least: int | None = None,
    away: int | None = None,
    instance: str | None = None,
) -> PodDisruptionBudget:
    """What drains must leave (`least`), or may take at once (`away`); what never gets ready may
    always be taken, or a sick pod would keep a machine from its update.
    """
    instance = instance or name
    return PodDisruptionBudget(
        metadata=names.meta(topology, name, component, instance),
        spec=PodDisruptionBudgetSpec(
            minAvailable=least,
            maxUnavailable=away,
            selector=names.selector(component, instance),
            unhealthyPodEvictionPolicy="AlwaysAllow",
        ),
    )
