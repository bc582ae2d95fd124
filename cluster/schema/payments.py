"""What PostgreSQL keeps: money, and the rights that it buys.

The seed's physical model puts ABONNEMENT (and, in a table, DROIT_ACCES) into MongoDB; TP3's table
and TP2 put them here: docs/decisions/data-model.md.
"""

from cluster.schema.guarantees import PAYMENT
from cluster.schema.types import Entity, Field, Kind, Query, Retention, States, Store
from cluster.schema.words import id_, index, moment, one_of, string, to, unique

HOME = "payments"
LEGAL = Retention(None, "accounting records: never removed by the system")
CURRENCIES = ("EUR", "USD", "GBP", "CHF", "CAD")


def _amount() -> Field:
    return Field("montant", Kind.MONEY, minimum=1)


ABONNEMENT = Entity(
    "ABONNEMENT",
    Store.POSTGRES,
    HOME,
    "id",
    (
        id_("id"),
        id_("id_utilisateur"),
        one_of("formule", "PREMIUM", "VIP"),
        one_of("statut", "EN_ATTENTE", "ACTIF", "SUSPENDU", "EXPIRE"),
        moment("debut"),
        moment("fin", required=False),
    ),
    PAYMENT,
    references=(to("id_utilisateur", "UTILISATEUR"),),
    indexes=(
        index(
            "id_utilisateur",
            "statut",
            serves=Query("is it active?", equal=("id_utilisateur", "statut")),
        ),
        index("formule", "statut", serves=Query("by offer", equal=("formule", "statut"))),
    ),
    states=States(
        "statut",
        ("EN_ATTENTE", "ACTIF"),
        (
            ("EN_ATTENTE", ("ACTIF", "EXPIRE")),
            ("ACTIF", ("SUSPENDU", "EXPIRE")),
            ("SUSPENDU", ("ACTIF", "EXPIRE")),
            ("EXPIRE", ()),
        ),
    ),
    retention=LEGAL,
)

INTENTION_PAIEMENT = Entity(
    "INTENTION_PAIEMENT",
    Store.POSTGRES,
    HOME,
    "id",
    (
        id_("id"),
        id_("id_utilisateur"),
        id_("id_abonnement", required=False),
        _amount(),
        one_of("devise", *CURRENCIES),
        one_of("statut", "INITIEE", "CONFIRMEE", "ANNULEE", "EXPIREE"),
        string("cle_idempotence", longest=100),
        moment("cree_le"),
    ),
    PAYMENT,
    references=(to("id_utilisateur", "UTILISATEUR"), to("id_abonnement", "ABONNEMENT")),
    indexes=(
        index(
            "id_utilisateur",
            "statut",
            serves=Query("a user's open payments", equal=("id_utilisateur", "statut")),
        ),
        index("id_abonnement", serves=Query("what paid for it", equal=("id_abonnement",))),
        unique("cle_idempotence", serves=Query("a repeated try", equal=("cle_idempotence",))),
    ),
    states=States(
        "statut",
        ("INITIEE",),
        (
            ("INITIEE", ("CONFIRMEE", "ANNULEE", "EXPIREE")),
            ("CONFIRMEE", ()),
            ("ANNULEE", ()),
            ("EXPIREE", ()),
        ),
    ),
    retention=LEGAL,
)

FACTURE = Entity(
    "FACTURE",
    Store.POSTGRES,
    HOME,
    "id",
    (
        id_("id"),
        id_("id_intention_paiement"),
        id_("id_abonnement", required=False),
        string("reference_externe", longest=100),
        _amount(),
        one_of("devise", *CURRENCIES),
        one_of("statut", "EN_ATTENTE", "PAYEE", "REMBOURSEE"),
        moment("emise_le"),
    ),
    PAYMENT,
    references=(
        to("id_intention_paiement", "INTENTION_PAIEMENT"),
        to("id_abonnement", "ABONNEMENT"),
    ),
    indexes=(
        index(
            "id_intention_paiement",
            serves=Query("the invoices of a payment", equal=("id_intention_paiement",)),
        ),
        index("id_abonnement", serves=Query("invoices of an offer", equal=("id_abonnement",))),
        unique("reference_externe", serves=Query("by its number", equal=("reference_externe",))),
        index(
            "statut",
            "emise_le",
            serves=Query("revenue by month", equal=("statut",), since="emise_le"),
        ),
    ),
    states=States(
        "statut",
        ("EN_ATTENTE",),
        (("EN_ATTENTE", ("PAYEE",)), ("PAYEE", ("REMBOURSEE",)), ("REMBOURSEE", ())),
    ),
    retention=LEGAL,
)

DROIT_ACCES = Entity(
    "DROIT_ACCES",
    Store.POSTGRES,
    HOME,
    "id",
    (
        id_("id"),
        id_("id_abonnement"),
        id_("id_utilisateur"),
        one_of("droit", "SESSIONS_ILLIMITEES", "AGENTS_IA", "CLASSE_VIRTUELLE", "TRADUCTION"),
        moment("accorde_le"),
        moment("expire_le", required=False),
    ),
    PAYMENT,
    references=(to("id_abonnement", "ABONNEMENT"), to("id_utilisateur", "UTILISATEUR")),
    indexes=(
        unique(
            "id_abonnement",
            "droit",
            serves=Query("a right of an offer", equal=("id_abonnement", "droit")),
        ),
        index(
            "id_utilisateur",
            "droit",
            serves=Query("may this user?", equal=("id_utilisateur", "droit")),
        ),
    ),
    retention=LEGAL,
)

ENTITIES = (ABONNEMENT, INTENTION_PAIEMENT, FACTURE, DROIT_ACCES)  # referenced ones first
