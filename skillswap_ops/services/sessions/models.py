"""Requests and answers of sessions."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from fastapi import Header
from pydantic import Field, model_validator

from skillswap_ops.services.base.models import (
    Answer,
    Coordinates,
    Id,
    Language,
    Long,
    Moment,
    Place,
    Request,
)

Status = Literal["PROPOSEE", "CONFIRMEE", "REALISEE", "ANNULEE", "ABSENCE"]
Mode = Literal["PRESENTIEL", "DISTANCIEL"]
Side = Literal["APPRENANT", "ENSEIGNANT"]
Currency = Literal["EUR", "USD", "GBP", "CHF", "CAD"]
LONGEST = timedelta(hours=24)
DEAREST = 100_000_00  # minor units

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=8,
        max_length=64,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="The same key with the same body is the same request, however often it is sent",
    ),
]


class FirstMessage(Request):
    """What is written with the proposal."""

    texte: Long
    langue: Language = "fr"


class Payment(Request):
    """What the learner will pay, in minor units (cents)."""

    montant: Annotated[int, Field(strict=True, ge=1, le=DEAREST)]
    devise: Currency = "EUR"


class Proposal(Request):
    """A session that someone proposes. `role` is the proposer's own; only a learner pays."""

    role: Side = "APPRENANT"
    id_partenaire: Id
    debut: Moment
    fin: Moment
    mode: Mode
    lieu_ou_lien: Place
    point_lieu: Coordinates | None = None
    message: FirstMessage | None = None
    paiement: Payment | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not timedelta(0) < self.fin - self.debut <= LONGEST:
            raise ValueError("fin must be after debut, by 24 hours at most")
        if self.paiement and self.role != "APPRENANT":
            raise ValueError("only a learner pays")
        return self


class Change(Request):
    """The status that a session is to have."""

    statut: Literal["CONFIRMEE", "REALISEE", "ANNULEE", "ABSENCE"]


class Session(Answer):
    """A session. `chaine` says whether all that was asked for with it is written."""

    id_session: Id
    id_apprenant: Id
    id_enseignant: Id
    cree_par: Id
    debut: datetime
    fin: datetime
    mode: Mode
    statut: Status
    lieu_ou_lien: str
    point_lieu: dict[str, object] | None = None
    cree_le: datetime
    id_message: Id | None = None
    id_intention: Id | None = None
    chaine: Literal["TERMINEE", "EN_COURS"]


class Sessions(Answer):
    """A page of sessions, by begin; `suivant` is the next page's cursor."""

    sessions: tuple[Session, ...]
    suivant: str | None


def session(row: dict[str, Any], *, complete: bool | None = None) -> Session:
    """A session as it is sent; `complete` overrides what the row says of its chain."""
    done = "chaine_ouverte" not in row if complete is None else complete
    fields = {name: row[name] for name in Session.model_fields if name in row}
    return Session(**fields, chaine="TERMINEE" if done else "EN_COURS")
