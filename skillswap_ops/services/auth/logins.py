"""Log-ins that go on: refresh tokens that rotate, and end when one is used twice.

A refresh token is good once: using it gives the next one (OAuth 2.0 BCP, RFC 9700 §4.14.2). Only
hashes are stored. One that was replaced and comes back means that somebody else has it: the whole
log-in ends. Within REPEAT_SECONDS it is taken for the client's own retry, whose answer was lost.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Any
from uuid import uuid4

from skillswap_ops.services.auth import accounts
from skillswap_ops.services.auth.models import TokenPair
from skillswap_ops.services.base import problems
from skillswap_ops.services.base.logs import logger
from skillswap_ops.services.base.models import now
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import Runtime

JETON = "JETON_RAFRAICHISSEMENT"
REPEAT_SECONDS = 10
SECRET_BYTES = 32
Document = dict[str, Any]


def fingerprint(token: str) -> str:
    """What is stored of a token. It is random, so a fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token(id_jeton: str) -> str:
    """The log-in's id, so that it is found by its shard key, and a secret."""
    return f"{id_jeton}.{secrets.token_urlsafe(SECRET_BYTES)}"


async def begin(at: Runtime, user: Document) -> TokenPair:
    """A new log-in."""
    id_jeton = str(uuid4())
    token, moment = new_token(id_jeton), now()
    row = {
        "id_jeton": id_jeton,
        "id_utilisateur": user["id_utilisateur"],
        "empreinte": fingerprint(token),
        "tourne_le": moment,
        "expire_le": moment + timedelta(seconds=at.settings.jwt.refresh_seconds),
    }
    await at.mongo.insert(JETON, row)
    return _pair(at, user, token)


async def go_on(at: Runtime, token: str) -> TokenPair:
    """The next pair of tokens. Raises ApiError: 401 for a token that is not good, 403 if banned."""
    id_jeton, given, moment = token.partition(".")[0], fingerprint(token), now()
    following = new_token(id_jeton)
    query = {
        "id_jeton": id_jeton,
        "expire_le": {"$gt": moment},
        "$or": [
            {"empreinte": given},
            {
                "precedente": given,
                "tourne_le": {"$gt": moment - timedelta(seconds=REPEAT_SECONDS)},
            },
        ],
    }
    row = await at.mongo.set(
        JETON,
        query,
        {"empreinte": fingerprint(following), "precedente": given, "tourne_le": moment},
    )
    if row is None:
        await _refuse(at, id_jeton)
        raise ApiError(problems.TOKEN_REUSED)
    user = await accounts.user(at, row["id_utilisateur"])
    kept = await accounts.credentials(at, row["id_utilisateur"])
    if kept is None or "suppression_le" in kept:
        raise ApiError(problems.TOKEN_REUSED, "the account is gone")
    accounts.refuse_banned(kept)
    return _pair(at, user, following)


async def _refuse(at: Runtime, id_jeton: str) -> None:
    """End the log-in of a token that was replaced; only holders of its tokens know the id."""
    if await at.mongo.find(JETON, {"id_jeton": id_jeton}):
        logger().warning("refresh token reused", id_jeton=id_jeton)
        await end(at, {"id_jeton": id_jeton})


async def end(at: Runtime, query: Document) -> None:
    """End the log-ins that fit."""

    async def work() -> None:
        await at.mongo.of(JETON).delete_many(query)

    await at.mongo.write("end log-ins", work, again=True)


def _pair(at: Runtime, user: Document, refresh: str) -> TokenPair:
    roles = tuple(user["roles"])
    return TokenPair(
        access_token=at.tokens.access(user["id_utilisateur"], roles),
        expires_in=at.settings.jwt.access_seconds,
        refresh_token=refresh,
        id_utilisateur=user["id_utilisateur"],
    )
