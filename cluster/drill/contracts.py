"""What an engine gives to a drill, and what the core promises in return.

An engine builds a `Drill` out of streams (what to write, and where), observers (who leads),
stages (what to break) and healers (how to undo it). The runner does the rest. Everything here is
a frozen value or a protocol; times are seconds, `*_ns` are nanoseconds, all on CLOCK_MONOTONIC.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cluster.context import Context
from cluster.drill.outcome import Result
from cluster.target import Hit

OpIds = npt.NDArray[np.int64]


class Writer(Protocol):
    """One connection, one thread."""

    def write(self, op: int) -> Result:
        """Write the row or document whose key is `op` (a positive 64-bit integer), once.

        Blocks, at most the stream's `write_within`. Raises nothing: the engine's error table
        decides between failed and unknown. An exception is taken as unknown, and reopens.
        """
        ...

    def close(self) -> None:
        """Release the connection. May be called from another thread to free a stuck `write`."""
        ...


class Store(Protocol):
    """Where one stream's operations go, and where they are read again. Each has its own place."""

    def prepare(self, run: str) -> None:
        """Make the place for a run (a collection or table named for it). Idempotent.

        `run` is 8 lowercase hexadecimal characters, unique to the run.
        """
        ...

    def open_writer(self, worker: int) -> Writer:
        """A writer for a worker (from 0). What it raises makes that operation UNSENT."""
        ...

    def read_back(self) -> Iterable[OpIds]:
        """Every op id of the run as stored, with repeats, in pieces of any size.

        At majority (MongoDB) or from the leader (PostgreSQL). Must raise rather than stop early.
        """
        ...

    def discard(self) -> None:
        """Remove the run's place and everything in it. Idempotent."""
        ...


class Availability(StrEnum):
    """What a stream must feel of the fault."""

    RESTORED = "restored"  # sustained again within `rto` of the injection
    RESTORED_AFTER_UNDO = "restored after undo"  # the same, counted from the undo
    UNTOUCHED = "untouched"  # never down (most of each second lost) for longer than `rto`
    REFUSED = "refused"  # no ack of anything sent while the fault is in place
    UNJUDGED = "unjudged"  # measured, not judged


@dataclass(frozen=True)
class Promise:
    """What a stream is held to; seconds, from `topology.sla` unless the drill says otherwise.

    `rpo` 0 means that no acknowledged write may be lost (where the stream's group says whether it
    is `protected`: none acknowledged while it was). `election` is the longest time from the
    injection until another leader is seen. A control (`must_lose`) fails if *nothing* was lost.
    `refuses` adds to any availability that nothing sent during the fault may be acknowledged.
    `flawless`: no operation of the whole run may end other than acknowledged.
    """

    availability: Availability = Availability.RESTORED
    rto: float = 120.0
    rpo: float = 0.0
    election: float | None = None
    must_lose: bool = False
    refuses: bool = False
    flawless: bool = False


@dataclass(frozen=True)
class Stream:
    """An open-loop flow of writes: operation n is due at start + delay + n / rate.

    `name` is shown ("shard-a majority", "payments pooled"); `group` names the observer whose
    cluster it writes to. An ack counts as *good* within `good_within` seconds of its due time; an
    operation that no worker could take by then is UNSENT. `write_within` is the writer's own
    deadline. At most 254 streams a drill, 255 workers a stream.
    """

    name: str
    group: str
    store: Store
    rate: float = 50.0
    workers: int = 8
    good_within: float = 1.0
    write_within: float = 5.0
    promise: Promise = field(default_factory=Promise)
    delay: float = 0.0  # seconds behind the other streams: a later step of the same journeys


@dataclass(frozen=True)
class Observation:
    """A group as its members tell it.

    `leaders` are the nodes that can acknowledge a write *for keeps* right now: two at once are a
    split brain, and that is always a fail. A MongoDB member that still calls itself primary in an
    older term cannot reach a majority: it goes into `stale`, as does any claim known to be void.
    `epoch` is the term or timeline of the leader (None: not known). `detected_down`: some part of
    the cluster has noticed that the leader is lost (a member's view of it is unhealthy, its key
    expired, the proxy marked it down). `protected`: a synchronous standby is attached (None: the
    engine has no such thing, or nobody answered). `detail` is for people; a change of it alone is
    no event.
    """

    leaders: tuple[str, ...] = ()
    epoch: int | None = None
    detected_down: bool = False
    protected: bool | None = None
    stale: tuple[str, ...] = ()
    detail: str = ""


class Observer(Protocol):
    """Watches one replica set or scope. Has a thread of its own."""

    @property
    def group(self) -> str:
        """The replica set or scope."""
        ...

    def sample(self) -> Observation:
        """Ask every member, at the same time, with a deadline of about a second.

        Called about every 0.1 s. Raising UnreachableError reads as "no leader seen".
        """
        ...

    def close(self) -> None:
        """Release its connections."""
        ...


Seen = Mapping[str, Observation]  # by group: the last observation of each


@dataclass(frozen=True)
class UndoRecord:
    """How to undo a fault after a crash, on disk before the fault acts. No secret in it.

    `kind` chooses the healer; `targets` are node or server names; `args` whatever else it needs
    (a pid with its start time, a firewall table's name).
    """

    kind: str
    targets: tuple[str, ...]
    args: Mapping[str, str] = field(default_factory=dict)


Healer = Callable[[UndoRecord], None]
"""Undoes a fault, wholly and idempotently (also one that never acted); raises if it cannot.

It is the only undo there is: the runner calls it too, so `drill heal` is proved by each drill.
It waits, with a deadline, until what it started runs, not until the cluster has converged.
"""


class Fault(Protocol):
    """One thing broken, its targets already chosen."""

    @property
    def name(self) -> str:
        """As shown: "SIGKILL shard-a-2"."""
        ...

    @property
    def undo(self) -> UndoRecord:
        """How to undo it; known before it acts."""
        ...

    def inject(self) -> Hit:
        """Break it, and prove that it is broken. Raises OpsError if the proof is not there."""
        ...


@dataclass(frozen=True)
class Stage:
    """A fault to be chosen when its time has come, `after` seconds after the one before it.

    `choose` is pure: who leads now, and a seeded source of chance, decide the target. It raises
    InconclusiveError where there is no target (nobody leads).
    """

    choose: Callable[[Seen, Random], Fault]
    after: float = 0.0


@dataclass(frozen=True)
class Round:
    """One fault of a soak, or one piece of day-2 work, as `stages`; `name` is shown.

    Work (`lasts` is false) is over once it is done: nothing of it stays in place for a while.
    """

    name: str
    stages: tuple[Stage, ...]
    lasts: bool = True


@dataclass(frozen=True)
class Step:
    """A round as it is to be: its name, how long its fault stays (seconds), what decides targets.

    What leads when it begins decides with the seed, so that the same step may hit another node.
    """

    name: str
    hold: float
    seed: int


@dataclass(frozen=True)
class Rounds:
    """Many faults under one load: out of `pool` by chance, until `seconds` are over.

    Each stays for a random time between those of `hold` (seconds), is undone, and the cluster is
    whole before the next. Where there are `steps`, it is those, once, and nothing by chance.
    """

    pool: tuple[Round, ...]
    seconds: float
    hold: tuple[float, float]
    steps: tuple[Step, ...] = ()


class Effect(StrEnum):
    """What the fault must do to its group, else it has proved nothing (inconclusive)."""

    NEW_LEADER = "another leader in a higher epoch"
    SAME_LEADER = "the same leader in the same epoch"
    ANY = "any"


@dataclass(frozen=True)
class Range:
    """Seconds from the injection, from the best case to the worst; `median` of a simulation."""

    low: float
    high: float
    median: float | None = None


@dataclass(frozen=True)
class Prediction:
    """What the live configuration makes one expect of each stamp, and the arithmetic behind it."""

    detected: Range | None = None
    elected: Range | None = None
    first_success: Range | None = None
    sustained: Range | None = None
    basis: str = ""


@dataclass(frozen=True)
class Timings:
    """How long each phase takes, seconds.

    The fault comes `baseline` plus a random part of `phase` after the load began (`phase`: the
    longest period of the cluster's own clocks, ttl or heartbeat). It stays for at least `hold`,
    and until the streams have recovered, or `recover_within` is over. `converge_within` bounds the
    time from the undo until the cluster is whole; the load goes on for `after` seconds more.
    """

    baseline: float = 10.0
    phase: float = 5.0
    hold: float = 0.0
    recover_within: float = 180.0
    converge_within: float = 180.0
    after: float = 3.0


@dataclass(frozen=True)
class Alerts:
    """The cluster's monitoring, where it is up.

    `firing` names the alerts that fire now (raises UnreachableError); `expected` those that the
    drill's fault must fire, with the seconds from the fault that each may take.
    """

    firing: Callable[[], frozenset[str]]
    expected: Mapping[str, float]


def nothing_to_collect(_folder: Path) -> None:
    """The default of `Drill.preserve` and `Drill.collect`."""


@dataclass(frozen=True)
class Drill:
    """Everything the runner needs, built by an engine for one live cluster.

    With `rounds` there are many faults, and no `stages`: the effect is any, and each stream is
    judged over all of them.
    `group` is the observer whose leader the fault is about. `preflight` returns the unmet
    preconditions (none: go). `converged` returns what is still missing, None when the cluster is
    whole. `settings` reads the *effective* settings that the promise rests on (write concern,
    synchronous_standby_names as a rule, …): a change of any value between before and during makes
    the run inconclusive; leave out what a failover rightly changes. `versions` names what ran
    ("mongod": "6.0.5", "router": "segment router"). `preserve` puts evidence that the undo would
    destroy (the old timeline, before pg_rewind) into the folder that it is given, `collect` what
    is there after convergence (rollback files, logs). With `alerts` the fault stays until those
    that are expected have fired, or should have. `checks` names further checkers of the
    engine's, passed to the runner and to `recheck` by name.
    """

    name: str
    hypothesis: str
    group: str
    streams: tuple[Stream, ...]
    observers: tuple[Observer, ...]
    stages: tuple[Stage, ...]
    healers: Mapping[str, Healer]
    preflight: Callable[[], Sequence[str]]
    converged: Callable[[], str | None]
    settings: Callable[[], Mapping[str, str]] = dict
    versions: Callable[[], Mapping[str, str]] = dict
    effect: Effect = Effect.NEW_LEADER
    prediction: Prediction = Prediction()
    timings: Timings = Timings()
    preserve: Callable[[Path], None] = nothing_to_collect
    collect: Callable[[Path], None] = nothing_to_collect
    checks: tuple[str, ...] = ()
    logs: Mapping[str, Path] = field(default_factory=dict)
    configuration: Callable[[], Mapping[str, str]] = dict
    rounds: Rounds | None = None
    alerts: Alerts | None = None


def never_skipped(_context: Context) -> str:
    """The default of `DrillSpec.skip`."""
    return ""


@dataclass(frozen=True)
class DrillSpec:
    """A drill of the catalogue: what `drill list` and `drill show` know without a cluster.

    `needs` are capability protocols of the target (`CanKill`, …): where `target.lacks` one, the
    drill is skipped and says why. `skip` says why this topology gives nothing to drill ("there is
    one router"), "" where it does; it reads the topology alone. `seconds` is how long it is
    expected to take. `build` reads the live cluster where it must (effective timings), and breaks
    nothing. `tags`: "mongo", "postgres", "edge"; "failover" and "quarterly" where a quarterly
    failover test needs it; "control" for a negative control.
    """

    name: str
    hypothesis: str
    fault: str
    must_hold: str
    seconds: float
    build: Callable[[Context], Drill]
    needs: tuple[type, ...] = ()
    tags: frozenset[str] = frozenset()
    skip: Callable[[Context], str] = never_skipped
