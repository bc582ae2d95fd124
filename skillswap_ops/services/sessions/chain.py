"""The write chain, done: SESSION, then MESSAGE, then INTENTION_PAIEMENT (TP3 §7).

MESSAGE is chat's, and is written here directly: it lives in the same segment, and the chain must
not wait for one more service. The intent goes through payments, which alone writes PostgreSQL.
"""

import asyncio
from datetime import timedelta
from typing import Any

from pymongo import ReturnDocument

from skillswap_ops.services.base import problems
from skillswap_ops.services.base.calls import UnavailableError
from skillswap_ops.services.base.logs import logger
from skillswap_ops.services.base.models import now
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import Runtime
from skillswap_ops.services.sessions.outbox import Intent, closing, plan

Document = dict[str, Any]
OLD = timedelta(seconds=3)  # an open chain older than this has lost its request
LEASE = timedelta(seconds=20)  # longer than one settling takes; a crashed instance's runs out
AT_ONCE = 50  # chains a round


async def begin(at: Runtime, row: Document) -> tuple[Document, bool]:
    """Write the session; the session as stored, and whether this request is the first.

    Raises ApiError: 503 where no majority has it, 422 where the key came with another request.
    """
    if await at.mongo.insert("SESSION", row):
        return row, True
    stored = await at.mongo.find("SESSION", {"id_session": row["id_session"]})
    if stored is None:
        raise UnavailableError("mongo", "the session is not there yet")
    if stored.get("empreinte_demande") != row["empreinte_demande"]:
        raise ApiError(problems.KEY_REUSED)
    return stored, False


async def follow(at: Runtime, row: Document) -> bool:
    """Write what follows the session; whether all of it was acknowledged.

    What was not is written by `settle`, here or in another instance: the session carries it.
    """
    due = plan(row)
    try:
        if due.message:
            await at.mongo.insert("MESSAGE", due.message)
        if due.intent:
            await put_intent(at, due.intent)
    except ApiError as error:
        logger().warning("chain unfinished", id_session=row["id_session"], detail=str(error))
        return False
    return True


async def put_intent(at: Runtime, intent: Intent) -> None:
    """The intent is committed on both sides; idempotent."""
    body = {
        "id_utilisateur": intent.user,
        "montant": intent.amount,
        "devise": intent.currency,
        "cle_idempotence": intent.key,
        "cree_le": intent.created.isoformat(),
    }
    answer = await at.upstreams.call("payments", "PUT", f"/internal/intents/{intent.id}", body=body)
    if answer is None:
        raise UnavailableError("payments", "it does not know the operation")


async def settle(at: Runtime, row: Document) -> None:
    """See that everything of an open chain is there and stays there, and close it.

    Safe at any time, in any instance, any number of times. A message is acknowledged by one member
    (`w:1`): before the outbox lets go of it, a majority must have it.
    """
    due = plan(row)
    if due.message:
        await _keep(at, due.message)
    if due.intent:
        await put_intent(at, due.intent)
    if due.cancel:
        await at.upstreams.call("payments", "PUT", f"/internal/intents/{due.cancel}/cancelled")
    query, update = closing(row)

    async def close() -> None:
        await at.mongo.of("SESSION").update_one(query, update)

    await at.mongo.write("close chain", close, again=True)


async def _keep(at: Runtime, message: Document) -> None:
    await at.mongo.insert("MESSAGE", message)
    query = {"id_session": message["id_session"], "id_message": message["id_message"]}

    async def seen() -> None:
        if await at.mongo.durable("MESSAGE").find_one(query) is None:
            raise UnavailableError("mongo", "the message is not with a majority yet")

    await at.mongo.read("durable MESSAGE", seen)


async def settle_quietly(at: Runtime, row: Document) -> None:
    """`settle` after the answer was sent; what fails is the reconciler's."""
    try:
        await settle(at, row)
    except ApiError as error:
        logger().info("chain left to the reconciler", id_session=row["id_session"], why=str(error))


async def reconcile(at: Runtime) -> None:
    """Finish the open chains whose request is over: the loop of every sessions instance."""
    oldest = now() - OLD
    found = await at.mongo.page(
        "SESSION", {"chaine_ouverte": {"$lt": oldest}}, [("chaine_ouverte", 1)], AT_ONCE
    )
    claimed = [row for row in [await _claim(at, row) for row in found] if row]
    results = await asyncio.gather(*(settle(at, row) for row in claimed), return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if found:
        logger().info("reconciled", found=len(found), ours=len(claimed), failed=len(failures))
    if failures:
        raise failures[0]


async def _claim(at: Runtime, row: Document) -> Document | None:
    """The chain, if no other instance is at it; `id_session` keeps the command on one shard."""
    moment = now()
    query = {
        "id_session": row["id_session"],
        "chaine_ouverte": row["chaine_ouverte"],
        "$or": [{"chaine_bail": {"$exists": False}}, {"chaine_bail": {"$lt": moment}}],
    }

    async def work() -> Document | None:
        return await at.mongo.of("SESSION").find_one_and_update(
            query,
            {"$set": {"chaine_bail": moment + LEASE}},
            return_document=ReturnDocument.AFTER,
        )

    return await at.mongo.write("claim chain", work)
