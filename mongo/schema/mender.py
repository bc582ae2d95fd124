"""Makes one collection what is declared: observes, does what is due, and observes again.

Online: writes go on during all of it. An index is built beside the writes (MongoDB's hybrid
builds), and a validator is tightened for new documents before the old ones are counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pymongo
from pymongo.client_session import ClientSession
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError
from pymongo.read_preferences import SecondaryPreferred

from cluster.clock import Clock
from cluster.errors import OpsError
from cluster.schema.types import Entity
from mongo.client import Client, as_ops_error
from mongo.outcomes import code_of
from mongo.schema import live
from mongo.schema.indexes import IndexSpec
from mongo.schema.moves import (
    Build,
    Change,
    Create,
    Drop,
    MakeUnique,
    Move,
    Stuck,
    Validate,
    moves,
)
from mongo.schema.validator import ACTION, LEVEL, validator

Document = dict[str, Any]

MAJORITY = {"w": "majority"}
LONG_SECONDS = 6 * 3600  # a build, or a scan, of the largest collection
SETTLE_SECONDS = 120  # for an election, or another operator's work, to be over
PAUSE_SECONDS = 0.2
EXISTING_MAY_STAY = "moderate"
MOST_TURNS = 10  # of one move, which then has no effect

DUPLICATE_KEY = 11000
CANNOT_CONVERT_TO_UNIQUE = 359
# Another operator was there first, or the set has another primary: observe again.
PASSING = {
    6,  # HostUnreachable
    7,  # HostNotFound
    26,  # NamespaceNotFound
    27,  # IndexNotFound
    46,  # LockBusy
    48,  # NamespaceExists
    68,  # IndexAlreadyExists
    85,  # IndexOptionsConflict
    86,  # IndexKeySpecsConflict
    89,  # NetworkTimeout
    91,  # ShutdownInProgress
    112,  # WriteConflict
    117,  # ConflictingOperationInProgress
    133,  # FailedToSatisfyReadPreference
    189,  # PrimarySteppedDown
    276,  # IndexBuildAborted
    10107,  # NotWritablePrimary
    11600,  # InterruptedAtShutdown
    11602,  # InterruptedDueToReplStateChange
    12586,  # BackgroundOperationInProgressForDatabase
    12587,  # BackgroundOperationInProgressForNamespace
    13388,  # StaleConfig
    13435,  # NotPrimaryNoSecondaryOk
    13436,  # NotPrimaryOrSecondary
}


@dataclass
class Mender:
    """One collection, one connection, one run."""

    client: Client
    entity: Entity
    prune: bool
    clock: Clock

    def due(self) -> tuple[Move, ...]:
        """What is to be done now."""
        found = live.collection(self.client, self.entity.home, self.entity.name)
        return moves(self.entity, found, prune=self.prune)

    def mend(self) -> None:
        """Do what is due until nothing is.

        What cannot be done does not keep the rest from being done. Raises OpsError that says all
        of it.
        """
        given_up: dict[Move, OpsError] = {}
        turns: Counter[Move] = Counter()
        patience = Patience(self.clock, self.name)
        while True:
            move = None
            try:
                move = next((one for one in self.due() if one not in given_up), None)
                if move is None:
                    break
                turns[move] += 1
                self._do(move)
            except OpsError as error:
                given_up[move or Stuck(error.message)] = error
            except PyMongoError as error:
                if move is None or _is_passing(error):
                    patience.wait(error)
                    continue
                given_up[move] = as_ops_error(self.name, error)
            patience.renew()
            if move and turns[move] > MOST_TURNS:
                given_up.setdefault(move, OpsError(f"{self.name}: still {move.why}"))
        _raise_all(list(given_up.values()))

    @property
    def name(self) -> str:
        """`segment.COLLECTION`."""
        return f"{self.entity.home}.{self.entity.name}"

    def _do(self, move: Move) -> None:
        """Raises OpsError for what a person must put right first."""
        match move:
            case Create():
                self._create()
            case Validate():
                self._validate()
            case Build(indexes):
                self._build(indexes)
            case Change():
                self._change(move)
            case MakeUnique(index):
                self._make_unique(index)
            case Drop(index):
                self._run({"dropIndexes": self.entity.name, "index": index})
            case Stuck(why):
                raise OpsError(
                    f"{self.name} {why}", "move its data to a collection that is made anew"
                )

    def _create(self) -> None:
        self._run({"create": self.entity.name, **self._rules(LEVEL)})

    def _rules(self, level: str) -> Document:
        rules = validator(self.entity)
        return {"validator": rules, "validationLevel": level, "validationAction": ACTION}

    # Validation

    def _validate(self) -> None:
        """Enforce the validator for what comes, count what breaks it, and only then be strict.

        Level `moderate` refuses new documents that break the validator, and leaves those alone
        that already did; so the count is final. It reads a secondary that has seen the change.
        """
        with self.client.start_session(causal_consistency=True) as session:
            self._collmod(self._rules(EXISTING_MAY_STAY), session)
            count, example = self._breaking(session)
            if count:
                raise self._broken(count, example)
            self._collmod({"validationLevel": LEVEL}, session)

    def _breaking(self, session: ClientSession) -> tuple[int, object]:
        """How many documents break the declared validator, and the `_id` of one."""
        collection = self.client[self.entity.home].get_collection(
            self.entity.name, read_preference=SecondaryPreferred()
        )
        counted: Document = {
            "$group": {"_id": None, "count": {"$sum": 1}, "example": {"$first": "$_id"}}
        }
        breaking: list[Document] = [{"$match": {"$nor": [validator(self.entity)]}}, counted]
        with pymongo.timeout(LONG_SECONDS):
            rows = list(collection.aggregate(breaking, session=session))
        return (rows[0]["count"], rows[0]["example"]) if rows else (0, None)

    def _broken(self, count: int, example: object) -> OpsError:
        break_it = "1 document breaks" if count == 1 else f"{count} documents break"
        rules = f'db.getCollectionInfos({{name: "{self.entity.name}"}})[0].options.validator'
        return OpsError(
            f"{self.name}: {break_it} the declared validator, such as _id {example!r}; new ones "
            f"are refused from now on (validationLevel {EXISTING_MAY_STAY})",
            "correct or remove them, then run `schema apply` again; they are "
            f"db.{self.entity.name}.find({{$nor: [{rules}]}})",
        )

    # Indexes

    def _build(self, indexes: Sequence[IndexSpec]) -> None:
        specs = [index.document for index in indexes]
        try:
            with pymongo.timeout(LONG_SECONDS):
                self._run({"createIndexes": self.entity.name, "indexes": specs})
        except OperationFailure as error:
            if error.code != DUPLICATE_KEY:
                raise
            raise self._duplicate(
                indexes[0].name, (error.details or {}).get("keyValue", {})
            ) from error

    def _change(self, change: Change) -> None:
        options = {
            "hidden": change.hidden,
            "expireAfterSeconds": change.expire_after,
            "prepareUnique": change.prepared,
        }
        given = {name: value for name, value in options.items() if value is not None}
        self._collmod({"index": {"name": change.index, **given}})

    def _make_unique(self, index: IndexSpec) -> None:
        """MongoDB scans without blocking writes, because new duplicates are refused meanwhile."""
        self._collmod({"index": {"name": index.name, "prepareUnique": True}})
        try:
            with pymongo.timeout(LONG_SECONDS):
                self._collmod({"index": {"name": index.name, "unique": True}})
        except OperationFailure as error:
            if error.code != CANNOT_CONVERT_TO_UNIQUE:
                raise
            # A schema change that failed must not leave writes refused that were taken before.
            self._collmod({"index": {"name": index.name, "prepareUnique": False}})
            raise self._duplicate(
                index.name, self._violation(index, error.details or {})
            ) from error

    def _violation(self, index: IndexSpec, details: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values that two documents share."""
        _id = details["violations"][0]["ids"][0]
        fields = {field: 1 for field, _ in index.keys}
        collection = self.client[self.entity.home][self.entity.name]
        return collection.find_one({"_id": _id}, {"_id": 0, **fields}) or {}

    def _duplicate(self, index: str, values: Mapping[str, Any]) -> OpsError:
        shared = ", ".join(f"{field} {value!r}" for field, value in values.items())
        return OpsError(
            f"{self.name}: index {index} cannot be unique: more than one document has {shared}",
            "keep one of them, then run `schema apply` again; nothing was removed",
        )

    # Commands

    def _collmod(self, change: Document, session: ClientSession | None = None) -> None:
        self._run({"collMod": self.entity.name, **change}, session)

    def _run(self, command: Document, session: ClientSession | None = None) -> None:
        database = self.client[self.entity.home]
        database.command({**command, "writeConcern": MAJORITY}, session=session)


@dataclass
class Patience:
    """Waits out what passes by itself, for SETTLE_SECONDS since something last worked."""

    clock: Clock
    name: str

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Something worked."""
        self._deadline = self.clock.monotonic() + SETTLE_SECONDS

    def wait(self, error: PyMongoError) -> None:
        """Raises OpsError where it did not pass."""
        if not _is_passing(error) or self.clock.monotonic() > self._deadline:
            raise as_ops_error(self.name, error) from error
        self.clock.sleep(PAUSE_SECONDS)


def _is_passing(error: PyMongoError) -> bool:
    return isinstance(error, AutoReconnect) or code_of(error) in PASSING


def _raise_all(errors: Sequence[OpsError]) -> None:
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise OpsError("; ".join(error.message for error in errors), errors[0].hint)
