"""TTL indexes remove what is due: a document that expired an hour ago, put first, awaited last."""

from collections.abc import Mapping
from typing import Any

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import OpsError, UnreachableError
from cluster.schema.types import DAY, Index
from mongo import nodes
from mongo.client import set_client
from mongo.credentials import ADMIN, login
from mongo.schema.indexes import index_spec
from mongo.schema.proofs.bench import Bench
from mongo.schema.proofs.collection import differs, standing
from mongo.schema.proofs.probes import expired
from mongo.schema.proofs.trial import Line

PERIODS = 2.5  # of the monitor: the first may be just over, and a busy one takes its time
SLACK = 5.0  # seconds, for short periods
POLL = 0.5  # seconds


class Removal:
    """One TTL index: `put` first, and let other things go on before its line is tried."""

    def __init__(self, context: Context, bench: Bench, index: Index) -> None:
        self._context, self._bench, self._index = context, bench, index
        self._document: dict[str, Any] = {}
        self._seconds = 0.0
        self._until = 0.0

    @property
    def put(self) -> Line:
        """The index is as declared, and an expired document is there for it to remove."""
        return Line(self._bench.entity.name, self._text, self._put)

    @property
    def gone(self) -> Line:
        """The monitor has removed it."""
        return Line(self._bench.entity.name, self._text, self._await)

    @property
    def _text(self) -> str:
        days = (self._index.expire_after or 0) / DAY
        name = index_spec(self._index).name
        return f"TTL index {name} removes what is {days:g} days past {self._index.fields[0]}"

    def _put(self) -> str:
        spec = standing(self._bench.found(), self._index)
        if spec is None:
            return "there is no such index"
        different = differs(spec, self._index)
        if different:
            return different
        self._seconds = PERIODS * monitor_period(self._context, self._bench.entity.home) + SLACK
        self._document = expired(self._bench.maker, self._bench.entity, self._index)
        self._bench.put_one(self._document)
        self._until = self._context.clock.monotonic() + self._seconds
        return ""

    def _await(self) -> str:
        clock = self._context.clock
        left = max(0.0, self._until - clock.monotonic())
        try:
            wait_for("the TTL monitor", self._is_gone, seconds=left, every=POLL, clock=clock)
        except UnreachableError:
            return f"did not remove an expired document within {self._seconds:g} s"
        return ""

    def _is_gone(self) -> bool:
        return self._bench.admin.find_one({"_id": self._document["_id"]}, {"_id": 1}) is None


def monitor_period(context: Context, segment: str) -> float:
    """Seconds between two rounds of the TTL monitor on the segment's first shard's primary.

    Raises OpsError where it is switched off.
    """
    name = context.topology.mongo.segments[segment][0].name
    shard = next(one for one in nodes.shards(context) if one.name == name)
    with set_client(shard, login(context, ADMIN)) as client:
        found: Mapping[str, Any] = client.admin.command(
            {"getParameter": 1, "ttlMonitorSleepSecs": 1, "ttlMonitorEnabled": 1}
        )
    if not found["ttlMonitorEnabled"]:
        raise OpsError(f"the TTL monitor of {name}'s primary is off (ttlMonitorEnabled)")
    return float(found["ttlMonitorSleepSecs"])
