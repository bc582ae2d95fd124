"""Literal histories, and the folder of a made-up run: ten operations a second, a fault at 20 s.

All times are seconds from `ZERO`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cluster.drill.contracts import (
    Effect,
    Observation,
    OpIds,
    Prediction,
    Promise,
    Timings,
    UndoRecord,
)
from cluster.drill.eventlog import EventLog
from cluster.drill.events import (
    Converged,
    Happening,
    Injected,
    Injecting,
    LoadBegan,
    LoadStopped,
    Observed,
    Settings,
    Undoing,
    Undone,
)
from cluster.drill.evidence import (
    EVENTS,
    LEDGER,
    RunConfig,
    StreamConfig,
    write_config,
    write_read_back,
)
from cluster.drill.history import History, empty
from cluster.drill.ledger import INTENT, LedgerWriter, Row, op_id
from cluster.drill.outcome import Outcome
from cluster.drill.timeline import Sample

ZERO = 1000.0
BEGAN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
RATE = 10
SECONDS = 60
FAULT, DETECTED, ELECTED, BACK, UNDO = 20.0, 21.0, 24.0, 25.0, 40.0


def ns(seconds: float) -> int:
    return round((ZERO + seconds) * 1e9)


@dataclass(frozen=True)
class Op:
    """One operation; None for what did not happen."""

    due: float
    outcome: Outcome | None = Outcome.ACKED  # None: an intent alone
    sent: float | None = None  # default: when due
    done: float | None = None  # default: 10 ms after it was sent
    reason: int = 1  # of what was not acknowledged
    retries: int = 0

    def rows(self, sequence: int, stream: int = 1) -> list[Row]:
        op = op_id(stream, sequence)
        rows = [Row(op, ns(self.due), ns(self.due - 0.2), INTENT)]
        if self.outcome is not None:
            sent = self.due if self.sent is None else self.sent
            done = sent + 0.01 if self.done is None else self.done
            first = 0 if self.outcome is Outcome.UNSENT else ns(sent)
            reason = 0 if self.outcome is Outcome.ACKED else self.reason
            rows.append(Row(op, first, ns(done), self.outcome, 0, reason, self.retries))
        return rows


def history(ops: Sequence[Op], number: int = 1) -> History:
    """What `read_ledger` makes of them."""
    made = empty(number, len(ops))
    for sequence, op in enumerate(ops):
        intent, *outcome = op.rows(sequence)
        made.due[sequence] = intent.first
        made.outcome[sequence] = Outcome.UNKNOWN
        for row in outcome:
            made.sent[sequence], made.done[sequence] = row.first, row.second
            made.outcome[sequence] = row.kind
    return made


def acked(*dues: float) -> list[Op]:
    return [Op(due) for due in dues]


def ids(*sequences: int, stream: int = 1) -> OpIds:
    return np.array([op_id(stream, sequence) for sequence in sequences], np.int64)


def sample(at: float, *leaders: str, epoch: int | None = None, **more: object) -> Sample:
    """A sample that ended at `at`, 50 ms after it began."""
    observation = Observation(leaders, epoch, **more)  # type: ignore[arg-type]
    return Sample(ns(at - 0.05), ns(at), observation)


def served(due: float) -> Op:
    """Acknowledged, unless it is due in the outage of the made-up run."""
    return Op(due, Outcome.UNKNOWN, done=due + 5) if FAULT <= due < BACK else Op(due)


def observed(group: str = "shard-a") -> list[Sample]:
    return [
        sample(-1, "a1", epoch=1),
        sample(DETECTED, epoch=1, detected_down=True),
        sample(ELECTED, "a2", epoch=2),
    ]


@dataclass
class MadeUp:
    """A run to be written to disk, and then judged; it passes as it is."""

    name: str = "majority"  # of its one stream
    promise: Promise = field(default_factory=lambda: Promise(rto=30, rpo=0))
    op: Callable[[float], Op] = served
    ops: Callable[[list[Op]], list[Op]] = lambda ops: ops
    seconds: int = SECONDS
    read: Callable[[list[int]], Iterable[int]] | None = lambda ids: ids
    samples: list[Sample] = field(default_factory=observed)
    effect: Effect = Effect.NEW_LEADER
    faults: bool = True
    undone: bool = True
    stopped: bool = True
    converged: Converged | None = field(default_factory=Converged)
    settings: tuple[dict[str, str], ...] = ({"w": "majority"}, {"w": "majority"})
    more: Sequence[tuple[float, Happening]] = ()
    checks: tuple[str, ...] = ()

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        write_config(folder, self._config())
        ops = self.ops([self.op(n / RATE) for n in range(self.seconds * RATE)])
        ledger = LedgerWriter(folder / LEDGER, "0123abcd")
        ledger.append(*(row for sequence, op in enumerate(ops) for row in op.rows(sequence)))
        ledger.close()
        if self.read:
            stored = [op_id(1, n) for n, op in enumerate(ops) if op.outcome is Outcome.ACKED]
            write_read_back(folder, 1, [np.array(list(self.read(stored)), np.int64)])
        log = EventLog(folder / EVENTS, lambda: ns(0), BEGAN, lambda _: None)
        for at, what in sorted([*self._events(), *self.more], key=lambda pair: pair[0]):
            log.add(what, ns(at))
        log.close()
        return folder

    def _config(self) -> RunConfig:
        return RunConfig(
            run="0123abcd",
            drill="mongo-primary-kill",
            hypothesis="majority acks survive",
            began=BEGAN,
            tool="0.1.0",
            seed=7,
            phase_offset=1.5,
            group="shard-a",
            effect=self.effect,
            timings=Timings(),
            prediction=Prediction(),
            streams=(
                StreamConfig(
                    number=1,
                    name=self.name,
                    group="shard-a",
                    rate=RATE,
                    workers=4,
                    good_within=1.0,
                    write_within=5.0,
                    promise=self.promise,
                ),
            ),
            checks=self.checks,
        )

    def _events(self) -> Iterable[tuple[float, Happening]]:
        yield 0, LoadBegan(at_ns=ns(0))
        for when, values in zip(("before", "during", "after"), self.settings, strict=False):
            yield 0, Settings(when=when, values=values)  # type: ignore[arg-type]
        for seen in self.samples:
            at = seen.ended_ns / 1e9 - ZERO
            yield (
                at,
                Observed(group="shard-a", began_ns=seen.began_ns, observation=seen.observation),
            )
        if self.faults:
            yield from self._fault()
        if self.converged:
            yield 50, self.converged
        if self.stopped:
            yield self.seconds, LoadStopped(until_ns=ns(self.seconds))

    def _fault(self) -> Iterable[tuple[float, Happening]]:
        undo = UndoRecord("start", ("a1",))
        yield FAULT - 0.1, Injecting(entry="e", fault="SIGKILL a1", undo=undo)
        yield (
            FAULT,
            Injected(
                entry="e",
                fault="SIGKILL a1",
                began_ns=ns(FAULT - 0.1),
                at_ns=ns(FAULT),
                proof="pid 7 is gone",
            ),
        )
        yield UNDO - 1, Undoing(entry="e", fault="SIGKILL a1")
        if self.undone:
            yield UNDO, Undone(entry="e", fault="SIGKILL a1")
