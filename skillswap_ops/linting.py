"""What is wrong with a topology, and what will break its SLA, before anything is deployed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from cluster.problems import Path, Problem, dotted
from cluster.rules.remedies import SLA_RULES, remedy
from cluster.topology import Topology
from cluster.topology_file import Examined
from cluster.topology_rules import lint_topology
from skillswap_ops.catalogue import all_drills
from skillswap_ops.drill_predictions import declared, foretell

# More than one run of a hundred over the SLA is a configuration that breaks it.
BREAKS = 0.01
RARE = 0.001  # fewer than this is not worth a word
PREDICTION = "prediction"
TTL: Path = ("postgres", "timings", "ttl")
Risks: TypeAlias = Mapping[str, float | None]
ELECTION: Path = ("mongo", "timings", "election_timeout")


class Severity(StrEnum):
    """How bad a finding is."""

    INVALID = "invalid"  # no cluster is built from this
    SLA = "breaks the SLA"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing: where, what, and what to do. `rule` names what found it ("field": the model)."""

    severity: Severity
    rule: str
    line: int
    field: str
    what: str
    remedy: str


def lint(examined: Examined) -> tuple[Finding, ...]:
    """Everything there is to say of a file, in its order; predictions only where it can stand."""
    found = [_finding(examined, problem, _severity(problem)) for problem in examined.problems]
    topology = examined.topology
    if topology is not None and not found:
        advice = lint_topology(topology)
        found += [_finding(examined, problem, Severity.WARNING) for problem in advice]
        found += _predicted(examined, topology)
    return tuple(sorted(found, key=lambda each: (each.line, each.field, each.rule)))


def exit_code(found: Sequence[Finding], *, strict: bool = False) -> int:
    """2 for what no cluster is built from, 1 for a broken SLA, else 0; `strict`: 1 for warnings."""
    severities = {each.severity for each in found}
    if Severity.INVALID in severities:
        return 2
    return int(Severity.SLA in severities or (strict and bool(found)))


def _severity(problem: Problem) -> Severity:
    return Severity.SLA if problem.rule in SLA_RULES else Severity.INVALID


def _finding(examined: Examined, problem: Problem, severity: Severity) -> Finding:
    return Finding(
        severity=severity,
        rule=problem.rule or "field",
        line=examined.line(problem),
        field=dotted(problem.path),
        what=str(problem).removeprefix(f"{dotted(problem.path)}: "),
        remedy=remedy(problem, examined.topology),
    )


def _predicted(examined: Examined, topology: Topology) -> Iterator[Finding]:
    """What the rules' sums leave room for, and chance still breaks."""
    # What the services add to an outage is not the topology's doing.
    specs = tuple(spec for spec in all_drills() if "services" not in spec.tags)
    found = foretell(topology, declared(topology), specs)
    mongo, postgres = topology.sla.mongo, topology.sla.postgres
    elections = {each.drill: each.slow for each in found}
    outages = {each.drill: each.late for each in found if each.election is not None}
    failovers = {each.drill: each.late for each in found if each.drill not in outages}
    yield from _broken(examined, ELECTION, "sla.mongo.election", mongo.election, elections)
    yield from _broken(examined, ELECTION, "sla.mongo.rto", mongo.rto, outages)
    yield from _broken(examined, TTL, "sla.postgres.rto", postgres.rto, failovers)


def _broken(
    examined: Examined, path: Path, promise: str, seconds: float, risks: Risks
) -> Iterator[Finding]:
    """One finding for all drills that may break a promise; the likeliest first."""
    some = [(risk, drill) for drill, risk in risks.items() if risk and risk >= RARE]
    if not some:
        return
    worst, _ = max(some)
    told = ", ".join(f"{drill} in {risk:.1%} of runs" for risk, drill in sorted(some, reverse=True))
    yield Finding(
        severity=Severity.SLA if worst > BREAKS else Severity.WARNING,
        rule=PREDICTION,
        line=examined.document.line(path),
        field=dotted(path),
        what=f"is predicted to break {promise} ({seconds:g} s): {told}",
        remedy=f"shorten {path[-1]}, or raise {promise} if that is what was promised; "
        "`skillswap-ops drill predict --topology-only` shows the ranges",
    )
