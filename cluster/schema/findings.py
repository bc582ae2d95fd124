"""What is found where the live servers are held against the declarations."""

from dataclasses import dataclass
from enum import StrEnum

from cluster.schema.types import Store


@dataclass(frozen=True)
class Drift:
    """One difference between a declaration and the live server.

    `part` says what differs ("index courriel_1", "validator"); `declared` and `found` say how, and
    None means that it is not there on that side.
    """

    store: Store
    entity: str
    part: str
    declared: str | None
    found: str | None


class Outcome(StrEnum):
    """How a requirement was found."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Proof:
    """One requirement of the data model, tried on the live servers; one line of `schema verify`.

    `entity` is empty for what is the whole cluster's. `reason` says what was seen where it failed
    or was skipped.
    """

    store: Store
    entity: str
    requirement: str
    outcome: Outcome
    reason: str = ""
