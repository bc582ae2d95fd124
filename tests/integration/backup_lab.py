"""A load whose every write is known, and what a copy must hold of it."""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pymongo.errors import PyMongoError

from cluster.context import Context
from mongo import nodes
from mongo.backup.looking import ids
from mongo.client import router_client
from mongo.credentials import APPLICATION, login
from tests.conftest import Lab

COLLECTION = "backup_trial"
PAUSE = 0.02


@dataclass
class Write:
    """One write: its id, when it was sent, and when it was acknowledged (wall clock)."""

    id: int
    sent: float
    acked: float | None = None


@dataclass
class Load:
    """Writes to every segment through the routers, until it is stopped."""

    context: Context
    writes: dict[str, list[Write]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._stop.clear()
        for segment in self.context.topology.mongo.segments:
            self.writes.setdefault(segment, [])
            thread = threading.Thread(target=self._write, args=(segment,))
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _write(self, segment: str) -> None:
        own = self.writes[segment]
        with router_client(
            nodes.routers(self.context), login(self.context, APPLICATION), seconds=5
        ) as client:
            collection = client[segment][COLLECTION]
            while not self._stop.wait(PAUSE):
                write = Write(len(own), time.time())
                own.append(write)
                try:
                    collection.insert_one({"_id": write.id})
                    write.acked = time.time()
                except PyMongoError:
                    continue

    def wrong(self, segment: str, found: Iterable[int], at: datetime, until: float) -> list[str]:
        """What a copy of the instant `at` should not lack or hold; writes after `until` are none
        of its. Too few writes on a side are wrong as well.
        """
        return wrong(segment, self.writes[segment], found, at, until)


def wrong(
    name: str, writes: Sequence[Write], found: Iterable[int], at: datetime, until: float
) -> list[str]:
    """The same of any load."""
    held, instant = set(found), at.timestamp()
    before = [one for one in writes if one.acked and one.acked <= instant]
    after = [one for one in writes if instant < one.sent <= until]
    missing = [one.id for one in before if one.id not in held]
    kept = [one.id for one in after if one.id in held]
    counts = f"{len(before)} before, {len(after)} after"
    return [
        *([f"{name}: of {counts}: missing {missing[:5]}"] if missing else []),
        *([f"{name}: of {counts}: kept {kept[:5]}"] if kept else []),
        *([f"{name}: too few: {counts}"] if len(before) < 10 or len(after) < 10 else []),
    ]


def whole_second() -> datetime:
    """The instant that has just begun, once there is one."""
    time.sleep(1 - time.time() % 1)
    return datetime.fromtimestamp(int(time.time()), UTC)


def shards(context: Context) -> dict[str, str]:
    """The first shard of each segment."""
    return {name: found[0].name for name, found in context.topology.mongo.segments.items()}


def in_copy(lab: Lab, folder: Path, segment: str) -> list[int]:
    """What a copy beside the cluster holds."""
    context = lab.context
    found = ids(context, folder, shards(context)[segment], segment, COLLECTION)
    return [int(one) for one in found]


def live(lab: Lab, segment: str) -> list[int]:
    """What the cluster holds."""
    context = lab.context
    with router_client(nodes.routers(context), login(context, APPLICATION)) as client:
        return [int(one["_id"]) for one in client[segment][COLLECTION].find({}, {"_id": 1})]
