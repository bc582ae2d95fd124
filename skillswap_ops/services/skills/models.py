"""Requests and answers of skills & matching."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from skillswap_ops.services.base.models import Answer, Id, Language, Request, Short

Type = Literal["ENSEIGNE", "APPREND"]
Level = Literal["DEBUTANT", "INTERMEDIAIRE", "AVANCE"]
LARGEST = 100
Words = Annotated[
    str, StringConstraints(min_length=2, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
]
Degrees = Annotated[float, Field(allow_inf_nan=False)]


class Skill(Request):
    """What someone teaches or wants to learn."""

    libelle: Short
    type: Type
    niveau: Level
    disponibilite: Short
    langues: Annotated[tuple[Language, ...], Field(min_length=1, max_length=2)]


class StoredSkill(Answer):
    """A skill, and whose it is."""

    id_competence: Id
    id_utilisateur: Id
    libelle: str
    type: Type
    niveau: Level
    disponibilite: str
    langues: tuple[Language, ...]


class Filters(Request):
    """What skills are looked for; every filter narrows."""

    mots: Words | None = None
    type: Type | None = None
    niveau: Level | None = None
    langue: Language | None = None
    limite: Annotated[int, Field(ge=1, le=LARGEST)] = 20

    def query(self) -> dict[str, Any]:
        """MongoDB's filter."""
        wanted: dict[str, Any] = {
            "type": self.type,
            "niveau": self.niveau,
            "langues": self.langue,
        }
        found = {name: value for name, value in wanted.items() if value is not None}
        return found | ({"$text": {"$search": self.mots}} if self.mots else {})


class Near(Filters):
    """Filters, and a place: the given one, else one's own profile's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Type | None = "ENSEIGNE"
    longitude: Annotated[Degrees, Field(ge=-180, le=180)] | None = None
    latitude: Annotated[Degrees, Field(ge=-90, le=90)] | None = None
    rayon_km: Annotated[Degrees, Field(gt=0, le=500)] | None = None

    @model_validator(mode="after")
    def _whole_place(self) -> Self:
        if (self.longitude is None) != (self.latitude is None):
            raise ValueError("longitude and latitude come together")
        return self


class Match(Answer):
    """A skill that fits, whose it is, and how far away (kilometres) where that is known."""

    competence: StoredSkill
    nom: str
    reputation: float
    distance_km: float | None


class Skills(Answer):
    """Skills, best first where words were given."""

    competences: tuple[StoredSkill, ...]


class Matches(Answer):
    """Matches, best first: by reputation, then by distance."""

    correspondances: tuple[Match, ...]


def stored(row: dict[str, Any]) -> StoredSkill:
    """A skill as it is sent."""
    return StoredSkill(**{name: row[name] for name in StoredSkill.model_fields})
