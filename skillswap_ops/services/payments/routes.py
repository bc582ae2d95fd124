"""What users and services call."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from skillswap_ops.services.base import problems
from skillswap_ops.services.base.access import Admin, Service, User
from skillswap_ops.services.base.models import Id, derived, now
from skillswap_ops.services.base.personal import Export
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import At, Runtime
from skillswap_ops.services.payments import card, ledger
from skillswap_ops.services.payments.models import (
    Confirmation,
    Entitlement,
    Entitlements,
    Intent,
    Intents,
    Invoice,
    Invoices,
    NewIntent,
    NewSubscription,
    ServiceIntent,
    Subscription,
    Subscriptions,
    intent,
    invoice,
)

Row = dict[str, Any]
Key = Annotated[
    str,
    Header(alias="Idempotency-Key", min_length=8, max_length=64, pattern=r"^[A-Za-z0-9._-]+$"),
]
_AUTH = problems.AUTHENTICATED
_KEYED = problems.documented(*_AUTH, problems.KEY_REUSED)
_FOUND = problems.documented(*_AUTH, problems.NOT_FOUND)
_CHANGED = problems.documented(*_AUTH, problems.NOT_FOUND, problems.WRONG_STATE)
_CHARGED = problems.documented(
    *_AUTH,
    problems.NOT_FOUND,
    problems.WRONG_STATE,
    problems.DECLINED,
    problems.NOT_CONFIGURED,
)

router = APIRouter(prefix="/payments", tags=["payments"], responses=problems.documented(*_AUTH))
internal = APIRouter(prefix="/internal", tags=["internal"])


@router.post("/intents", status_code=HTTP_201_CREATED, responses=_KEYED)
async def new_intent(asked: NewIntent, key: Key, at: At, who: User) -> Intent:
    """What one is going to pay. The same key gives the same intent."""
    own_id = derived("intention", who.subject, key)
    wanted = {
        **asked.model_dump(),
        "id_utilisateur": who.subject,
        "cle_idempotence": f"user:{own_id}",
        "cree_le": now(),
    }
    return intent(await ledger.put_intent(at.postgres, own_id, wanted))


@router.get("/intents")
async def intents(at: At, who: User) -> Intents:
    """One's intents, newest first."""
    rows = await at.postgres.read(
        "intents",
        "SELECT * FROM intention_paiement WHERE id_utilisateur = %s"
        " ORDER BY cree_le DESC LIMIT 100",
        UUID(who.subject),
    )
    return Intents(intentions=tuple(intent(row) for row in rows))


@router.get("/intents/{id_intention}", responses=_FOUND)
async def one(id_intention: Id, at: At, who: User) -> Intent:
    """One of one's intents."""
    return intent(await _own(at, id_intention, who.subject))


@router.post("/intents/{id_intention}/confirm", responses=_CHARGED)
async def confirm(id_intention: Id, asked: Confirmation, at: At, who: User) -> Invoice:
    """Charge the card; confirmed once, however often it is asked."""
    row = await _own(at, id_intention, who.subject)
    if row["statut"] not in {"INITIEE", "CONFIRMEE"}:
        raise ApiError(problems.WRONG_STATE, f"the intent is {row['statut']}")
    cards = card.provider(at.settings.providers)
    reference = await cards.charge(id_intention, row["montant"], row["devise"], asked.jeton_carte)
    return invoice(await ledger.confirm(at.postgres, id_intention, reference))


@router.post("/intents/{id_intention}/cancel", responses=_CHANGED)
async def cancel(id_intention: Id, at: At, who: User) -> Intent:
    """Give the intent up, while nothing is paid."""
    await _own(at, id_intention, who.subject)
    row = await ledger.cancel(at.postgres, id_intention)
    if row["statut"] != "ANNULEE":
        raise ApiError(problems.WRONG_STATE, f"the intent is {row['statut']}")
    return intent(row)


@router.get("/invoices")
async def invoices(at: At, who: User) -> Invoices:
    """One's invoices, newest first."""
    rows = await at.postgres.read(
        "invoices",
        "SELECT facture.* FROM facture JOIN intention_paiement AS i"
        " ON i.id = facture.id_intention_paiement WHERE i.id_utilisateur = %s"
        " ORDER BY emise_le DESC LIMIT 100",
        UUID(who.subject),
    )
    return Invoices(factures=tuple(invoice(row) for row in rows))


@router.post("/invoices/{id_facture}/refund", responses=_CHARGED)
async def refund(id_facture: Id, at: At, _who: Admin) -> Invoice:
    """Give the money back; administrators only."""
    rows = await at.postgres.read(
        "invoice", "SELECT * FROM facture WHERE id = %s", UUID(id_facture)
    )
    if not rows:
        raise ApiError(problems.NOT_FOUND, "no such invoice")
    if rows[0]["statut"] == "EN_ATTENTE":
        raise ApiError(problems.WRONG_STATE, "the invoice is not paid")
    await card.provider(at.settings.providers).refund(rows[0]["reference_externe"])
    return invoice(await ledger.refund(at.postgres, id_facture))


@router.post("/subscriptions", status_code=HTTP_201_CREATED, responses=_KEYED)
async def subscribe(asked: NewSubscription, key: Key, at: At, who: User) -> Subscription:
    """A subscription and what is to be paid for it; it begins when that is confirmed."""
    row = await ledger.subscribe(at.postgres, who.subject, asked.formule, key)
    return Subscription(**row)


@router.get("/subscriptions")
async def subscriptions(at: At, who: User) -> Subscriptions:
    """One's subscriptions, newest first."""
    rows = await at.postgres.read(
        "subscriptions",
        "SELECT * FROM abonnement WHERE id_utilisateur = %s ORDER BY debut DESC LIMIT 100",
        UUID(who.subject),
    )
    return Subscriptions(abonnements=tuple(Subscription(**row) for row in rows))


@router.get("/entitlements")
async def entitlements(at: At, who: User) -> Entitlements:
    """What one may do now because it is paid for."""
    return Entitlements(droits=tuple(await _rights(at, who.subject)))


@internal.put(
    "/intents/{id_intention}",
    responses=problems.documented(*_AUTH, problems.KEY_REUSED, problems.CONFLICT),
)
async def put_intent(id_intention: Id, asked: ServiceIntent, at: At, _who: Service) -> Intent:
    """The intent is there, committed on both sides; idempotent."""
    return intent(await ledger.put_intent(at.postgres, id_intention, asked.model_dump()))


@internal.put("/intents/{id_intention}/cancelled", responses=_FOUND)
async def cancelled(id_intention: Id, at: At, _who: Service) -> Intent:
    """Cancelled, if it was not paid; what it is now is the answer. Idempotent."""
    return intent(await ledger.cancel(at.postgres, id_intention))


@internal.get("/entitlements/{user}", responses=problems.documented(*_AUTH))
async def rights_of(user: Id, at: At, _who: Service) -> Entitlements:
    """What a user may do now because it is paid for."""
    return Entitlements(droits=tuple(await _rights(at, user)))


@internal.get("/personal/{user}", responses=problems.documented(*_AUTH))
async def export(user: Id, at: At, _who: Service) -> Export:
    """Everything about a person."""
    mine = UUID(user)
    rows = {
        "INTENTION_PAIEMENT": await at.postgres.read(
            "export", "SELECT * FROM intention_paiement WHERE id_utilisateur = %s", mine
        ),
        "ABONNEMENT": await at.postgres.read(
            "export", "SELECT * FROM abonnement WHERE id_utilisateur = %s", mine
        ),
        "DROIT_ACCES": await at.postgres.read(
            "export", "SELECT * FROM droit_acces WHERE id_utilisateur = %s", mine
        ),
        "FACTURE": await at.postgres.read(
            "export",
            "SELECT facture.* FROM facture JOIN intention_paiement AS i"
            " ON i.id = facture.id_intention_paiement WHERE i.id_utilisateur = %s",
            mine,
        ),
    }
    return Export(lignes={name: list(found) for name, found in rows.items()})


@internal.delete(
    "/personal/{user}",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems.documented(*_AUTH),
)
async def remove(user: Id, _who: Service) -> None:
    """Nothing is removed: these are accounting records, which name nobody but by id."""


async def expire(at: Runtime) -> None:
    """Let time pass: a loop of every instance."""
    await ledger.expire(at.postgres, now())


async def _own(at: Runtime, id_intention: str, user: str) -> Row:
    rows = await at.postgres.read(
        "intent",
        "SELECT * FROM intention_paiement WHERE id = %s AND id_utilisateur = %s",
        UUID(id_intention),
        UUID(user),
    )
    if not rows:
        raise ApiError(problems.NOT_FOUND, "no such intent of yours")
    return rows[0]


async def _rights(at: Runtime, user: str) -> list[Entitlement]:
    rows = await at.postgres.read(
        "entitlements",
        "SELECT d.* FROM droit_acces AS d JOIN abonnement AS a ON a.id = d.id_abonnement"
        " WHERE d.id_utilisateur = %s AND a.statut = 'ACTIF'"
        " AND (d.expire_le IS NULL OR d.expire_le > %s)",
        UUID(user),
        now(),
    )
    return [Entitlement(**{name: row[name] for name in Entitlement.model_fields}) for row in rows]
