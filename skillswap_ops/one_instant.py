"""Data of both stores destroyed after an instant that was noted; undone by restoring both to it."""

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import postgres.restore_in_place
from cluster.backup.contracts import Restored, Say, Target
from cluster.context import Context
from cluster.drill.contracts import Healer, UndoRecord
from cluster.drill.events import Record
from cluster.errors import OpsError, RefusedError
from cluster.files import write_atomic
from cluster.schema.catalogue import BY_NAME
from cluster.target import Hit
from mongo import leaving, nodes
from mongo.backup.engine import ENGINE as MONGO
from mongo.client import SET_SECONDS, Client, router_client
from mongo.credentials import APPLICATION, login
from mongo.faults.destroyed_data import instant
from skillswap_ops.integrity import Observer, check_references, links

RESTORE_BOTH = "restore both to"
FILE = "cross-store-target.json"
VICTIM = BY_NAME["SESSION"]  # what messages in one store and payments in the other refer to


class OneInstant(Record):
    """Both stores put back to an instant; rows that refer to nothing, by reference.

    `before` is what was there before anything was broken, None where it could not be looked up.
    """

    at: datetime
    at_ns: int
    seconds: float | None = None
    before: dict[str, int] | None = None
    after: dict[str, int] | None = None


@dataclass(frozen=True)
class DestroySessions:
    """Note an instant, let `gap` seconds of writes pass, and delete every session."""

    context: Context
    gap: float

    @property
    def name(self) -> str:
        """As shown."""
        return f"every {VICTIM.name} deleted, {self.gap:.1f} s after the instant"

    @property
    def undo(self) -> UndoRecord:
        """Restore both to the instant, if there is one."""
        return UndoRecord(RESTORE_BOTH, ())

    def inject(self) -> Hit:
        """Delete them, and count."""
        before = orphans(self.context)
        noted = instant(switched=False)
        self.context.clock.sleep(self.gap)
        save(self.context, OneInstant(at=noted.at, at_ns=noted.at_ns, before=before))
        with self._client() as client:
            found = client[VICTIM.home][VICTIM.name].delete_many({}).deleted_count
            at = self.context.clock.monotonic()
        if not found:
            raise OpsError(f"there was no {VICTIM.name} to delete")
        return Hit(at, f"{found:,} deleted; the restore is to go to {noted.at.isoformat()}")

    def _client(self) -> AbstractContextManager[Client]:
        routers = nodes.routers(self.context)
        return router_client(routers, login(self.context, APPLICATION), seconds=SET_SECONDS)


def orphans(context: Context) -> dict[str, int] | None:
    """How many rows refer to nothing, by reference; None where the schema is not applied."""
    try:
        found = check_references(context, links(), Observer(), primary=True)
    except RefusedError:
        return None
    return {one.name: one.rows for one in found.found if one.rows}


def put_back(context: Context, target: Target, say: Say) -> tuple[Restored, Restored]:
    """Both stores to one instant, in place; a target that one cannot reach changes neither.

    From before PostgreSQL is stopped until MongoDB is back, no application reaches MongoDB: what it
    holds is not yet, or no longer, what PostgreSQL refers to, and whoever goes on from one of them
    would write into the other what the restore then leaves without its counterpart.
    """
    MONGO.assert_reachable(context, target, say)

    def fence() -> None:
        say("stopping MongoDB's routers: nobody writes until both stores are back")
        leaving.stop_routers(context)

    first = postgres.restore_in_place.in_place(context, target, say, before=fence)
    return first, MONGO.restore_in_place(context, target, say)


def restore_both(context: Context) -> Healer:
    """The healer: both stores back to the instant, in place, and what refers to nothing then."""

    def heal(_record: UndoRecord) -> None:
        noted = load(context)
        if noted is None or noted.seconds is not None:
            return
        began, target = time.monotonic(), Target(time=noted.at)
        put_back(context, target, _silent)
        update = {"seconds": time.monotonic() - began, "after": orphans(context)}
        save(context, noted.model_copy(update=update))

    return heal


def _silent(_text: str) -> None:
    pass


def load(context: Context) -> OneInstant | None:
    """What was noted; None where nothing was destroyed."""
    path = _path(context)
    return OneInstant.model_validate_json(path.read_bytes()) if path.exists() else None


def save(context: Context, noted: OneInstant) -> None:
    """Write it down, durably."""
    write_atomic(_path(context), noted.model_dump_json(indent=2))


def forget(context: Context) -> None:
    """Of an earlier run."""
    _path(context).unlink(missing_ok=True)


def _path(context: Context) -> Path:
    return context.layout.root / FILE
