"""What a runbook is: the front matter and the steps of a page, validated once when it is loaded."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_ID = r"^[a-z][a-z0-9-]{0,40}$"
_ARGUMENT = r"^[a-z][a-z_]{0,20}$"
PATTERNS = {
    _ID: "lower-case letters, digits and hyphens, a letter first, 41 at most",
    _ARGUMENT: "lower-case letters and underscores, a letter first, 21 at most",
}

Id = Annotated[str, StringConstraints(pattern=_ID)]
ArgumentName = Annotated[str, StringConstraints(pattern=_ARGUMENT)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=400)]
Within = Annotated[float, Field(gt=0, le=7200)]
GO_ON, STOP = "go on", "stop"
GONE, ASK, REPEAT = "gone", "ask", "repeat"
# What a step may do beside commands, and the values that it takes: `runbooks.actions` does them.
ACTIONS = {
    "mongo-stepdown": ("shard",),
    "mongo-resync": ("member",),
    "mongo-unlock": ("member",),
    "pg-switchover": ("scope",),
    "pg-reinit": ("member",),
    "pg-resume": ("scope",),
    "pg-resume-replay": ("member",),
    "pg-end-idle": ("scope",),
    "pg-stop-member": ("member",),
    "restart-server": ("server",),
}


class Model(BaseModel):
    """Frozen, and no field that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Severity(StrEnum):
    """How bad it is, the worst first."""

    CRITICAL = "critical"  # something is not served, or data is in danger, now
    MAJOR = "major"  # all is served; one more fault, and it is not
    MINOR = "minor"  # it will be a fault if nobody does anything
    PLANNED = "planned"  # nothing is wrong: somebody wants a change

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Severity).index(self)


class SlaClock(StrEnum):
    """The promise of the topology that the clock on screen runs against."""

    MONGO_RTO = "mongo.rto"
    POSTGRES_RTO = "postgres.rto"
    NONE = "none"


class Scope(StrEnum):
    """How far a cause explains what else is seen."""

    SAME = "same"  # where an argument has the same value: the same member, the same scope
    GROUP = "group"  # in its own replica set, Patroni scope or fleet
    EVERYWHERE = "everywhere"


class Argument(Model):
    """What must be known to run it."""

    help: Line
    default: str | None = None
    choices: tuple[str, ...] = ()


class Symptom(Model):
    """Something that is seen of a kind of fact; each fact for which `when` holds is a finding.

    `arguments` fills the runbook's arguments from the fact's fields.
    """

    each: str
    when: Line
    evidence: Line
    arguments: dict[ArgumentName, str] = Field(default_factory=dict)
    severity: Severity | None = None


class Front(Model):
    """The front matter of a page. `not_local`: why the local target cannot have the condition."""

    id: Id
    title: Annotated[str, StringConstraints(min_length=4, max_length=80)]
    severity: Severity
    alerts: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]+$")], ...] = ()
    sla: SlaClock = SlaClock.NONE
    rights: Annotated[tuple[Line, ...], Field(min_length=1)]
    arguments: dict[ArgumentName, Argument] = Field(default_factory=dict)
    symptoms: tuple[Symptom, ...] = ()
    hides: dict[Id, Scope] = Field(default_factory=dict)
    not_local: Line | None = Field(default=None, alias="not local")


class IfItFails(Model):
    """What then: stop (the run waits, `resume` tries again), go on, or a step's id."""

    then: Line = STOP
    say: Line


class FactCheck(Model):
    """There is a fact of this kind for which `where` holds, and for all of these `holds` does."""

    each: str
    where: Line = "True"
    holds: Line


Check = Literal["gone"] | FactCheck
DoneWhen = Literal["gone", "ask", "repeat"] | FactCheck


class _Step(Model):
    id: Id
    if_it_fails: IfItFails = Field(alias="if it fails")


class Observe(_Step):
    """Look at something; what is seen is kept in the journal. It changes nothing."""

    step: Literal["observe"]
    run: Line


class Decide(_Step):
    """Ask the person. Each answer leads on, stops, or to a step."""

    step: Literal["decide"]
    ask: Line
    answers: Annotated[dict[str, Line], Field(min_length=1)]


class Do(_Step):
    """Change something: a command of this tool, or a named action.

    `done_when` says whether it is done already, and is looked at before: what is not needed is not
    done, and nothing is done twice after an interruption. `ask`: looking cannot tell, a person must
    say after an interruption; `repeat`: it may simply be run again. `safe`: `--yes` does it without
    asking.
    """

    step: Literal["do"]
    run: Line | None = None
    action: Id | None = None
    values: dict[ArgumentName, Line] = Field(default_factory=dict, alias="with")
    done_when: DoneWhen = Field(alias="done when")
    safe: bool = False
    within: Within = 600


class Wait(_Step):
    """Wait until a condition holds."""

    step: Literal["wait"]
    until: Check
    within: Within


class Verify(_Step):
    """A condition holds, or a command ends well."""

    step: Literal["verify"]
    that: Check | None = None
    run: Line | None = None
    within: Within = 30


Step = Annotated[Observe | Decide | Do | Wait | Verify, Field(discriminator="step")]


class StepBlock(Model):
    """A step as a page holds it; only to read one."""

    step: Step


class Titled(Model):
    """A step with its heading and the prose before it."""

    title: str
    prose: str
    step: Step


class Runbook(Model):
    """A whole page. `sections` are its texts by heading; `text` is the page as it was written."""

    front: Front
    steps: tuple[Titled, ...]
    sections: dict[str, str]
    text: str

    @property
    def id(self) -> str:
        """Its name."""
        return self.front.id

    def step(self, name: str) -> Titled:
        """The step of that id."""
        return next(each for each in self.steps if each.step.id == name)
