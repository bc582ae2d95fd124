"""Accounts as stored: who someone is (UTILISATEUR), and how they prove it (IDENTIFIANT)."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from skillswap_ops.services.auth.models import Registration
from skillswap_ops.services.base import passwords, problems
from skillswap_ops.services.base.models import now
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import Runtime

Document = dict[str, Any]
# A registration that a crash cut in two can be repeated for this long.
UNFINISHED = timedelta(hours=1)


async def register(at: Runtime, asked: Registration) -> Document:
    """A new user. Raises ApiError (409) where the e-mail has an account."""
    encoded = await passwords.hashed(asked.mot_de_passe)
    row: Document = {
        "id_utilisateur": str(uuid4()),
        "nom": asked.nom,
        "courriel": asked.courriel,
        "langue_preferee": asked.langue_preferee,
        "identite_verifiee": False,
        "reputation": 0.0,
        "score_fiabilite": 100.0,
        "roles": list(dict.fromkeys(asked.roles)),
        "cree_le": now(),
    }
    if not await at.mongo.insert("UTILISATEUR", row):
        row = await _unfinished(at, asked.courriel)
    credentials = {
        "id_utilisateur": row["id_utilisateur"],
        "empreinte": encoded,
        "maj_le": now(),
    }
    if not await at.mongo.insert("IDENTIFIANT", credentials):
        raise ApiError(problems.CONFLICT, "the e-mail has an account")
    return row


async def _unfinished(at: Runtime, courriel: str) -> Document:
    """The user whose registration got no further than their profile."""
    row = await at.mongo.find("UTILISATEUR", {"courriel": courriel})
    if row is None or row["cree_le"] < now() - UNFINISHED:
        raise ApiError(problems.CONFLICT, "the e-mail has an account")
    return row


async def user(at: Runtime, id_utilisateur: str) -> Document:
    """A user by id. Raises ApiError (404)."""
    row = await at.mongo.find("UTILISATEUR", {"id_utilisateur": id_utilisateur})
    if row is None:
        raise ApiError(problems.NOT_FOUND, "no such user")
    return row


async def by_password(at: Runtime, courriel: str, password: str) -> Document:
    """The user who logs in. Raises ApiError: 401 for a wrong pair, 403 for a banned account."""
    row = await at.mongo.find("UTILISATEUR", {"courriel": courriel})
    kept = await credentials(at, row["id_utilisateur"]) if row else None
    fits = await passwords.fits(password, kept["empreinte"] if kept else None)
    if row is None or kept is None or not fits or "suppression_le" in kept:
        raise ApiError(problems.WRONG_CREDENTIALS)
    refuse_banned(kept)
    if passwords.outdated(kept["empreinte"]):
        await set_password(at, row["id_utilisateur"], password)
    return row


async def credentials(at: Runtime, id_utilisateur: str) -> Document | None:
    """A user's IDENTIFIANT."""
    return await at.mongo.find("IDENTIFIANT", {"id_utilisateur": id_utilisateur})


async def set_password(at: Runtime, id_utilisateur: str, password: str) -> None:
    """Replace the password."""
    encoded = await passwords.hashed(password)
    fields = {"empreinte": encoded, "maj_le": now()}
    await at.mongo.set("IDENTIFIANT", {"id_utilisateur": id_utilisateur}, fields)


def refuse_banned(kept: Document) -> None:
    """Raises ApiError (403) while a ban lasts."""
    if "banni_le" not in kept:
        return
    until = kept.get("banni_jusqu_a")
    if until is None or until > now():
        raise ApiError(problems.BANNED, f"until {until.isoformat()}" if until else "for good")
