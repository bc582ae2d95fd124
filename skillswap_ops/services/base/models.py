"""Types of requests and answers that several services use."""

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID, uuid5

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from cluster.schema.words import NAME, TEXT, UUID_PATTERN

# Ids that follow from what they stand for: a repeated request meets its own rows.
NAMESPACE = UUID("5e8a3a0e-8f5c-4d4e-9a51-6f1f5f0d9c55")

Id = Annotated[str, StringConstraints(pattern=UUID_PATTERN, max_length=36)]
Language = Literal["fr", "en"]


def _clean(text: str) -> str:
    """Raises ValueError for control characters, which PostgreSQL and terminals do not take."""
    if any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in text):
        raise ValueError("must not hold control characters")
    return text


# The pattern tells clients what `_clean` refuses, and refuses a text of nothing but spaces.
_PATTERN = (
    r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
)
Short = Annotated[
    str,
    StringConstraints(min_length=1, max_length=NAME, pattern=_PATTERN),
    AfterValidator(_clean),
]
Long = Annotated[
    str,
    StringConstraints(min_length=1, max_length=TEXT, pattern=_PATTERN),
    AfterValidator(_clean),
]
Place = Annotated[
    str,
    StringConstraints(min_length=1, max_length=500, pattern=_PATTERN),
    AfterValidator(_clean),
]


def _in_range(moment: datetime) -> datetime:
    utc = moment.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)  # what MongoDB keeps


Moment = Annotated[
    AwareDatetime,
    Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2100, 1, 1, tzinfo=UTC)),
    AfterValidator(_in_range),
]


class Request(BaseModel):
    """A body: an unknown field is refused, as MongoDB's validator would."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """What is sent back."""

    model_config = ConfigDict(frozen=True)


class Coordinates(Request):
    """A place on earth, in degrees."""

    longitude: Annotated[float, Field(strict=True, ge=-180, le=180, allow_inf_nan=False)]
    latitude: Annotated[float, Field(strict=True, ge=-90, le=90, allow_inf_nan=False)]

    def geojson(self) -> dict[str, object]:
        """RFC 7946: longitude first."""
        return {"type": "Point", "coordinates": [self.longitude, self.latitude]}


def now() -> datetime:
    """The present in UTC, to the millisecond that MongoDB keeps."""
    return _in_range(datetime.now(UTC))


def derived(*parts: str) -> str:
    """The id that follows from these parts."""
    return str(uuid5(NAMESPACE, "\x1f".join(parts)))
