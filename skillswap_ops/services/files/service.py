"""The service files.

Bytes never pass through here: a client gets a signed link to the object store. A file is given to
anybody only when a virus scanner, which is not ours, has called it clean.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import uuid4

from fastapi import APIRouter, Query
from pydantic import Field, model_validator
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from skillswap_ops.services.base import models, paging, problems
from skillswap_ops.services.base.access import Service, User
from skillswap_ops.services.base.app import Definition
from skillswap_ops.services.base.models import Answer, Id, now
from skillswap_ops.services.base.personal import Export, public
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import At, Runtime
from skillswap_ops.services.stores.s3 import LINK_SECONDS

Document = dict[str, Any]
Type = Literal["IMAGE", "VIDEO", "AUDIO", "DOCUMENT"]
Scan = Literal["EN_ATTENTE", "SAIN", "INFECTE"]
MediaType = Literal[
    "image/jpeg", "image/png", "image/webp", "video/mp4", "audio/ogg", "audio/mpeg",
    "application/pdf",
]  # fmt: skip
OF_TYPE: dict[str, tuple[str, ...]] = {
    "IMAGE": ("image/",),
    "VIDEO": ("video/",),
    "AUDIO": ("audio/",),
    "DOCUMENT": ("application/pdf",),
}
VIDEO_SECONDS = 30  # TP1 §3: "mini-vidéo (≤30 s)"
LARGEST = 30 * 1024 * 1024
MOST_FILES = 10_000

router = APIRouter(
    prefix="/files", tags=["files"], responses=problems.documented(*problems.AUTHENTICATED)
)
internal = APIRouter(prefix="/internal", tags=["internal"])
_FOUND = problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND)


class NewFile(models.Request):
    """What is going to be sent."""

    type: Type
    type_media: MediaType
    taille_octets: Annotated[int, Field(strict=True, ge=1, le=LARGEST)]
    duree_s: Annotated[float, Field(strict=True, ge=0, le=24 * 3600)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.type_media.startswith(OF_TYPE[self.type]):
            raise ValueError("type_media does not fit type")
        if self.type == "VIDEO" and (self.duree_s is None or self.duree_s > VIDEO_SECONDS):
            raise ValueError(f"a video has a duree_s of {VIDEO_SECONDS} s at most")
        return self


class File(Answer):
    """What is known about a file."""

    id_media: Id
    id_utilisateur: Id
    type: Type
    taille_octets: int
    duree_s: float | None = None
    analyse_antivirus: Scan
    cree_le: datetime


class Upload(Answer):
    """Where to PUT the bytes, with the declared Content-Type, within `expire_dans` seconds."""

    fichier: File
    lien: str
    expire_dans: int = LINK_SECONDS


class Link(Answer):
    """Where to GET the bytes, within `expire_dans` seconds."""

    lien: str
    expire_dans: int = LINK_SECONDS


class Files(Answer):
    """A page, newest first."""

    fichiers: tuple[File, ...]
    suivant: str | None


class Scanned(models.Request):
    """What the scanner found."""

    resultat: Literal["SAIN", "INFECTE"]


@router.post("", status_code=HTTP_201_CREATED)
async def announce(asked: NewFile, at: At, who: User) -> Upload:
    """Announce a file, and get the link to send it to."""
    own_id = str(uuid4())
    row: Document = {
        "id_media": own_id,
        "id_utilisateur": who.subject,
        "type": asked.type,
        "cle_objet": f"{who.subject}/{own_id}",
        "taille_octets": asked.taille_octets,
        "analyse_antivirus": "EN_ATTENTE",
        "cree_le": now(),
    }
    await at.mongo.insert(
        "MEDIA", row | ({"duree_s": asked.duree_s} if asked.duree_s is not None else {})
    )
    link = at.s3.upload_link(row["cle_objet"], asked.type_media, asked.taille_octets)
    return Upload(fichier=_file(row), lien=link)


@router.get("")
async def own(
    at: At,
    who: User,
    curseur: Annotated[str | None, Query(max_length=200)] = None,
    limite: Annotated[int, Query(ge=1, le=paging.LARGEST)] = 20,
) -> Files:
    """One's files, newest first."""
    query: Document = {"id_utilisateur": who.subject}
    if curseur:
        query |= paging.after(paging.parse(curseur), "cree_le", "id_media", newest_first=True)
    rows = await at.mongo.page("MEDIA", query, [("cree_le", -1), ("id_media", -1)], limite)
    return Files(
        fichiers=tuple(_file(row) for row in rows),
        suivant=paging.next_cursor(rows, limite, "cree_le", "id_media"),
    )


@router.get("/{id_media}", responses=_FOUND)
async def one(id_media: Id, at: At, _who: User) -> File:
    """What is known about a file."""
    return _file(await _find(at, id_media))


@router.get(
    "/{id_media}/lien",
    responses=problems.documented(
        *problems.AUTHENTICATED, problems.NOT_FOUND, problems.WRONG_STATE
    ),
)
async def link(id_media: Id, at: At, _who: User) -> Link:
    """A link to the bytes, once the scanner has called them clean."""
    row = await _find(at, id_media)
    if row["analyse_antivirus"] != "SAIN":
        raise ApiError(problems.WRONG_STATE, f"the file is {row['analyse_antivirus']}")
    return Link(lien=at.s3.download_link(row["cle_objet"]))


@router.delete("/{id_media}", status_code=HTTP_204_NO_CONTENT, responses=_FOUND)
async def remove(id_media: Id, at: At, who: User) -> None:
    """Remove one of one's own: the bytes first, so that none are left that nobody knows of."""
    row = await _find(at, id_media)
    if row["id_utilisateur"] != who.subject:
        raise ApiError(problems.NOT_FOUND, "no such file of yours")
    await _remove(at, row)


@internal.put(
    "/files/{id_media}/analyse",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems.documented(
        *problems.AUTHENTICATED, problems.NOT_FOUND, problems.WRONG_STATE
    ),
)
async def scanned(id_media: Id, asked: Scanned, at: At, _who: Service) -> None:
    """The scanner's result; infected bytes are removed. Idempotent."""
    row = await _find(at, id_media)
    size = await at.s3.size(row["cle_objet"])
    if asked.resultat == "SAIN" and size != row["taille_octets"]:
        raise ApiError(problems.WRONG_STATE, f"the object has {size} bytes")
    if asked.resultat == "INFECTE":
        await at.s3.delete(row["cle_objet"])
    query = {"id_utilisateur": row["id_utilisateur"], "id_media": id_media}
    await at.mongo.set("MEDIA", query, {"analyse_antivirus": asked.resultat})


@internal.get("/personal/{user}", responses=problems.documented(*problems.AUTHENTICATED))
async def export(user: Id, at: At, _who: Service) -> Export:
    """Everything about a person; the bytes are had by `lien`."""
    return Export(lignes={"MEDIA": [public(row) for row in await _of(at, user)]})


@internal.delete(
    "/personal/{user}",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems.documented(*problems.AUTHENTICATED),
)
async def forget(user: Id, at: At, _who: Service) -> None:
    """Remove it, bytes and all; idempotent."""
    for row in await _of(at, user):
        await _remove(at, row)


async def _of(at: Runtime, user: str) -> list[Document]:
    return await at.mongo.page("MEDIA", {"id_utilisateur": user}, [("cree_le", -1)], MOST_FILES)


async def _remove(at: Runtime, row: Document) -> None:
    await at.s3.delete(row["cle_objet"])
    query = {"id_utilisateur": row["id_utilisateur"], "id_media": row["id_media"]}

    async def work() -> None:
        await at.mongo.of("MEDIA").delete_one(query)

    await at.mongo.write("delete MEDIA", work, again=True)


async def _find(at: Runtime, id_media: str) -> Document:
    row = await at.mongo.find("MEDIA", {"id_media": id_media})
    if row is None:
        raise ApiError(problems.NOT_FOUND, "no such file")
    return row


def _file(row: Document) -> File:
    return File(**{name: row[name] for name in File.model_fields if name in row})


DEFINITION = Definition(
    name="files",
    title="SkillSwap: files",
    routers=(router, internal),
    needs=frozenset({"mongo", "s3"}),
)
