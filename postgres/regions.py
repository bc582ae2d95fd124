"""Which region leads: the state of a promotion or a failback, in the cluster's state folder.

The topology says who leads at rest. Whatever else is so was decided by a person with `dr promote`,
and is written down here before anything is done, so that every later command knows it, and a
command that was cut off can be gone on with. No file: all is as the topology says.
"""

from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from cluster.errors import RefusedError
from cluster.files import write_atomic
from cluster.layout import Layout


class Stage(StrEnum):
    """How far a round trip has come. *Home* is the topology's primary region, *away* the DR one."""

    HOME = "home"  # as the topology says
    PROMOTING = "promoting"  # home is being fenced, away is to take over
    AWAY = "away"  # away leads, nothing of home runs
    RETURNING = "returning"  # away leads, home is being re-made as its standby
    HANDOVER = "handover"  # away is stopped, home is to take over
    SETTLING = "settling"  # home leads, away is being re-made as its standby

    @property
    def away_leads(self) -> bool:
        """Whether the DR region's scope is the one that takes, or is about to take, the writes."""
        return self in {Stage.PROMOTING, Stage.AWAY, Stage.RETURNING}

    @property
    def resting(self) -> bool:
        """Whether no command is half done."""
        return self in {Stage.HOME, Stage.AWAY}

    @property
    def command(self) -> str:
        """What goes on from here."""
        return "dr promote" if self is Stage.PROMOTING else "dr failback"


class Loss(BaseModel):
    """What the DR region had not received when it was promoted.

    `received` and `sent` are LSNs: where its WAL ends, and where the old primary's does. `commits`
    and `bytes` are None where the old primary's disk could not be read; `seconds` is the time from
    the last transaction that was received to the last one that was not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    received: str
    received_at: datetime | None
    sent: str | None = None
    bytes: int | None = None
    commits: int | None = None
    seconds: float | None = None
    evidence: str = ""


class Regions(BaseModel):
    """The state; `remade` names the members whose data was emptied in this stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    stage: Stage = Stage.HOME
    since: datetime | None = None
    gone: bool = False
    loss: Loss | None = None
    remade: tuple[str, ...] = ()


def load(layout: Layout) -> Regions:
    """The state. Raises RefusedError where its file is damaged: nobody may guess who leads."""
    path = _path(layout)
    try:
        return Regions.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Regions()
    except ValueError as error:
        raise RefusedError(
            f"{path} cannot be understood", "it says which region leads: put it right by hand"
        ) from error


def save(layout: Layout, regions: Regions) -> None:
    """Write it down, durably; at home there is nothing to be written down."""
    if regions.stage is Stage.HOME:
        _path(layout).unlink(missing_ok=True)
    else:
        write_atomic(_path(layout), regions.model_dump_json(indent=2), mode=0o644)


def refuse_half_done(layout: Layout) -> None:
    """Raises RefusedError while a promotion or a failback is under way."""
    stage = load(layout).stage
    if not stage.resting:
        raise RefusedError(
            f"a change of the leading region is half done ({stage})",
            f"finish it: `skillswap-ops {stage.command} --yes`",
        )


def _path(layout: Layout) -> Path:
    return layout.root / "regions.json"
