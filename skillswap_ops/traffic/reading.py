"""Reads what runs have written, where an acknowledged write must be seen."""

from collections.abc import Callable, Iterable, Sequence
from typing import LiteralString
from uuid import UUID

from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from cluster.context import Context
from cluster.errors import InconclusiveError
from cluster.schema.catalogue import BY_NAME
from mongo import guarantees
from mongo.client import Client, Document
from mongo.writer import MAJORITY
from postgres.client import value
from skillswap_ops.services.sessions.outbox import session_id
from skillswap_ops.traffic import people
from skillswap_ops.traffic.chain_checks import Chains, IntentRow, MessageRow, SessionRow
from skillswap_ops.traffic.requests import key_of, op_of_place

SECONDS = 300.0
INTENTS: LiteralString = (
    "SELECT id, cle_idempotence, montant FROM intention_paiement WHERE id_utilisateur = ANY(%s)"
)
SESSION_FIELDS = ("id_session", "lieu_ou_lien", "chaine_ouverte", "id_message", "id_intention")


def documents(
    client: Client, run: str, entity: str, query: Document, fields: Iterable[str]
) -> list[Document]:
    """What a majority holds, after a majority write to the same segment.

    Once that is acknowledged, everything acknowledged before it is in what the primary shows. The
    client is an administrator's: it drops what it wrote.
    """
    declared = BY_NAME[entity]
    database = client.get_database(declared.home, write_concern=MAJORITY)
    barrier = database[f"drill_{run}_barrier"]  # named so that `drill heal` knows it
    barrier.update_one({"_id": "barrier"}, {"$inc": {"reads": 1}}, upsert=True)
    try:
        found = guarantees.collection(client, declared).with_options(
            read_concern=ReadConcern("majority"), read_preference=ReadPreference.PRIMARY
        )
        return found.find(query, dict.fromkeys(fields, 1)).to_list()
    finally:
        barrier.drop()


def rows(context: Context, query: LiteralString, users: Sequence[str]) -> list[tuple[object, ...]]:
    """The rows of a query about users, from the leader. Raises InconclusiveError on a standby."""
    with people.on_leader(context) as connection:
        if value(connection, "SELECT pg_is_in_recovery()"):
            raise InconclusiveError("the leader is a standby: nothing can be read back")
        return connection.execute(query, ([UUID(user) for user in users],)).fetchall()


def intents(context: Context, users: Sequence[str]) -> tuple[IntentRow, ...]:
    """The payment intents of these users."""
    return tuple(
        IntentRow(id=str(own_id), key=str(key), amount=int(str(amount)))
        for own_id, key, amount in rows(context, INTENTS, users)
    )


def chains(
    context: Context, run: str, users: Sequence[str], user_of: Callable[[int], str]
) -> Chains:
    """What the stores hold of the chains of these users; `user_of` tells whose an operation is."""
    with people.of_administrator(context, SECONDS) as client:
        sessions = documents(
            client, run, "SESSION", {"id_apprenant": {"$in": [*users]}}, SESSION_FIELDS
        )
        wanted = {row.get("id_message") for row in sessions}
        messages = documents(
            client,
            run,
            "MESSAGE",
            {"id_expediteur": {"$in": [*users]}},
            ("id_message", "id_session"),
        )
    return Chains(
        sessions=tuple(_session(run, row, user_of) for row in sessions),
        messages=tuple(
            MessageRow(id=row["id_message"], session=row["id_session"])
            for row in messages
            if row["id_message"] in wanted or not _said_later(run, row["id_message"])
        ),
        intents=intents(context, users),
    )


def _said_later(run: str, id_message: str) -> bool:
    """Whether it is no chain's: its id says which operation of which run it is."""
    return id_message.startswith(run)


def _session(run: str, row: Document, user_of: Callable[[int], str]) -> SessionRow:
    op = op_of_place(run, row["lieu_ou_lien"])
    return SessionRow(
        id=row["id_session"],
        op=op,
        asked=session_id(user_of(op), key_of(run, op)) if op >= 0 else "",
        open="chaine_ouverte" in row,
        message=row.get("id_message", ""),
        intent=row.get("id_intention", ""),
    )
