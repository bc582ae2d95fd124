"""What an acknowledged write means and where reads go: the one place that everything takes it from.

Services, drills, seeding and reports ask here; the engines turn it into their driver's words
(`mongo.guarantees`, `postgres.guarantees`). Source: TP3 §3 (study of replication) and §4.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Guarantee:
    """When a write is acknowledged, and where the reporting queries of its entity read.

    `w` and `journal` are MongoDB's; `synchronous` is PostgreSQL's: the commit waits for the named
    standby. Real-time reads always go to the primary (TP3 §4).
    """

    name: str
    why: str
    w: int | Literal["majority"] | None = None
    journal: bool = False
    synchronous: bool = False
    reporting: Literal["secondary", "standby"] = "secondary"

    @property
    def text(self) -> str:
        """For tables: "w:majority, j:true"."""
        if self.w is None:
            return "synchronous commit" if self.synchronous else "local commit"
        return f"w:{self.w}" + (", j:true" if self.journal else "")


FAST = Guarantee("fast", "TP3 §4: `w:1` (messages); what a failover loses is within the RPO", w=1)
SENSITIVE = Guarantee(
    "sensitive",
    'TP3 §4: `w:"majority", j:true` (sessions/reviews)',
    w="majority",
    journal=True,
)
RECORD = Guarantee(
    "record",
    "identity, trust and groups: no acknowledged change is rolled back by an election",
    w="majority",
)
PAYMENT = Guarantee(
    "payment",
    "TP3 §3: payments are replicated synchronously, RPO≈0",
    synchronous=True,
    reporting="standby",
)
