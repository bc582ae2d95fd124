"""The service admin."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from cluster.schema.catalogue import BY_NAME
from skillswap_ops.services.auth.models import Email, Role
from skillswap_ops.services.base import models, paging, personal, problems
from skillswap_ops.services.base.access import Admin, Moderator, Service, User
from skillswap_ops.services.base.app import Definition
from skillswap_ops.services.base.models import Answer, Id, Long, Moment, now
from skillswap_ops.services.base.personal import Personal
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import At, Runtime

Document = dict[str, Any]
Motive = Literal["SPAM", "HARCELEMENT", "FRAUDE", "CONTENU_INAPPROPRIE", "AUTRE"]
ReportStatus = Literal["OUVERT", "EN_COURS", "TRAITE", "REJETE"]
Act = Literal["BANNIR", "LEVER_BANNISSEMENT", "CHANGER_ROLES", "TRAITER_SIGNALEMENT"]
Cursor = Annotated[str | None, Query(max_length=200)]
ADMINISTRATOR = "ADMIN"
Limit = Annotated[int, Query(ge=1, le=paging.LARGEST)]

reports = APIRouter(
    prefix="/reports", tags=["reports"], responses=problems.documented(*problems.AUTHENTICATED)
)
admin = APIRouter(
    prefix="/admin", tags=["admin"], responses=problems.documented(*problems.AUTHENTICATED)
)
internal = APIRouter(prefix="/internal", tags=["internal"])
_FOUND = problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND)


class NewReport(models.Request):
    """Whom somebody reports, and why."""

    id_cible: Id
    motif: Motive
    description: Long | None = None


class Report(Answer):
    """A report."""

    id_signalement: Id
    id_auteur: Id
    id_cible: Id
    motif: Motive
    description: str | None = None
    statut: ReportStatus
    cree_le: datetime


class Reports(Answer):
    """A page, newest first."""

    signalements: tuple[Report, ...]
    suivant: str | None


class Decision(models.Request):
    """What becomes of a report."""

    statut: Literal["EN_COURS", "TRAITE", "REJETE"]
    motif: Long | None = None


class NewBan(models.Request):
    """Why, and until when; without an end for good."""

    motif: Long
    jusqu_a: Moment | None = None


class NewRoles(models.Request):
    """The roles that a user is to have, and why."""

    roles: Annotated[tuple[Role, ...], Field(min_length=1, max_length=6)]
    motif: Long


class NewAdministrator(models.Request):
    """Who is to be an administrator, and why."""

    courriel: Email
    motif: Long


class Administrator(Answer):
    """An administrator. `ajoute` is false where they were one before."""

    id_utilisateur: Id
    ajoute: bool


class Entry(Answer):
    """Who did what to whom. `abouti` is false where it was begun and did not get through.

    Without `id_acteur` it was the operator, at the command line.
    """

    id_audit: Id
    id_acteur: Id | None = None
    action: Act
    id_cible: Id
    motif: str | None = None
    abouti: bool
    cree_le: datetime


class Journal(Answer):
    """A page, newest first."""

    entrees: tuple[Entry, ...]
    suivant: str | None


@reports.post(
    "",
    status_code=HTTP_201_CREATED,
    responses=problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND),
)
async def report(asked: NewReport, at: At, who: User) -> Report:
    """Report a user to the moderators."""
    await _require_user(at, asked.id_cible)
    row: Document = {
        "id_signalement": str(uuid4()),
        "id_auteur": who.subject,
        **asked.model_dump(exclude_none=True),
        "statut": "OUVERT",
        "cree_le": now(),
    }
    await at.mongo.insert("SIGNALEMENT", row)
    return _report(row)


@admin.get("/reports")
async def queue(
    at: At,
    _who: Moderator,
    statut: ReportStatus = "OUVERT",
    curseur: Cursor = None,
    limite: Limit = 20,
) -> Reports:
    """The reports in a status, newest first."""
    rows, following = await _page(at, "SIGNALEMENT", {"statut": statut}, curseur, limite)
    return Reports(signalements=tuple(_report(row) for row in rows), suivant=following)


@admin.put(
    "/reports/{id_signalement}/statut",
    responses=problems.documented(
        *problems.AUTHENTICATED, problems.NOT_FOUND, problems.WRONG_STATE
    ),
)
async def decide(id_signalement: Id, asked: Decision, at: At, who: Moderator) -> Report:
    """Take a report up, or close it; asking for the status that it has is not an error."""
    row = await at.mongo.find("SIGNALEMENT", {"id_signalement": id_signalement})
    if row is None:
        raise ApiError(problems.NOT_FOUND, "no such report")
    if row["statut"] == asked.statut:
        return _report(row)
    if asked.statut not in _AFTER[row["statut"]]:
        raise ApiError(problems.WRONG_STATE, f"{row['statut']} to {asked.statut}")
    audit = await _audit(at, who.subject, "TRAITER_SIGNALEMENT", row["id_cible"], asked.motif)
    query = {"id_signalement": id_signalement, "statut": row["statut"]}
    changed = await at.mongo.set("SIGNALEMENT", query, {"statut": asked.statut})
    if changed is None:
        raise ApiError(problems.WRONG_STATE, "somebody else changed it meanwhile")
    await _done(at, audit)
    return _report(changed)


@admin.put("/users/{user}/ban", status_code=HTTP_204_NO_CONTENT, responses=_FOUND)
async def ban(user: Id, asked: NewBan, at: At, who: Moderator) -> None:
    """Ban a user: log-in and refresh refuse at once, the gateway within seconds."""
    await _require_user(at, user)
    audit = await _audit(at, who.subject, "BANNIR", user, asked.motif)
    body = {"jusqu_a": asked.jusqu_a.isoformat() if asked.jusqu_a else None}
    await _auth(at, "PUT", f"/internal/users/{user}/ban", body)
    await _done(at, audit)


@admin.delete("/users/{user}/ban", status_code=HTTP_204_NO_CONTENT, responses=_FOUND)
async def unban(user: Id, at: At, who: Moderator) -> None:
    """Lift a ban; idempotent."""
    await _require_user(at, user)
    audit = await _audit(at, who.subject, "LEVER_BANNISSEMENT", user, None)
    await _auth(at, "DELETE", f"/internal/users/{user}/ban", None)
    await _done(at, audit)


@admin.put("/users/{user}/roles", status_code=HTTP_204_NO_CONTENT, responses=_FOUND)
async def change_roles(user: Id, asked: NewRoles, at: At, who: Admin) -> None:
    """Give a user these roles and no others; administrators only."""
    await _require_user(at, user)
    audit = await _audit(at, who.subject, "CHANGER_ROLES", user, asked.motif)
    await _auth(at, "PUT", f"/internal/users/{user}/roles", {"roles": list(asked.roles)})
    await _done(at, audit)


@internal.put("/administrators", responses=_FOUND)
async def grant(asked: NewAdministrator, at: At, _who: Service) -> Administrator:
    """Make a user an administrator, beside their other roles; for the operator. Idempotent.

    Somebody must be the first one, whom no administrator can have named.
    """
    body = {"courriel": asked.courriel}
    found = await at.upstreams.call("auth", "POST", "/internal/user-by-email", body=body)
    if found is None:
        raise ApiError(problems.NOT_FOUND, "no account has this e-mail")
    user, roles = str(found["id_utilisateur"]), list(found["roles"])
    if ADMINISTRATOR in roles:
        return Administrator(id_utilisateur=user, ajoute=False)
    audit = await _audit(at, None, "CHANGER_ROLES", user, asked.motif)
    await _auth(at, "PUT", f"/internal/users/{user}/roles", {"roles": [*roles, ADMINISTRATOR]})
    await _done(at, audit)
    return Administrator(id_utilisateur=user, ajoute=True)


@admin.get("/audit")
async def journal(
    at: At,
    _who: Admin,
    id_cible: Id | None = None,
    curseur: Cursor = None,
    limite: Limit = 20,
) -> Journal:
    """Who did what, newest first."""
    query = {"id_cible": id_cible} if id_cible else {}
    rows, following = await _page(at, "JOURNAL_AUDIT", query, curseur, limite)
    shown = Entry.model_fields
    entries = tuple(Entry(**{name: row[name] for name in shown if name in row}) for row in rows)
    return Journal(entrees=entries, suivant=following)


def _after() -> dict[str, tuple[str, ...]]:
    states = BY_NAME["SIGNALEMENT"].states
    if states is None:
        raise LookupError("SIGNALEMENT declares no states")
    return dict(states.after)


_AFTER = _after()


def _report(row: Document) -> Report:
    return Report(**{name: row[name] for name in Report.model_fields if name in row})


async def _page(
    at: Runtime, entity: str, query: Document, cursor: str | None, limit: int
) -> tuple[list[Document], str | None]:
    key = BY_NAME[entity].key
    wanted = dict(query)
    if cursor:
        wanted |= paging.after(paging.parse(cursor), "cree_le", key, newest_first=True)
    rows = await at.mongo.page(entity, wanted, [("cree_le", -1), (key, -1)], limit)
    return rows, paging.next_cursor(rows, limit, "cree_le", key)


async def _require_user(at: Runtime, user: str) -> None:
    if await at.upstreams.call("auth", "GET", f"/internal/users/{user}") is None:
        raise ApiError(problems.NOT_FOUND, "no such user")


async def _auth(at: Runtime, method: str, path: str, body: Document | None) -> None:
    if await at.upstreams.call("auth", method, path, body=body) is None:
        raise ApiError(problems.NOT_FOUND, "the user has no account that could be changed")


async def _audit(at: Runtime, actor: str | None, act: Act, target: str, motive: str | None) -> str:
    """Write down what is about to be done: an act that nobody recorded cannot happen."""
    own_id = str(uuid4())
    row: Document = {
        "id_audit": own_id,
        **({"id_acteur": actor} if actor else {}),
        "action": act,
        "id_cible": target,
        "abouti": False,
        "cree_le": now(),
    }
    await at.mongo.insert("JOURNAL_AUDIT", row | ({"motif": motive} if motive else {}))
    return own_id


async def _done(at: Runtime, id_audit: str) -> None:
    await at.mongo.set("JOURNAL_AUDIT", {"id_audit": id_audit}, {"abouti": True})


DEFINITION = Definition(
    name="admin",
    title="SkillSwap: administration and moderation",
    routers=(
        reports,
        admin,
        internal,
        personal.router(
            Personal("SIGNALEMENT", by=("id_auteur", "id_cible"), blank={"description": None}),
            Personal(
                "JOURNAL_AUDIT",
                by=("id_acteur", "id_cible"),
                keep="proof of what moderators did; it names nobody but by id",
            ),
        ),
    ),
    needs=frozenset({"mongo"}),
)
