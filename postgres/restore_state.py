"""How far a restore in place has come: written down before each stage, gone when it is done."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from cluster.errors import RefusedError
from cluster.files import write_atomic
from cluster.layout import Layout


class Phase(StrEnum):
    """The stages, in order. Until PROMOTE nothing of the cluster was touched."""

    PREPARE = "prepare"  # beside the running cluster: files, replay to the target
    STOP = "stop"  # every member of every scope
    PROMOTE = "promote"  # the prepared data begins its new timeline, archived
    SWAP = "swap"  # it takes the place of the founder's
    LEAD = "lead"  # the founder leads again
    MEMBERS = "members"  # the others are made anew from it

    @property
    def touched(self) -> bool:
        """Whether the cluster is not what it was any more."""
        return self is not Phase.PREPARE


class Restoring(BaseModel):
    """A restore under way. `to` is what the command was given; the rest is its plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    to: str
    phase: Phase
    repository: int
    label: str
    timeline: int
    bytes_total: int
    began: datetime
    reached: datetime | None = None
    new_timeline: int | None = None
    remade: tuple[str, ...] = ()


def load(layout: Layout) -> Restoring | None:
    """The restore that is under way; None where there is none."""
    try:
        return Restoring.model_validate_json(_path(layout).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RefusedError(
            f"{_path(layout)} cannot be understood", "it says how far a restore in place has come"
        ) from error


def save(layout: Layout, restoring: Restoring) -> None:
    """Write it down, durably."""
    write_atomic(_path(layout), restoring.model_dump_json(indent=2), mode=0o644)


def done(layout: Layout) -> None:
    """It is over."""
    _path(layout).unlink(missing_ok=True)


def refuse_half_done(layout: Layout) -> None:
    """Raises RefusedError while a restore in place has begun to change the cluster."""
    found = load(layout)
    if found is not None and found.phase.touched:
        raise RefusedError(
            f"a restore of PostgreSQL to {found.to} is half done (at {found.phase})",
            f"finish it: `skillswap-ops restore pg --to '{found.to}' --in-place --yes`",
        )


def _path(layout: Layout) -> Path:
    return layout.root / "restore.json"
