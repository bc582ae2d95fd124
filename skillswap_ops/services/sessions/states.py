"""Who may change a session's status to what, and when. Pure.

Which status follows which is declared with SESSION (cluster.schema). The seed's enum does not say
who may: the other side confirms, either side cancels, the teacher says that it took place, either
side that the other did not come; the last two only once it was to begin.
"""

from datetime import datetime
from enum import Enum
from typing import Any

from cluster.schema.catalogue import BY_NAME
from cluster.schema.types import States

Document = dict[str, Any]
HAPPENED = {"REALISEE", "ABSENCE"}


class Verdict(Enum):
    """What becomes of a wish to change the status."""

    CHANGE = "change"
    ALREADY = "already so"
    FORBIDDEN = "not this user's to do"
    WRONG_STATE = "not from this status"
    TOO_EARLY = "it has not begun"


def _declared() -> States:
    states = BY_NAME["SESSION"].states
    if states is None:
        raise LookupError("SESSION declares no states")
    return states


AFTER = dict(_declared().after)


def participants(row: Document) -> tuple[str, str]:
    """The learner and the teacher."""
    return row["id_apprenant"], row["id_enseignant"]


def other(row: Document, user: str) -> str:
    """The participant that `user` is not."""
    learner, teacher = participants(row)
    return teacher if user == learner else learner


def verdict(row: Document, user: str, wanted: str, present: datetime) -> Verdict:
    """Whether this participant may now change the status to `wanted`."""
    if row["statut"] == wanted:
        return Verdict.ALREADY
    if wanted not in AFTER[row["statut"]]:
        return Verdict.WRONG_STATE
    if wanted == "CONFIRMEE" and user == row["cree_par"]:
        return Verdict.FORBIDDEN
    if wanted == "REALISEE" and user != row["id_enseignant"]:
        return Verdict.FORBIDDEN
    if wanted in HAPPENED and present < row["debut"]:
        return Verdict.TOO_EARLY
    return Verdict.CHANGE
