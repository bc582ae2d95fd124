"""What a topology costs a month on Kubernetes, from its objects and a price table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cluster.errors import InvalidInputError
from cluster.problems import problems_of
from cluster.topology import S3Repository, Topology
from manifests.kubernetes.component import Component
from manifests.kubernetes.objects import Manifest

SHIPPED = Path(__file__).with_name("prices.yaml")
UNITS = {"Mi": 1 / 1024, "Gi": 1.0}
HINT = "`skillswap-ops plan --show-prices` prints one that is right"


class Prices(BaseModel):
    """The price table: a month's, unless a field's name says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    currency: str = Field(min_length=1, max_length=8)
    hours_a_month: float = Field(gt=0, le=744)
    core_hour: float = Field(ge=0)
    memory_gib_hour: float = Field(ge=0)
    idle_share: float = Field(ge=0, lt=1)
    volume_gib_month: float = Field(ge=0)
    shared_gib_month: float = Field(ge=0)
    object_gib_month: float = Field(ge=0)
    cluster_month: float = Field(ge=0)
    archive_gib: float = Field(ge=0)
    zone_traffic_gib: float = Field(ge=0)
    zone_traffic_price: float = Field(ge=0)


@dataclass(frozen=True)
class Amount:
    """What a part of the cluster takes. Cores and memory are those asked for, in cores and GiB."""

    pods: int = 0
    cores: float = 0
    memory: float = 0
    volumes: float = 0
    shared: float = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.pods + other.pods,
            self.cores + other.cores,
            self.memory + other.memory,
            self.volumes + other.volumes,
            self.shared + other.shared,
        )

    def times(self, count: int) -> "Amount":
        """So many of it."""
        parts = (self.pods, self.cores, self.memory, self.volumes, self.shared)
        return Amount(*(part * count for part in parts))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Line:
    """A line of the bill."""

    name: str
    amount: Amount
    cost: float


def load_prices(path: Path | None) -> Prices:
    """The table in a file; the shipped one for None. Raises InvalidInputError: what is wrong."""
    path = path or SHIPPED
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error.strerror}", HINT) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path}: is no YAML: {error}", HINT) from None
    try:
        return Prices.model_validate(data)
    except ValidationError as error:
        plain = data if isinstance(data, dict) else {}
        lines = [f"{path}: {problem}" for problem in problems_of(error, Prices, plain, {})]
        raise InvalidInputError("\n".join(lines), HINT) from None


def bill(topology: Topology, found: Sequence[Component], prices: Prices) -> tuple[Line, ...]:
    """A line for each component that takes something, then what is not in objects."""
    rows = []
    for component in found:
        amount = sum((_amount(each, component) for each in component.objects), Amount())
        if amount != Amount():
            rows.append(Line(f"{component.idea} {component.name}", amount, _cost(amount, prices)))
    clusters = 2 if any(component.away for component in found) else 1
    backup = topology.mongo.backup
    repositories = (*topology.archive.repositories, *([backup.repository] * backup.enabled))
    buckets = sum(isinstance(each, S3Repository) for each in repositories)
    if buckets:
        cost = buckets * prices.archive_gib * prices.object_gib_month
        rows.append(Line("Repositories in buckets", Amount(), cost))
    traffic = prices.zone_traffic_gib * prices.zone_traffic_price * 2
    rows.append(Line("Traffic between zones", Amount(), traffic))
    rows.append(Line("Control plane", Amount(), clusters * prices.cluster_month))
    return tuple(rows)


def total(lines: Sequence[Line]) -> Line:
    """The sum."""
    amount = sum((line.amount for line in lines), Amount())
    return Line("Total", amount, sum(line.cost for line in lines))


def _cost(amount: Amount, prices: Prices) -> float:
    hours = prices.hours_a_month / (1 - prices.idle_share)
    return (
        hours * (amount.cores * prices.core_hour + amount.memory * prices.memory_gib_hour)
        + amount.volumes * prices.volume_gib_month
        + amount.shared * prices.shared_gib_month
    )


def _amount(manifest: Manifest, component: Component) -> Amount:
    """Jobs come and go: what they take is in what machines have left over."""
    data = cast("dict[str, Any]", manifest.data)
    match manifest.kind:
        case "StatefulSet":
            spec = data["spec"]
            return _pod(spec["template"], spec.get("volumeClaimTemplates", ())).times(
                spec["replicas"]
            )
        case "Deployment":
            count = data["spec"].get("replicas") or _least(component, manifest.name)
            return _pod(data["spec"]["template"], ()).times(count)
        case "PersistentVolumeClaim":
            size = _gib(data["spec"]["resources"]["requests"]["storage"])
            shared = "ReadWriteMany" in data["spec"]["accessModes"]
            return Amount(shared=size) if shared else Amount(volumes=size)
    return Amount()


def _least(component: Component, name: str) -> int:
    """An autoscaler's least: the nights and most of the days."""
    for each in component.objects:
        if each.kind == "HorizontalPodAutoscaler" and each.name == name:
            return int(cast("dict[str, Any]", each.data)["spec"]["minReplicas"])
    return 1


def _pod(template: Any, claims: Sequence[Any]) -> Amount:
    asked = [c["resources"]["requests"] for c in template["spec"]["containers"]]
    return Amount(
        pods=1,
        cores=sum(int(each["cpu"].removesuffix("m")) / 1000 for each in asked),
        memory=sum(_gib(each["memory"]) for each in asked),
        volumes=sum(_volumes(claims)),
    )


def _volumes(claims: Sequence[Any]) -> Iterator[float]:
    for claim in claims:
        yield _gib(claim["spec"]["resources"]["requests"]["storage"])


def _gib(text: str) -> float:
    return float(text[:-2]) * UNITS[text[-2:]]
