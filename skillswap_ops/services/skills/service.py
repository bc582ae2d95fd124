"""The service skills."""

from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Query
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from skillswap_ops.services.base import personal, problems
from skillswap_ops.services.base.access import User
from skillswap_ops.services.base.app import Definition
from skillswap_ops.services.base.models import Id
from skillswap_ops.services.base.personal import Personal
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import At, Runtime
from skillswap_ops.services.skills import matching
from skillswap_ops.services.skills.models import (
    LARGEST,
    Filters,
    Matches,
    Near,
    Skill,
    Skills,
    StoredSkill,
    stored,
)

router = APIRouter(tags=["skills"], responses=problems.documented(*problems.AUTHENTICATED))
_ONE = problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND)


@router.post("/skills", status_code=HTTP_201_CREATED)
async def add(asked: Skill, at: At, who: User) -> StoredSkill:
    """Say what one teaches or wants to learn."""
    row = {
        "id_competence": str(uuid4()),
        "id_utilisateur": who.subject,
        **asked.model_dump(),
        "langues": list(dict.fromkeys(asked.langues)),
    }
    await at.mongo.insert("COMPETENCE", row)
    return stored(row)


@router.get("/skills")
async def search(filters: Annotated[Filters, Query()], at: At, _who: User) -> Skills:
    """Skills by words, type, level and language."""
    rows = await matching.search(at, filters, {})
    return Skills(competences=tuple(stored(row) for row in rows))


@router.get("/skills/users/{id_utilisateur}")
async def of_user(id_utilisateur: Id, at: At, _who: User) -> Skills:
    """A user's skills."""
    query = {"id_utilisateur": id_utilisateur}
    rows = await at.mongo.page("COMPETENCE", query, [("id_competence", 1)], LARGEST)
    return Skills(competences=tuple(stored(row) for row in rows))


@router.get("/skills/{id_competence}", responses=_ONE)
async def one(id_competence: Id, at: At, _who: User) -> StoredSkill:
    """One skill."""
    return stored(await _find(at, {"id_competence": id_competence}))


@router.put("/skills/{id_competence}", responses=_ONE)
async def change(id_competence: Id, asked: Skill, at: At, who: User) -> StoredSkill:
    """Change one of one's own; somebody else's is not found."""
    mine = {"id_competence": id_competence, "id_utilisateur": who.subject}
    fields = {**asked.model_dump(), "langues": list(dict.fromkeys(asked.langues))}
    row = await at.mongo.set("COMPETENCE", mine, fields)
    if row is None:
        raise ApiError(problems.NOT_FOUND, "no such skill of yours")
    return stored(row)


@router.delete("/skills/{id_competence}", status_code=HTTP_204_NO_CONTENT, responses=_ONE)
async def remove(id_competence: Id, at: At, who: User) -> None:
    """Remove one of one's own."""
    mine = {"id_competence": id_competence, "id_utilisateur": who.subject}

    async def work() -> int:
        return (await at.mongo.of("COMPETENCE").delete_one(mine)).deleted_count

    if not await at.mongo.write("delete COMPETENCE", work):
        raise ApiError(problems.NOT_FOUND, "no such skill of yours")


@router.get("/matches")
async def matches(wanted: Annotated[Near, Query()], at: At, who: User) -> Matches:
    """Who teaches it (or wants to learn it), near enough, best first."""
    return await matching.matches(at, wanted, who.subject)


async def _find(at: Runtime, query: dict[str, Any]) -> dict[str, Any]:
    row = await at.mongo.find("COMPETENCE", query)
    if row is None:
        raise ApiError(problems.NOT_FOUND, "no such skill")
    return row


DEFINITION = Definition(
    name="skills",
    title="SkillSwap: skills and matching",
    routers=(router, personal.router(Personal("COMPETENCE"))),
    needs=frozenset({"mongo"}),
)
