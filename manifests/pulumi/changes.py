"""What the engine does to an object, from its events; pure."""

from dataclasses import dataclass
from enum import StrEnum

from pulumi.automation import EngineEvent, OpType

OBJECT_TYPE = "kubernetes:"
SHOWN_FIELDS = 4


class Verb(StrEnum):
    """What happens to an object."""

    SAME = "same"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"


VERBS = {
    OpType.SAME: Verb.SAME,
    OpType.CREATE: Verb.CREATE,
    OpType.UPDATE: Verb.UPDATE,
    OpType.DELETE: Verb.DELETE,
    OpType.REPLACE: Verb.REPLACE,
    OpType.CREATE_REPLACEMENT: Verb.REPLACE,
    OpType.DELETE_REPLACED: Verb.REPLACE,
}


@dataclass(frozen=True)
class Change:
    """One object's part in an update. `key` is its name in Pulumi: the manifest's key.

    `fields` are those that differ; `over`: it is done, not about to be.
    """

    urn: str
    key: str
    verb: Verb
    fields: tuple[str, ...] = ()
    over: bool = False

    @property
    def why(self) -> str:
        """For a plan's line."""
        match self.verb:
            case Verb.CREATE:
                return "not there yet"
            case Verb.DELETE:
                return "not in the topology any more"
            case Verb.SAME:
                return "as rendered"
        more = len(self.fields) - SHOWN_FIELDS
        shown = ", ".join(self.fields[:SHOWN_FIELDS]) or "its content"
        return f"differs in {shown}" + (f" and {more} more" if more > 0 else "")


def change_of(event: EngineEvent) -> Change | None:
    """The change that an event is about; None for what is no object of ours."""
    pre, outputs = event.resource_pre_event, event.res_outputs_event
    metadata = pre.metadata if pre else outputs.metadata if outputs else None
    if metadata is None or not metadata.type.startswith(OBJECT_TYPE):
        return None
    verb = VERBS.get(metadata.op)
    if verb is None:
        return None
    fields = tuple(sorted(metadata.detailed_diff or {})) or tuple(metadata.diffs or ())
    return Change(metadata.urn, metadata.urn.rpartition("::")[2], verb, fields, outputs is not None)


def failure_of(event: EngineEvent) -> str:
    """What the engine says of an object that failed; empty where it says nothing."""
    said = event.diagnostic_event
    if said is None or said.severity != "error":
        return ""
    key = (said.urn or "").rpartition("::")[2]
    text = said.message.strip().splitlines()[0] if said.message.strip() else ""
    return f"{key}: {text}" if key else text
