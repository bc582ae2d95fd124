"""Which services are deployed, in which revisions: the state file, read and written whole.

A revision says what an instance runs: an image, and the settings that differ from the default.
`Releases.change` is a rollout under way: it is written before anything is touched, and taken away
once every service is what it should be, so that a killed command leaves word of what it was at.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from cluster.errors import InvalidInputError
from cluster.files import write_atomic
from manifests.services.model import Model, Name, Stage

Value = str | int | float | bool | None | tuple[str, ...]
KEPT = 10  # revisions a service that are remembered, and can be gone back to


class Outcome(StrEnum):
    """What became of a revision."""

    PENDING = "pending"
    LIVE = "live"  # it is, or was, what the service ran
    FAILED = "failed"  # it never got ready, or was given up with another service


class Revision(Model):
    """What an instance runs. `source` is where the image came from; `settings` by dotted path."""

    number: int = Field(ge=1)
    version: str
    source: str
    python: str
    settings: dict[str, Value] = Field(default_factory=dict)
    replicas: int = Field(ge=1)
    made_at: datetime
    outcome: Outcome = Outcome.PENDING
    why: str = ""


class Release(Model):
    """A service: how many instances, the revision that is live, and the one that is coming."""

    replicas: int = Field(ge=1, le=16)
    current: int | None = None
    goal: int | None = None
    revisions: tuple[Revision, ...] = ()

    def revision(self, number: int | None) -> Revision | None:
        """A revision by number; None where it is None, or forgotten."""
        return next((each for each in self.revisions if each.number == number), None)


class Change(Model):
    """A rollout under way, service after service. `failed` says why, by service.

    Where it is `whole`, one failure sends every service of it back.
    """

    what: str
    services: tuple[Name, ...]
    whole: bool = True
    failed: dict[Name, str] = Field(default_factory=dict)


class Releases(Model):
    """All that is deployed; `upto` is the stage, None where nothing is."""

    version: Literal[1] = 1
    upto: Stage | None = None
    services: dict[Name, Release] = Field(default_factory=dict)
    change: Change | None = None

    @property
    def replicas(self) -> Mapping[str, int]:
        """How many instances of each service."""
        return {name: release.replicas for name, release in self.services.items()}

    def wanted(self, service: str) -> Revision | None:
        """What the service should run now; None: nothing."""
        release, change = self.services[service], self.change
        if change is None or service not in change.services:
            return release.revision(release.current)
        back = bool(change.failed) if change.whole else service in change.failed
        return release.revision(release.current if back else release.goal)

    @property
    def versions(self) -> Iterable[str]:
        """The versions of every remembered revision."""
        return {
            revision.version for release in self.services.values() for revision in release.revisions
        }


NOTHING = Releases()


def load(path: Path) -> Releases:
    """What is deployed. Raises InvalidInputError where the file was damaged."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return NOTHING
    try:
        return Releases.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidInputError(
            f"{path} is damaged: {where}: {first['msg']}",
            "put it back from a copy, or remove it and deploy again",
        ) from error


def save(path: Path, releases: Releases) -> None:
    """Write what is deployed, in one step."""
    write_atomic(path, releases.model_dump_json(indent=2), mode=0o600)
