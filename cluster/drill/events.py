"""What happened during a run, besides the operations."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from cluster.drill.contracts import Observation, UndoRecord


class Record(BaseModel):
    """A frozen value that is kept as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Phase(StrEnum):
    """The phases of a run, in order."""

    PREFLIGHT = "preflight"
    PREPARE = "prepare"
    BASELINE = "baseline"
    FAULT = "fault"
    RECOVERY = "recovery"
    UNDO = "undo"
    CONVERGENCE = "convergence"
    STOP = "stop load"
    READ_BACK = "read back"
    COLLECT = "collect evidence"
    END = "end"


class PhaseBegan(Record):
    """A phase has begun."""

    kind: Literal["phase"] = "phase"
    phase: Phase


class Unmet(Record):
    """A precondition was not met; nothing was broken."""

    kind: Literal["unmet"] = "unmet"
    precondition: str


class Versions(Record):
    """What ran."""

    kind: Literal["versions"] = "versions"
    versions: dict[str, str]


class Settings(Record):
    """The effective settings that the promise rests on."""

    kind: Literal["settings"] = "settings"
    when: Literal["before", "during", "after"]
    values: dict[str, str]


class LoadBegan(Record):
    """The first operations are due at `at_ns`."""

    kind: Literal["load began"] = "load began"
    at_ns: int


class LoadStopped(Record):
    """No operation is due at or after `until_ns`; `stuck` workers never came back."""

    kind: Literal["load stopped"] = "load stopped"
    until_ns: int
    stuck: int = 0


class RoundMissed(Record):
    """A soak's fault could not be done, for the cluster was not as it needs it; it goes on."""

    kind: Literal["round missed"] = "round missed"
    why: str


class RoundBegan(Record):
    """A soak's next fault is about to be injected, and stays for `hold` seconds.

    `seed` decided its targets (None: a version that did not say).
    """

    kind: Literal["round"] = "round"
    number: int
    name: str
    hold: float
    seed: int | None = None


class WorkFailed(Record):
    """Day-2 work was begun on a whole cluster, and did not end well."""

    kind: Literal["work failed"] = "work failed"
    work: str
    why: str


class Injecting(Record):
    """A fault is about to act; its undo is in the journal as `entry`."""

    kind: Literal["injecting"] = "injecting"
    entry: str
    fault: str
    undo: UndoRecord


class Injected(Record):
    """A fault was proved to have hit at `at_ns`; it began to act after `began_ns`."""

    kind: Literal["injected"] = "injected"
    entry: str
    fault: str
    began_ns: int
    at_ns: int
    proof: str


class Undoing(Record):
    """A fault is about to be undone."""

    kind: Literal["undoing"] = "undoing"
    entry: str
    fault: str


class Undone(Record):
    """A fault was undone."""

    kind: Literal["undone"] = "undone"
    entry: str
    fault: str


class UndoFailed(Record):
    """A fault could not be undone; it stays in the journal."""

    kind: Literal["undo failed"] = "undo failed"
    entry: str
    fault: str
    error: str


class Observed(Record):
    """A group changed, as seen by a sample that began at `began_ns` and ended at the event's time.

    `lasted` counts the samples that saw what was before. While more than one node leads, every
    sample is an event.
    """

    kind: Literal["observed"] = "observed"
    group: str
    began_ns: int
    lasted: int = 0
    observation: Observation


class Converged(Record):
    """The cluster is whole again; or it was not, `missing` says what, when time was up."""

    kind: Literal["converged"] = "converged"
    missing: str = ""


class AlertsWatched(Record):
    """The monitoring is up; these of its alerts the fault should fire, in so many seconds each."""

    kind: Literal["alerts watched"] = "alerts watched"
    expected: dict[str, float]


class AlertChanged(Record):
    """An alert fires now, or no more."""

    kind: Literal["alert"] = "alert"
    alert: str
    firing: bool


class ReasonSeen(Record):
    """The ledger's reason `code` stands for this text."""

    kind: Literal["reason"] = "reason"
    code: int
    text: str


class Stall(Record):
    """The harness itself stood still for `seconds` until the event's time."""

    kind: Literal["stall"] = "stall"
    source: str
    seconds: float


class Overload(Record):
    """Something had to wait for a processor in `share` of the `seconds` until the event's time."""

    kind: Literal["overload"] = "overload"
    share: float
    seconds: float


class ReadBack(Record):
    """A stream was read back whole, `rows` rows; with an `error` it was not."""

    kind: Literal["read back"] = "read back"
    stream: str
    rows: int = 0
    error: str = ""


class Interrupted(Record):
    """Someone stopped the run."""

    kind: Literal["interrupted"] = "interrupted"
    by: str


class Trouble(Record):
    """Something kept the run from answering its question."""

    kind: Literal["trouble"] = "trouble"
    what: str


class Note(Record):
    """Something worth knowing that changes no verdict."""

    kind: Literal["note"] = "note"
    text: str


Happening = Annotated[
    PhaseBegan
    | Unmet
    | Versions
    | Settings
    | LoadBegan
    | LoadStopped
    | RoundBegan
    | RoundMissed
    | WorkFailed
    | Injecting
    | Injected
    | Undoing
    | Undone
    | UndoFailed
    | Observed
    | Converged
    | AlertsWatched
    | AlertChanged
    | ReasonSeen
    | Stall
    | Overload
    | ReadBack
    | Interrupted
    | Trouble
    | Note,
    Field(discriminator="kind"),
]


class Event(Record):
    """A happening, when: monotonic ns, and the same instant in UTC."""

    ns: int
    utc: datetime
    what: Happening
