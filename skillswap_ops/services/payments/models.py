"""Requests and answers of payments."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from skillswap_ops.services.base.models import Answer, Id, Moment, Request

Currency = Literal["EUR", "USD", "GBP", "CHF", "CAD"]
IntentStatus = Literal["INITIEE", "CONFIRMEE", "ANNULEE", "EXPIREE"]
InvoiceStatus = Literal["EN_ATTENTE", "PAYEE", "REMBOURSEE"]
SubscriptionStatus = Literal["EN_ATTENTE", "ACTIF", "SUSPENDU", "EXPIRE"]
Offer = Literal["PREMIUM", "VIP"]
Right = Literal["SESSIONS_ILLIMITEES", "AGENTS_IA", "CLASSE_VIRTUELLE", "TRADUCTION"]
DEAREST = 100_000_00  # minor units
Amount = Annotated[int, Field(strict=True, ge=1, le=DEAREST)]
TextId = Annotated[Id, BeforeValidator(str)]  # PostgreSQL's driver gives UUID objects


class NewIntent(Request):
    """What is to be paid, in minor units (cents)."""

    montant: Amount
    devise: Currency = "EUR"


class ServiceIntent(Request):
    """An intent that another service wants to be there; `cle_idempotence` finds its origin."""

    id_utilisateur: Id
    montant: Amount
    devise: Currency
    cle_idempotence: Annotated[
        str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9:._-]+$")
    ]
    cree_le: Moment


class Intent(Answer):
    """A payment intent."""

    id: TextId
    id_utilisateur: TextId
    id_abonnement: TextId | None
    montant: int
    devise: Currency
    statut: IntentStatus
    cree_le: datetime


class Confirmation(Request):
    """The card, as the provider's token for it: the card itself never comes here (PCI DSS)."""

    jeton_carte: Annotated[
        str, StringConstraints(min_length=4, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")
    ]


class Invoice(Answer):
    """An invoice."""

    id: TextId
    id_intention_paiement: TextId
    id_abonnement: TextId | None
    reference_externe: str
    montant: int
    devise: Currency
    statut: InvoiceStatus
    emise_le: datetime


class NewSubscription(Request):
    """The offer that is wanted."""

    formule: Offer
    devise: Literal["EUR"] = "EUR"


class Subscription(Answer):
    """A subscription; `id_intention` is what is to be paid for it."""

    id: TextId
    id_utilisateur: TextId
    formule: Offer
    statut: SubscriptionStatus
    debut: datetime
    fin: datetime | None
    id_intention: TextId | None = None


class Entitlement(Answer):
    """A right that was paid for."""

    id: TextId
    id_abonnement: TextId
    droit: Right
    accorde_le: datetime
    expire_le: datetime | None


class Intents(Answer):
    """One's intents, newest first."""

    intentions: tuple[Intent, ...]


class Invoices(Answer):
    """One's invoices, newest first."""

    factures: tuple[Invoice, ...]


class Subscriptions(Answer):
    """One's subscriptions, newest first."""

    abonnements: tuple[Subscription, ...]


class Entitlements(Answer):
    """One's rights that are good now."""

    droits: tuple[Entitlement, ...]


def intent(row: dict[str, Any]) -> Intent:
    """An intent as it is sent."""
    return Intent(**{name: row[name] for name in Intent.model_fields})


def invoice(row: dict[str, Any]) -> Invoice:
    """An invoice as it is sent."""
    return Invoice(**{name: row[name] for name in Invoice.model_fields})
