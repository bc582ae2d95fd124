"""What payments writes: each function is one transaction, committed on both sides.

Every write can be repeated: it finds its own row by key, and touches it, so that its commit waits
for the standby although nothing is new (an earlier try may have been confirmed by one side only).
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from skillswap_ops.services.base import problems
from skillswap_ops.services.base.models import derived, now
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.stores.postgres import Connection, Postgres

Row = dict[str, Any]

# Made up, as the seed names no price; a month each.
PRICES = {"PREMIUM": 9_99, "VIP": 19_99}
RIGHTS = {
    "PREMIUM": ("SESSIONS_ILLIMITEES", "TRADUCTION"),
    "VIP": ("SESSIONS_ILLIMITEES", "TRADUCTION", "AGENTS_IA", "CLASSE_VIRTUELLE"),
}
PERIOD = timedelta(days=30)
INTENT_LIFE = timedelta(hours=24)


async def put_intent(
    store: Postgres, own_id: str, wanted: Row, subscription: str | None = None
) -> Row:
    """The intent is there. Raises ApiError (422) where its key stands for another one."""

    async def work(connection: Connection) -> Row:
        return await _put_intent(connection, own_id, wanted, subscription)

    return await store.write("put intent", work, again=True)


async def _put_intent(
    connection: Connection, own_id: str, wanted: Row, subscription: str | None
) -> Row:
    values = (
        UUID(own_id),
        UUID(wanted["id_utilisateur"]),
        UUID(subscription) if subscription else None,
        wanted["montant"],
        wanted["devise"],
        wanted["cle_idempotence"],
        wanted["cree_le"],
    )
    cursor = await connection.execute(
        "INSERT INTO intention_paiement (id, id_utilisateur, id_abonnement, montant, devise,"
        " statut, cle_idempotence, cree_le) VALUES (%s, %s, %s, %s, %s, 'INITIEE', %s, %s)"
        " ON CONFLICT (cle_idempotence)"
        " DO UPDATE SET id_abonnement = intention_paiement.id_abonnement RETURNING *",
        values,
    )
    row = await cursor.fetchone()
    same = ("id_utilisateur", "montant", "devise")
    if row is None or any(str(row[name]) != str(wanted[name]) for name in same):
        raise ApiError(problems.KEY_REUSED)
    return row


async def subscribe(store: Postgres, user: str, offer: str, key: str) -> Row:
    """A subscription that waits for its payment, with its intent; both or neither."""
    own_id = derived("abonnement", user, key)
    intent_id = derived("abonnement-intention", own_id)

    async def work(connection: Connection) -> Row:
        present = now()
        cursor = await connection.execute(
            "INSERT INTO abonnement (id, id_utilisateur, formule, statut, debut)"
            " VALUES (%s, %s, %s, 'EN_ATTENTE', %s)"
            " ON CONFLICT (id) DO UPDATE SET fin = abonnement.fin RETURNING *",
            (UUID(own_id), UUID(user), offer, present),
        )
        row = await cursor.fetchone()
        if row is None or row["formule"] != offer:
            raise ApiError(problems.KEY_REUSED)
        wanted = {
            "id_utilisateur": user,
            "montant": PRICES[offer],
            "devise": "EUR",
            "cle_idempotence": f"abonnement:{own_id}",
            "cree_le": present,
        }
        intent = await _put_intent(connection, intent_id, wanted, own_id)
        return {**row, "id_intention": intent["id"]}

    return await store.write("subscribe", work, again=True)


async def confirm(store: Postgres, intent_id: str, reference: str) -> Row:
    """The charge went through: confirm the intent, have the invoice paid, grant the rights."""

    async def work(connection: Connection) -> Row:
        intent = await locked(connection, intent_id)
        if intent["statut"] not in {"INITIEE", "CONFIRMEE"}:
            raise ApiError(problems.WRONG_STATE, f"the intent is {intent['statut']}")
        await connection.execute(
            "UPDATE intention_paiement SET statut = 'CONFIRMEE' WHERE id = %s", (intent["id"],)
        )
        invoice = await _invoice(connection, intent, reference)
        if intent["id_abonnement"] and intent["statut"] == "INITIEE":
            await _activate(connection, intent["id_abonnement"])
        return invoice

    return await store.write("confirm", work, again=True)


async def locked(connection: Connection, intent_id: str) -> Row:
    """The intent, which nobody else changes until the transaction ends. Raises ApiError (404)."""
    cursor = await connection.execute(
        "SELECT * FROM intention_paiement WHERE id = %s FOR UPDATE", (UUID(intent_id),)
    )
    row = await cursor.fetchone()
    if row is None:
        raise ApiError(problems.NOT_FOUND, "no such intent")
    return row


async def _invoice(connection: Connection, intent: Row, reference: str) -> Row:
    """The intent's invoice, paid. It begins as EN_ATTENTE, as its declared states want."""
    await connection.execute(
        "INSERT INTO facture (id, id_intention_paiement, id_abonnement, reference_externe, montant,"
        " devise, statut, emise_le) VALUES (%s, %s, %s, %s, %s, %s, 'EN_ATTENTE', %s)"
        " ON CONFLICT (id) DO NOTHING",
        (
            UUID(derived("facture", str(intent["id"]))),
            intent["id"],
            intent["id_abonnement"],
            reference,
            intent["montant"],
            intent["devise"],
            now(),
        ),
    )
    await connection.execute(
        "UPDATE facture SET statut = 'PAYEE'"
        " WHERE id_intention_paiement = %s AND statut = 'EN_ATTENTE'",
        (intent["id"],),
    )
    cursor = await connection.execute(
        "SELECT * FROM facture WHERE id_intention_paiement = %s", (intent["id"],)
    )
    row = await cursor.fetchone()
    if row is None:
        raise LookupError("the invoice that was just written")
    return row


async def _activate(connection: Connection, subscription: UUID) -> None:
    begin = now()
    cursor = await connection.execute(
        "UPDATE abonnement SET statut = 'ACTIF', debut = %s, fin = %s"
        " WHERE id = %s AND statut IN ('EN_ATTENTE', 'SUSPENDU') RETURNING *",
        (begin, begin + PERIOD, subscription),
    )
    row = await cursor.fetchone()
    if row is None:
        raise ApiError(problems.WRONG_STATE, "the subscription does not wait for a payment")
    for right in RIGHTS[row["formule"]]:
        await connection.execute(
            "INSERT INTO droit_acces (id, id_abonnement, id_utilisateur, droit, accorde_le,"
            " expire_le) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (id_abonnement, droit)"
            " DO UPDATE SET expire_le = EXCLUDED.expire_le",
            (
                UUID(derived("droit", str(subscription), right)),
                subscription,
                row["id_utilisateur"],
                right,
                begin,
                begin + PERIOD,
            ),
        )


async def cancel(store: Postgres, intent_id: str) -> Row:
    """The intent as it is after the wish to cancel it: what is paid stays paid."""

    async def work(connection: Connection) -> Row:
        intent = await locked(connection, intent_id)
        # Also where it is cancelled already: the commit must wait for the standby.
        after = "ANNULEE" if intent["statut"] == "INITIEE" else intent["statut"]
        cursor = await connection.execute(
            "UPDATE intention_paiement SET statut = %s WHERE id = %s RETURNING *",
            (after, intent["id"]),
        )
        return await cursor.fetchone() or intent

    return await store.write("cancel", work, again=True)


async def refund(store: Postgres, invoice_id: str) -> Row:
    """The invoice is refunded. Raises ApiError: 404, or 409 where it was not paid."""

    async def work(connection: Connection) -> Row:
        cursor = await connection.execute(
            "SELECT * FROM facture WHERE id = %s FOR UPDATE", (UUID(invoice_id),)
        )
        row = await cursor.fetchone()
        if row is None:
            raise ApiError(problems.NOT_FOUND, "no such invoice")
        if row["statut"] == "EN_ATTENTE":
            raise ApiError(problems.WRONG_STATE, "the invoice is not paid")
        await connection.execute(
            "UPDATE facture SET statut = 'REMBOURSEE' WHERE id = %s", (row["id"],)
        )
        return {**row, "statut": "REMBOURSEE"}

    return await store.write("refund", work, again=True)


async def expire(store: Postgres, present: datetime) -> None:
    """Intents that nobody paid, and subscriptions whose time is over."""

    async def work(connection: Connection) -> None:
        await connection.execute(
            "UPDATE intention_paiement SET statut = 'EXPIREE'"
            " WHERE statut = 'INITIEE' AND cree_le < %s",
            (present - INTENT_LIFE,),
        )
        await connection.execute(
            "UPDATE abonnement SET statut = 'EXPIRE'"
            " WHERE statut IN ('ACTIF', 'SUSPENDU') AND fin < %s",
            (present,),
        )

    await store.write("expire", work, again=True)
