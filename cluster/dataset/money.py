"""Who pays for what: offers, payments, invoices and rights that agree with one another."""

from dataclasses import dataclass, field

import numpy as np

from cluster.dataset.community import DAY, HOUR, Document, Rows, times
from cluster.dataset.people import People

SUBSCRIBERS = 0.05
MONTH = 30 * DAY
OFFERS = {  # price a month in minor units, and the rights that it gives
    "PREMIUM": (999, ("SESSIONS_ILLIMITEES", "CLASSE_VIRTUELLE")),
    "VIP": (1999, ("SESSIONS_ILLIMITEES", "CLASSE_VIRTUELLE", "AGENTS_IA", "TRADUCTION")),
}
WAITING, ONGOING, SUSPENDED = 0.05, 0.65, 0.75  # shares, added up; the rest has expired
FAILED_TRY, REFUNDED = 0.08, 0.03
ENTITIES = ("ABONNEMENT", "INTENTION_PAIEMENT", "FACTURE", "DROIT_ACCES")


@dataclass
class _Books:
    """The rows under construction, with moments as seconds and keys still to be given."""

    currency: str
    rows: dict[str, Rows] = field(default_factory=lambda: {name: [] for name in ENTITIES})

    def add(self, entity: str, **values: object) -> int:
        """A row; its place stands for its key until all rows are known."""
        self.rows[entity].append(dict(values))
        return len(self.rows[entity]) - 1


def documents(people: People) -> dict[str, Rows]:
    """The four tables of payments, each row before those that refer to it."""
    community, draws = people.community, people.community.draws("money")
    who = np.flatnonzero(draws.chance(community.size, SUBSCRIBERS)).tolist()
    books = _Books(people.city.currency)
    for user in who:
        joined = int(people.joined[user])
        begin, kind, offer, months, fail, refund = draws.unit(6).tolist()
        since = joined + int(begin * (community.as_of - HOUR - joined))
        name = "PREMIUM" if offer < 0.75 else "VIP"
        if kind < WAITING:
            _waiting(books, user, name, community.as_of - HOUR - int(begin * DAY))
            continue
        _paid(books, user, name, since, community.as_of, kind, int(1 + 6 * months), fail, refund)
    return _keyed(people, books)


def _waiting(books: _Books, user: int, offer: str, since: int) -> None:
    """Ordered, not yet paid."""
    price = OFFERS[offer][0]
    subscription = books.add(
        "ABONNEMENT", id_utilisateur=user, formule=offer, statut="EN_ATTENTE", debut=since, fin=None
    )
    intention = _intend(books, user, subscription, price, "INITIEE", since)
    _invoice(books, intention, subscription, price, "EN_ATTENTE", since)


def _paid(
    books: _Books,
    user: int,
    offer: str,
    since: int,
    as_of: int,
    kind: float,
    months: int,
    fail: float,
    refund: float,
) -> None:
    """Paid month by month: until now, or for some months after which it ended or was suspended."""
    price, rights = OFFERS[offer]
    begun = (as_of - since) // MONTH + 1  # months that have begun
    ongoing = kind < ONGOING or begun <= months
    paid = begun if ongoing else months
    until = since + paid * MONTH
    state = "ACTIF" if ongoing else "SUSPENDU" if kind < SUSPENDED else "EXPIRE"
    subscription = books.add(
        "ABONNEMENT", id_utilisateur=user, formule=offer, statut=state, debut=since, fin=until
    )
    if fail < FAILED_TRY:
        _intend(books, user, subscription, price, "ANNULEE", since)
    for month in range(paid):
        at = since + month * MONTH
        intention = _intend(books, user, subscription, price, "CONFIRMEE", at)
        refunded = state == "EXPIRE" and month == paid - 1 and refund < 10 * REFUNDED
        _invoice(books, intention, subscription, price, "REMBOURSEE" if refunded else "PAYEE", at)
    if state == "SUSPENDU":
        _intend(books, user, subscription, price, "EXPIREE", until)
    for right in rights:
        books.add(
            "DROIT_ACCES",
            id_abonnement=subscription,
            id_utilisateur=user,
            droit=right,
            accorde_le=since,
            expire_le=until,
        )


def _intend(
    books: _Books, user: int, subscription: int, amount: int, state: str, created: int
) -> int:
    return books.add(
        "INTENTION_PAIEMENT",
        id_utilisateur=user,
        id_abonnement=subscription,
        montant=amount,
        devise=books.currency,
        statut=state,
        cree_le=created,
    )


def _invoice(
    books: _Books, intention: int, subscription: int, amount: int, state: str, issued: int
) -> None:
    books.add(
        "FACTURE",
        id_intention_paiement=intention,
        id_abonnement=subscription,
        montant=amount,
        devise=books.currency,
        statut=state,
        emise_le=issued,
    )


_MOMENTS = frozenset({"debut", "fin", "cree_le", "emise_le", "accorde_le", "expire_le"})


def _keyed(people: People, books: _Books) -> dict[str, Rows]:
    """The rows with their keys in place of places, and moments in place of seconds."""
    keys = {name: people.community.ids(name, len(rows)) for name, rows in books.rows.items()}
    people_of = {
        "id_utilisateur": people.ids,
        "id_abonnement": keys["ABONNEMENT"],
        "id_intention_paiement": keys["INTENTION_PAIEMENT"],
    }

    def whole(entity: str, key: str, row: Document) -> Document:
        made: Document = {"id": key}
        for name, value in row.items():
            if name in people_of and isinstance(value, int):
                made[name] = people_of[name][value]
            elif name in _MOMENTS and isinstance(value, int):
                [made[name]] = times(np.array([value]))
            else:
                made[name] = value
        if entity == "INTENTION_PAIEMENT":
            made["cle_idempotence"] = f"seed-{key}"
        if entity == "FACTURE":
            made["reference_externe"] = f"in_{key.replace('-', '')}"
        return made

    return {
        entity: [whole(entity, key, row) for key, row in zip(keys[entity], rows, strict=True)]
        for entity, rows in books.rows.items()
    }
