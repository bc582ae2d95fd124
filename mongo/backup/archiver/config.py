"""The archiver's configuration file: JSON, readable to its user alone, for it holds secrets."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cluster.errors import InvalidInputError
from mongo.backup.settings import Place
from mongo.backup.stamps import Stamp

CONFIG = "archiver.json"
STATE = "state.json"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Followed(_Model):
    """A replica set whose oplog is archived."""

    name: str
    hosts: Annotated[tuple[str, ...], Field(min_length=1)]


class ArchiverConfig(_Model):
    """What to follow, as whom, and where to put it; `slice` is in seconds."""

    sets: tuple[Followed, ...]
    user: str
    password: str
    slice: float
    place: Place
    state: Path
    trust: str = ""  # the file by which the sets' members are verified; empty: no TLS


class SetState(_Model):
    """How far the archive of a set is; what `status` shows.

    All that was written before `covered` is in the archive. `trouble` is what keeps it from going
    on, `gap` what was lost, as long as it lasts.
    """

    last: Stamp
    covered: datetime
    trouble: str = ""
    gap: str = ""


class State(_Model):
    """Of every set, by name."""

    history: int
    sets: dict[str, SetState]


def load(path: Path) -> ArchiverConfig:
    """The configuration in a file. Raises InvalidInputError."""
    try:
        return ArchiverConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidInputError(f"{path}: {field}: {first['msg']}") from error
