"""What other services call: a user, their reputation, bans and roles, who is barred."""

from datetime import timedelta

from fastapi import APIRouter
from starlette.status import HTTP_204_NO_CONTENT

from skillswap_ops.services.auth import accounts, logins
from skillswap_ops.services.auth.models import (
    Ban,
    Barred,
    ByEmail,
    OwnProfile,
    Reputation,
    Roles,
    own,
)
from skillswap_ops.services.base import problems
from skillswap_ops.services.base.access import Service
from skillswap_ops.services.base.models import Id, now
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import At, Runtime

MOST_BARRED = 10_000

router = APIRouter(
    prefix="/internal",
    tags=["internal"],
    responses=problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND),
)


@router.get("/users/{user}")
async def one(user: Id, at: At, _who: Service) -> OwnProfile:
    """A user with their e-mail."""
    return own(await accounts.user(at, user))


@router.post("/user-by-email")
async def by_email(asked: ByEmail, at: At, _who: Service) -> OwnProfile:
    """The user who logs in with this e-mail."""
    row = await at.mongo.find("UTILISATEUR", {"courriel": asked.courriel})
    if row is None or await accounts.credentials(at, row["id_utilisateur"]) is None:
        raise ApiError(problems.NOT_FOUND, "no account has this e-mail")
    return own(row)


@router.put("/users/{user}/reputation", status_code=HTTP_204_NO_CONTENT)
async def reputation(user: Id, asked: Reputation, at: At, _who: Service) -> None:
    """What the reviews add up to now; idempotent."""
    await _set_profile(at, user, {"reputation": asked.reputation})


@router.put("/users/{user}/roles", status_code=HTTP_204_NO_CONTENT)
async def roles(user: Id, asked: Roles, at: At, _who: Service) -> None:
    """The user's roles from their next token on; every log-in ends, so that it is soon."""
    await _set_profile(at, user, {"roles": list(dict.fromkeys(asked.roles))})
    await logins.end(at, {"id_utilisateur": user})


@router.put("/users/{user}/ban", status_code=HTTP_204_NO_CONTENT)
async def ban(user: Id, asked: Ban, at: At, _who: Service) -> None:
    """Nobody logs in as this user until the ban is over; log-ins end; idempotent."""
    update = {"$set": {"banni_le": now()}, "$unset": {"banni_jusqu_a": ""}}
    if asked.jusqu_a:
        update = {"$set": {"banni_le": now(), "banni_jusqu_a": asked.jusqu_a}}
    await _update_credentials(at, user, update)
    await logins.end(at, {"id_utilisateur": user})


@router.delete("/users/{user}/ban", status_code=HTTP_204_NO_CONTENT)
async def unban(user: Id, at: At, _who: Service) -> None:
    """Lift the ban; idempotent."""
    await _update_credentials(at, user, {"$unset": {"banni_le": "", "banni_jusqu_a": ""}})


@router.get("/barred")
async def barred(at: At, _who: Service) -> Barred:
    """Whose running access tokens are not to be honoured.

    Log-in and refresh refuse a banned or removed account, so only tokens issued before it matter:
    those of the last `access_seconds`.
    """
    settings, present = at.settings.jwt, now()
    since = present - timedelta(seconds=settings.access_seconds + 2 * settings.leeway_seconds)
    rows = await at.mongo.page(
        "IDENTIFIANT",
        {"$or": [{"banni_le": {"$gt": since}}, {"suppression_le": {"$gt": since}}]},
        [("_id", 1)],
        MOST_BARRED,
    )
    return Barred(
        ids=tuple(
            row["id_utilisateur"]
            for row in rows
            if row.get("banni_jusqu_a") is None or row["banni_jusqu_a"] > present
        )
    )


async def _set_profile(at: Runtime, user: str, fields: dict[str, object]) -> None:
    row = await accounts.user(at, user)
    query = {"id_utilisateur": user, "courriel": row["courriel"]}
    await at.mongo.set("UTILISATEUR", query, fields)


async def _update_credentials(at: Runtime, user: str, update: dict[str, object]) -> None:
    async def work() -> int:
        result = await at.mongo.of("IDENTIFIANT").update_one({"id_utilisateur": user}, update)
        return result.matched_count

    if not await at.mongo.write("ban", work, again=True):
        raise ApiError(problems.NOT_FOUND, "no such account")
