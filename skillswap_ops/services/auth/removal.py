"""RGPD: everything about a person, and its removal, which a crash does not stop.

The request is a mark in IDENTIFIANT, written by a majority before it is answered. A loop of every
auth instance then asks each service to remove its part, blanks the profile and takes the mark
away; each of it can be done twice. The profile's id stays, because other people's sessions and
reviews, and accounting records, refer to it.
"""

from datetime import timedelta
from typing import Any

from skillswap_ops.services.auth import accounts, logins
from skillswap_ops.services.base import problems
from skillswap_ops.services.base.models import now
from skillswap_ops.services.base.personal import public
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import Runtime

NAMELESS = "Utilisateur supprimé"
NO_PASSWORD = "!"  # noqa: S105 - as in shadow(5): no password fits
OWN = ("LIEN_IDENTITE", "VERIF_TELEPHONE")
AT_ONCE = 20  # accounts a round
Rows = dict[str, list[dict[str, object]]]


async def everything(at: Runtime, user: str) -> dict[str, Rows]:
    """What every service stores about a person. Raises UnavailableError where one is silent."""
    found: dict[str, Rows] = {"auth": {"UTILISATEUR": [public(await accounts.user(at, user))]}}
    for entity in OWN:
        rows = await at.mongo.page(entity, {"id_utilisateur": user}, [("_id", 1)], 1000)
        found["auth"][entity] = [public(row) for row in rows]
    for service in at.settings.upstreams:
        answer = await at.upstreams.call(service, "GET", f"/internal/personal/{user}")
        if answer:
            found[service] = answer["lignes"]
    return found


async def begin(at: Runtime, user: str) -> None:
    """Close the account and remember that the rest is to be removed."""
    marked = await at.mongo.set(
        "IDENTIFIANT", {"id_utilisateur": user}, {"suppression_le": now(), "empreinte": NO_PASSWORD}
    )
    if marked is None:
        raise ApiError(problems.NOT_FOUND, "no such account")
    await logins.end(at, {"id_utilisateur": user})


async def go_on(at: Runtime) -> None:
    """Finish the removals that were begun; those whose services are down wait."""
    marked = await at.mongo.page(
        "IDENTIFIANT", {"suppression_le": {"$gt": EVER}}, [("suppression_le", 1)], AT_ONCE
    )
    for row in marked:
        await _remove(at, row["id_utilisateur"])


EVER = now() - timedelta(days=36_500)


async def _remove(at: Runtime, user: str) -> None:
    for service in at.settings.upstreams:
        await at.upstreams.call(service, "DELETE", f"/internal/personal/{user}")
    for entity in OWN:
        await _delete(at, entity, user)
    await _blank_profile(at, user)
    await _unmark(at, user)


async def _delete(at: Runtime, entity: str, user: str) -> None:
    async def work() -> None:
        await at.mongo.of(entity).delete_many({"id_utilisateur": user})

    await at.mongo.write(f"remove {entity}", work, again=True)


async def _blank_profile(at: Runtime, user: str) -> None:
    row = await accounts.user(at, user)
    query = {"id_utilisateur": user, "courriel": row["courriel"]}
    update: dict[str, Any] = {
        "$set": {"nom": NAMELESS, "courriel": f"{user}@supprime.invalid", "roles": ["APPRENANT"]},
        "$unset": {"url_photo": "", "biographie": "", "localisation": ""},
    }

    async def work() -> None:
        await at.mongo.of("UTILISATEUR").update_one(query, update)

    await at.mongo.write("blank UTILISATEUR", work, again=True)


async def _unmark(at: Runtime, user: str) -> None:
    """What is left keeps the access tokens that are still running from being honoured."""

    async def work() -> None:
        await at.mongo.of("IDENTIFIANT").update_one(
            {"id_utilisateur": user},
            {"$set": {"banni_le": now()}, "$unset": {"suppression_le": ""}},
        )

    await at.mongo.write("end removal", work, again=True)
