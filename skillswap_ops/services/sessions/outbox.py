"""The write chain's plan: what is still to be written beside a session, from the session alone.

Pure; docs/decisions/write-chain.md says why it is built like this. A chain's documents have ids
that follow from the user and the Idempotency-Key, so that any of it can be written again.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from skillswap_ops.services.base.models import derived
from skillswap_ops.services.sessions.models import Proposal

Document = dict[str, Any]
# What the session carries only until its chain is closed.
CARRIED = (
    "chaine_ouverte",
    "chaine_texte",
    "chaine_langue",
    "chaine_montant",
    "chaine_devise",
    "chaine_bail",
)


@dataclass(frozen=True)
class Intent:
    """The payment intent that belongs to a session."""

    id: str
    user: str
    amount: int
    currency: str
    key: str
    created: datetime


@dataclass(frozen=True)
class Plan:
    """What belongs beside a session whose chain is open; `cancel`: its intent is to be cancelled.

    `intent` is None where it is known to be there already, or none was asked for.
    """

    message: Document | None
    intent: Intent | None
    cancel: str | None


def fingerprint(asked: Proposal) -> str:
    """Tells whether a key comes back with the request that it came with."""
    return hashlib.sha256(asked.model_dump_json().encode()).hexdigest()


def session_id(user: str, key: str) -> str:
    """The session of this user's request."""
    return derived("session", user, key)


def document(asked: Proposal, user: str, key: str, present: datetime) -> Document:
    """The SESSION to write first, which carries all that is to follow."""
    own_id = session_id(user, key)
    learns = asked.role == "APPRENANT"
    row: Document = {
        "id_session": own_id,
        "id_apprenant": user if learns else asked.id_partenaire,
        "id_enseignant": asked.id_partenaire if learns else user,
        "cree_par": user,
        "debut": asked.debut,
        "fin": asked.fin,
        "mode": asked.mode,
        "statut": "PROPOSEE",
        "lieu_ou_lien": asked.lieu_ou_lien,
        "cree_le": present,
        "empreinte_demande": fingerprint(asked),
    }
    if asked.point_lieu:
        row["point_lieu"] = asked.point_lieu.geojson()
    if asked.message:
        row |= {
            "id_message": derived("message", own_id),
            "chaine_texte": asked.message.texte,
            "chaine_langue": asked.message.langue,
        }
    if asked.paiement:
        row |= {
            "id_intention": derived("intention", own_id),
            "chaine_montant": asked.paiement.montant,
            "chaine_devise": asked.paiement.devise,
        }
    if asked.message or asked.paiement:
        row["chaine_ouverte"] = present
    return row


def plan(row: Document) -> Plan:
    """What is to be there beside this session."""
    cancelled = row["statut"] == "ANNULEE"
    return Plan(
        message=_message(row) if "chaine_texte" in row else None,
        intent=_intent(row) if "chaine_montant" in row else None,
        cancel=row.get("id_intention") if cancelled else None,
    )


def _message(row: Document) -> Document:
    return {
        "id_message": row["id_message"],
        "id_session": row["id_session"],
        "id_expediteur": row["cree_par"],
        "texte": row["chaine_texte"],
        "langue": row["chaine_langue"],
        "cree_le": row["cree_le"],
    }


def _intent(row: Document) -> Intent:
    return Intent(
        id=row["id_intention"],
        user=row["id_apprenant"],
        amount=row["chaine_montant"],
        currency=row["chaine_devise"],
        key=intent_key(row["id_session"]),
        created=row["cree_le"],
    )


def intent_key(id_session: str) -> str:
    """The `cle_idempotence` of a session's intent: by it a checker finds the session again."""
    return f"session:{id_session}"


def closing(row: Document) -> tuple[Document, Document]:
    """Filter and update that close the chain, unless it was opened again meanwhile."""
    query = {"id_session": row["id_session"], "chaine_ouverte": row["chaine_ouverte"]}
    return query, {"$unset": dict.fromkeys(CARRIED, "")}
