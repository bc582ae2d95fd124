"""Requests and answers of auth & users."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from skillswap_ops.services.base.models import (
    Answer,
    Coordinates,
    Id,
    Language,
    Long,
    Moment,
    Request,
    Short,
)

Role = Literal["APPRENANT", "ENSEIGNANT", "MENTOR", "ADMIN_GROUPE", "MODERATEUR", "ADMIN"]
Email = Annotated[
    str,
    StringConstraints(
        min_length=5, max_length=254, pattern=r"^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+$"
    ),
    AfterValidator(str.lower),
]
# NIST SP 800-63B: length decides, not kinds of characters; the upper bound keeps hashing cheap.
Password = Annotated[str, StringConstraints(min_length=10, max_length=128)]
PhotoUrl = Annotated[
    str, StringConstraints(max_length=500, pattern=r"^https://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]+$")
]
RefreshToken = Annotated[
    str, StringConstraints(max_length=200, pattern=r"^[0-9a-f-]{36}\.[A-Za-z0-9_-]{43}$")
]


class Registration(Request):
    """A new account. `consentement` is to the processing of one's data (RGPD, art. 6)."""

    nom: Short
    courriel: Email
    mot_de_passe: Password
    langue_preferee: Language = "fr"
    roles: Annotated[
        tuple[Literal["APPRENANT", "ENSEIGNANT"], ...], Field(min_length=1, max_length=2)
    ] = ("APPRENANT",)
    consentement: Literal[True]


class Login(Request):
    """E-mail and password."""

    courriel: Email
    mot_de_passe: Annotated[str, StringConstraints(max_length=128)]


class ByEmail(Request):
    """Whose account is looked for; in a body, since URLs are logged."""

    courriel: Email


class Refresh(Request):
    """A refresh token; it is good once."""

    refresh_token: RefreshToken


class PasswordChange(Request):
    """The old password and the new one."""

    ancien: Annotated[str, StringConstraints(max_length=128)]
    nouveau: Password


class TokenPair(Answer):
    """What a log-in gives; `expires_in` is in seconds."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the scheme's name
    expires_in: int
    refresh_token: str
    id_utilisateur: Id


class Changes(Request):
    """What a user changes of their profile; what is left out stays."""

    nom: Short | None = None
    biographie: Long | None = None
    url_photo: PhotoUrl | None = None
    langue_preferee: Language | None = None
    localisation: Coordinates | None = None


class Profile(Answer):
    """What everybody sees of a user; the place is rounded to about a kilometre."""

    id_utilisateur: Id
    nom: str
    url_photo: str | None = None
    biographie: str | None = None
    langue_preferee: Language
    identite_verifiee: bool
    reputation: float
    score_fiabilite: float
    roles: tuple[Role, ...]
    localisation: dict[str, object] | None = None
    cree_le: datetime


class OwnProfile(Profile):
    """What a user sees of themselves."""

    courriel: str


class Reputation(Request):
    """What the reviews add up to."""

    reputation: Annotated[float, Field(strict=True, ge=0, le=5)]


class Roles(Request):
    """The roles that a user is to have."""

    roles: Annotated[tuple[Role, ...], Field(min_length=1, max_length=6)]


class Ban(Request):
    """Until when; without it for good."""

    jusqu_a: Moment | None = None


class Barred(Answer):
    """Users whose access tokens may still be running and are not to be honoured."""

    ids: tuple[Id, ...]


class Everything(Answer):
    """All that is stored about a user, by service and entity."""

    donnees: dict[str, dict[str, list[dict[str, object]]]]


APPROXIMATE = 2  # decimals of a degree: about a kilometre (TP1 §3: "localisation approximative")


def profile(row: dict[str, Any]) -> Profile:
    """A stored user as others see them."""
    place = row.get("localisation")
    if place:
        rounded = [round(degrees, APPROXIMATE) for degrees in place["coordinates"]]
        place = {"type": "Point", "coordinates": rounded}
    fields = {name: row[name] for name in Profile.model_fields if name in row}
    return Profile(**{**fields, "localisation": place})


def own(row: dict[str, Any]) -> OwnProfile:
    """A stored user as they see themselves."""
    return OwnProfile(**{name: row[name] for name in OwnProfile.model_fields if name in row})
