"""Where pods go: regions and zones of the topology, no two copies on one machine."""

from collections import Counter
from collections.abc import Sequence

from lightkube.models.core_v1 import (
    Affinity,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodAffinityTerm,
    PodAntiAffinity,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from lightkube.models.meta_v1 import LabelSelector

from cluster.inventory import Node
from cluster.kubernetes.labels import HOSTNAME, REGION, ZONE


def affinity(
    region: str, zones: Sequence[str], apart: LabelSelector, *, strictly: bool
) -> Affinity:
    """In these zones of the region; of those that `apart` selects, one a machine.

    Not `strictly`: two on one machine are better than one too few.
    """
    term = PodAffinityTerm(topologyKey=HOSTNAME, labelSelector=apart)
    return Affinity(
        nodeAffinity=NodeAffinity(
            requiredDuringSchedulingIgnoredDuringExecution=NodeSelector(
                nodeSelectorTerms=[
                    NodeSelectorTerm(
                        matchExpressions=[
                            NodeSelectorRequirement(key=REGION, operator="In", values=[region]),
                            NodeSelectorRequirement(key=ZONE, operator="In", values=[*zones]),
                        ]
                    )
                ]
            )
        ),
        podAntiAffinity=PodAntiAffinity(
            requiredDuringSchedulingIgnoredDuringExecution=[term] if strictly else None,
            preferredDuringSchedulingIgnoredDuringExecution=None
            if strictly
            else [WeightedPodAffinityTerm(weight=100, podAffinityTerm=term)],
        ),
    )


def spread(pods: LabelSelector, skew: int = 1, *, strictly: bool) -> TopologySpreadConstraint:
    """Evenly over zones; the old pods of a rollout do not count."""
    return TopologySpreadConstraint(
        maxSkew=skew,
        topologyKey=ZONE,
        whenUnsatisfiable="DoNotSchedule" if strictly else "ScheduleAnyway",
        labelSelector=pods,
        nodeTaintsPolicy="Honor",
    )


def skew_of(nodes: Sequence[Node], zones: Sequence[str]) -> int:
    """How unevenly the topology spreads these nodes over the zones; at least 1."""
    counts = Counter(node.zone for node in nodes)
    of_zones = [counts[zone] for zone in zones]
    return max(1, max(of_zones) - min(of_zones))
