"""What one kind of answer proves about a write: the row of an engine's error table."""

from dataclasses import dataclass

from cluster.drill.outcome import Outcome


@dataclass(frozen=True)
class Rule:
    """What one kind of error proves of the try that it answers, and why."""

    name: str
    outcome: Outcome
    why: str


def failed(name: str, why: str) -> Rule:
    """It did not execute, and this is why that is certain."""
    return Rule(name, Outcome.FAILED, why)


def unknown(name: str, why: str) -> Rule:
    """It may have executed; the read-back tells."""
    return Rule(name, Outcome.UNKNOWN, why)
