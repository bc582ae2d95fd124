"""The service groups."""

from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, BackgroundTasks, Query
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from skillswap_ops.services.base import events, paging, personal, problems
from skillswap_ops.services.base.access import User
from skillswap_ops.services.base.app import Definition
from skillswap_ops.services.base.models import Id, derived, now
from skillswap_ops.services.base.personal import Personal
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import At, Runtime
from skillswap_ops.services.groups.models import (
    Group,
    Groups,
    Member,
    Members,
    NewGroup,
    NewMember,
    NewTask,
    Task,
    TaskChange,
    Tasks,
    TaskStatus,
)

Document = dict[str, Any]
MOST_MEMBERS = 1_000
LEADERS = {"ANIMATEUR", "ADMIN"}

router = APIRouter(
    prefix="/groups", tags=["groups"], responses=problems.documented(*problems.AUTHENTICATED)
)
_FOUND = problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND)


@router.post("", status_code=HTTP_201_CREATED)
async def found(asked: NewGroup, at: At, who: User) -> Group:
    """Found a group; its founder leads it, with or without a row of membership."""
    row: Document = {
        "id_groupe": str(uuid4()),
        "id_admin": who.subject,
        **asked.model_dump(exclude_none=True),
        "cree_le": now(),
    }
    await at.mongo.insert("GROUPE", row)
    await _join(at, row["id_groupe"], who.subject, "ADMIN")
    return _group(row)


@router.get("")
async def newest(
    at: At,
    _who: User,
    curseur: Annotated[str | None, Query(max_length=200)] = None,
    limite: Annotated[int, Query(ge=1, le=paging.LARGEST)] = 20,
) -> Groups:
    """The public groups, newest first."""
    query: Document = {"visibilite": "PUBLIC"}
    if curseur:
        query |= paging.after(paging.parse(curseur), "cree_le", "id_groupe", newest_first=True)
    rows = await at.mongo.page("GROUPE", query, [("cree_le", -1), ("id_groupe", -1)], limite)
    return Groups(
        groupes=tuple(_group(row) for row in rows),
        suivant=paging.next_cursor(rows, limite, "cree_le", "id_groupe"),
    )


@router.get("/{id_groupe}", responses=_FOUND)
async def one(id_groupe: Id, at: At, who: User) -> Group:
    """A group; a private one for its members."""
    return _group((await _seen(at, id_groupe, who.subject))[0])


@router.get("/{id_groupe}/members", responses=_FOUND)
async def members(id_groupe: Id, at: At, who: User) -> Members:
    """Who is in a group."""
    await _seen(at, id_groupe, who.subject)
    rows = await at.mongo.page(
        "ADHESION_GROUPE", {"id_groupe": id_groupe}, [("id_utilisateur", 1)], MOST_MEMBERS
    )
    return Members(
        membres=tuple(Member(**{name: row[name] for name in Member.model_fields}) for row in rows)
    )


@router.put("/{id_groupe}/members/{user}", status_code=HTTP_204_NO_CONTENT, responses=_FOUND)
async def join(
    id_groupe: Id, user: Id, asked: NewMember, at: At, who: User, later: BackgroundTasks
) -> None:
    """Join a public group, or take somebody in as its leader; idempotent."""
    row, role = await _seen(at, id_groupe, who.subject)
    leads = role in LEADERS
    joins = user == who.subject and row["visibilite"] == "PUBLIC" and asked.role == "MEMBRE"
    if not (joins or leads) or (asked.role == "ADMIN" and who.subject != row["id_admin"]):
        raise ApiError(problems.FORBIDDEN, "only its leaders take others in")
    if await _join(at, id_groupe, user, asked.role):
        later.add_task(events.emit, at, "GROUPE_REJOINT", user, id_groupe)


@router.delete("/{id_groupe}/members/{user}", status_code=HTTP_204_NO_CONTENT, responses=_FOUND)
async def leave(id_groupe: Id, user: Id, at: At, who: User) -> None:
    """Leave, or put somebody out as the group's leader; its founder stays. Idempotent."""
    row, role = await _seen(at, id_groupe, who.subject)
    if user == row["id_admin"] or (user != who.subject and role not in LEADERS):
        raise ApiError(problems.FORBIDDEN, "not yours to put out")

    async def work() -> None:
        await at.mongo.of("ADHESION_GROUPE").delete_one(
            {"id_groupe": id_groupe, "id_utilisateur": user}
        )

    await at.mongo.write("leave group", work, again=True)


@router.post("/{id_groupe}/tasks", status_code=HTTP_201_CREATED, responses=_FOUND)
async def add_task(id_groupe: Id, asked: NewTask, at: At, who: User) -> Task:
    """Something to do; its leaders say what."""
    _, role = await _seen(at, id_groupe, who.subject)
    if role not in LEADERS:
        raise ApiError(problems.FORBIDDEN, "only its leaders add tasks")
    row: Document = {
        "id_tache": str(uuid4()),
        "id_groupe": id_groupe,
        **asked.model_dump(),
        "statut": "A_FAIRE",
    }
    await at.mongo.insert("TACHE", row)
    return _task(row)


@router.get("/{id_groupe}/tasks", responses=_FOUND)
async def tasks(id_groupe: Id, at: At, who: User, statut: TaskStatus = "A_FAIRE") -> Tasks:
    """What is to be done, the most urgent first; for members."""
    await _member(at, id_groupe, who.subject)
    query = {"id_groupe": id_groupe, "statut": statut}
    rows = await at.mongo.page("TACHE", query, [("echeance", 1)], paging.LARGEST)
    return Tasks(taches=tuple(_task(row) for row in rows))


@router.put("/{id_groupe}/tasks/{id_tache}/statut", responses=_FOUND)
async def change_task(id_groupe: Id, id_tache: Id, asked: TaskChange, at: At, who: User) -> Task:
    """Say how far it is; any member does."""
    await _member(at, id_groupe, who.subject)
    query = {"id_groupe": id_groupe, "id_tache": id_tache}
    row = await at.mongo.set("TACHE", query, {"statut": asked.statut})
    if row is None:
        raise ApiError(problems.NOT_FOUND, "no such task")
    return _task(row)


async def _seen(at: Runtime, id_groupe: str, user: str) -> tuple[Document, str | None]:
    """The group and the user's role in it. Raises ApiError (404) where they may not know of it."""
    row = await at.mongo.find("GROUPE", {"id_groupe": id_groupe})
    membership = await at.mongo.find(
        "ADHESION_GROUPE", {"id_groupe": id_groupe, "id_utilisateur": user}
    )
    if row and row["id_admin"] == user:
        return row, "ADMIN"
    if row is None or (row["visibilite"] == "PRIVE" and membership is None):
        raise ApiError(problems.NOT_FOUND, "no such group")
    return row, membership["role"] if membership else None


async def _member(at: Runtime, id_groupe: str, user: str) -> None:
    _, role = await _seen(at, id_groupe, user)
    if role is None:
        raise ApiError(problems.FORBIDDEN, "for members")


async def _join(at: Runtime, id_groupe: str, user: str, role: str) -> bool:
    """Whether it is new."""
    row = {
        "id_adhesion": derived("adhesion", id_groupe, user),
        "id_groupe": id_groupe,
        "id_utilisateur": user,
        "role": role,
        "rejoint_le": now(),
    }
    if await at.mongo.insert("ADHESION_GROUPE", row):
        return True
    query = {"id_groupe": id_groupe, "id_utilisateur": user}
    await at.mongo.set("ADHESION_GROUPE", query, {"role": role})
    return False


def _group(row: Document) -> Group:
    return Group(**{name: row[name] for name in Group.model_fields if name in row})


def _task(row: Document) -> Task:
    return Task(**{name: row[name] for name in Task.model_fields})


DEFINITION = Definition(
    name="groups",
    title="SkillSwap: groups and tasks",
    routers=(
        router,
        personal.router(
            Personal("ADHESION_GROUPE"),
            Personal("GROUPE", by=("id_admin",), keep="its members' record too"),
        ),
    ),
    needs=frozenset({"mongo"}),
)
