"""Prometheus's alert rules, with thresholds out of the topology's promises.

Each alert names the runbook that answers it (annotation `runbook`, an id of `runbook show`).
"""

from dataclasses import dataclass

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from cluster.topology import Topology

TEMPLATE = "rules.yaml.j2"
FILE = "skillswap-ops.rules.yml"
GIBIBYTE = 1024**3
MEBIBYTE = 1024**2
SLOT_LIMIT = 2 * GIBIBYTE  # what PostgreSQL keeps for a slot at most (postgres.dynamic)
BACKUP_DAYS = 8  # a week, and a day to repeat it


@dataclass(frozen=True)
class Alert:
    """A rule: how many seconds its condition must last, how bad it is, what answers it."""

    name: str
    expression: str
    seconds: float
    severity: str
    summary: str
    runbook: str


def render(topology: Topology) -> str:
    """The rule file of a cluster, as YAML."""
    environment = Environment(
        loader=PackageLoader("manifests"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML, not HTML
        # Prometheus's own templates are in braces.
        variable_start_string="<<",
        variable_end_string=">>",
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE).render(
        sla=topology.sla,
        shards=len(topology.mongo.shards),
        slot_bytes=slot_bytes(topology.postgres.wal_volume),
        backup_days=BACKUP_DAYS,
        mongo_backups=topology.mongo.backup.enabled,
        seconds=lambda number: f"{round(number)}s",
    )


def slot_bytes(wal_volume: int | None) -> int:
    """Half of what a slot may hold back before PostgreSQL drops it, in bytes."""
    volume = wal_volume * MEBIBYTE // 2 if wal_volume else SLOT_LIMIT
    return min(SLOT_LIMIT, volume) // 2


def alerts(topology: Topology) -> tuple[Alert, ...]:
    """All alerts, as values."""
    document = yaml.safe_load(render(topology))
    return tuple(
        Alert(
            name=rule["alert"],
            expression=rule["expr"],
            seconds=_seconds(rule["for"]),
            severity=rule["labels"]["severity"],
            summary=rule["annotations"]["summary"],
            runbook=rule["annotations"]["runbook"],
        )
        for group in document["groups"]
        for rule in group["rules"]
    )


UNITS = {"s": 1, "m": 60, "h": 3600}


def _seconds(text: str) -> float:
    return int(text[:-1]) * UNITS[text[-1]]
