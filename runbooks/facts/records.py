"""The kinds of facts. A field is None where it could not be read; conditions take it for unknown.

`name` is what the fact is about, `group` what belongs together: a replica set, a Patroni scope. A
cause hides its consequences within its group.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from types import NoneType
from typing import ClassVar, get_args, get_type_hints

from runbooks.conditions import NUMBER, TEXT, TRUTH, Value


@dataclass(frozen=True)
class Fact:
    """What every kind has."""

    kind: ClassVar[str] = ""
    name: str
    group: str


@dataclass(frozen=True)
class Server(Fact):
    """Any node, by its engine's `status`: health is ok, degraded or down. `what`: its kind.

    `last`: it is down, and so is every other one of its group.
    """

    kind = "server"
    engine: str
    what: str
    health: str
    role: str
    why: str
    last: bool = False


@dataclass(frozen=True)
class MongoSet(Fact):
    """A replica set. `role`: shard or config; `majority`: votes that a primary needs.

    `primary_lost`: a member that does not answer was primary until the last election.
    """

    kind = "mongo_set"
    role: str
    total: int
    answering: int
    serving: int
    majority: int
    primary: str
    primary_lost: bool


@dataclass(frozen=True)
class MongoMember(Fact):
    """A member that holds data. `corrupt`: it does not run, and its log says why.

    `oplog_hours`: from the oldest to the newest entry; `oplog_full`: old entries make room for new.
    """

    kind = "mongo_member"
    role: str
    answers: bool
    state: str
    corrupt: bool | None
    lag_seconds: float | None
    oplog_hours: float | None
    oplog_full: bool | None
    locked: bool | None


@dataclass(frozen=True)
class PgScope(Fact):
    """A Patroni scope. `leads`: it is the one that takes the writes.

    `writable`: members that take writes; `quorum`: of its etcd; `attached`: a synchronous standby
    streams. `gone`: no member and no etcd of it answers; `dr`: the scope that follows it from the
    other region ("" for nothing that could take over).
    """

    kind = "pg_scope"
    leads: bool
    total: int
    answering: int
    writable: int
    primary: str
    standby_wanted: bool
    attached: bool
    missing: str
    paused: bool
    quorum: bool
    gone: bool
    dr: str


@dataclass(frozen=True)
class EtcdFact(Fact):
    """The etcd that elects the leader of the scope `name`, which `leads` or follows.

    `gone`: nothing of the scope answers.
    """

    kind = "etcd"
    total: int
    answering: int
    quorum: bool
    gone: bool
    leads: bool


@dataclass(frozen=True)
class PgMember(Fact):
    """A PostgreSQL node. `away`: of the scope that follows from another region."""

    kind = "pg_member"
    away: bool
    answers: bool
    role: str
    streaming: bool | None
    writable: bool
    lag_seconds: float | None
    replay_paused: bool | None


@dataclass(frozen=True)
class PgSlot(Fact):
    """A replication slot of a primary; `wal_status` as PostgreSQL has it. Sizes in MiB."""

    kind = "pg_slot"
    node: str
    active: bool
    wal_status: str
    retained_mb: float


@dataclass(frozen=True)
class PgArchive(Fact):
    """A primary's archiver. `age_seconds`: since its last success."""

    kind = "pg_archive"
    failing: bool
    age_seconds: float | None


@dataclass(frozen=True)
class Pooler(Fact):
    """A pgbouncer. `wait_seconds`: how long the oldest of its waiting clients has waited."""

    kind = "pooler"
    answers: bool
    clients: int | None
    waiting: int | None
    wait_seconds: float | None


@dataclass(frozen=True)
class Proxy(Fact):
    """An HAProxy of the edge: where its port for pooled writes leads, and who should be there."""

    kind = "proxy"
    answers: bool
    leads_to: str
    primary: str


@dataclass(frozen=True)
class Volume(Fact):
    """A file system that holds data: of mongo, or of postgres (its WAL alone: wal)."""

    kind = "volume"
    holds: str
    used_percent: float
    free_gb: float


@dataclass(frozen=True)
class ClockOffset(Fact):
    """A server's clock against this machine's, in seconds, beyond what asking took."""

    kind = "clock"
    seconds: float


@dataclass(frozen=True)
class Certificate(Fact):
    """A server's certificate, or the authority's."""

    kind = "certificate"
    days_left: float


@dataclass(frozen=True)
class Backups(Fact):
    """An engine's backups. `age_hours` None: there is none; `cluster_hours`: the cluster's age."""

    kind = "backups"
    count: int
    age_hours: float | None
    cluster_hours: float


@dataclass(frozen=True)
class Proof(Fact):
    """The proof that backups can be restored. `verdict`: pass, fail, or never for no proof yet."""

    kind = "proof"
    verdict: str
    age_days: float | None
    allowed_days: int
    overdue: bool


@dataclass(frozen=True)
class ServiceFact(Fact):
    """A deployed service. `coming`: the revision that a rollout is at; 0 for none."""

    kind = "service"
    ready: int
    wanted: int
    coming: int
    last: str


@dataclass(frozen=True)
class Rollout(Fact):
    """A change of the services that was begun. `busy`: a command is at work on the cluster."""

    kind = "rollout"
    busy: bool


@dataclass(frozen=True)
class OpenFault(Fact):
    """A drill's fault that may be in place. `busy`: a command is at work on the cluster."""

    kind = "open_fault"
    busy: bool


@dataclass(frozen=True)
class RegionFact(Fact):
    """Which region leads: `stage` of the round trip; `change` (of `dr`) goes on from there."""

    kind = "region"
    stage: str
    resting: bool
    busy: bool
    change: str


@dataclass(frozen=True)
class HalfRestored(Fact):
    """A restore in place that was begun."""

    kind = "half_restored"
    busy: bool
    to: str


@dataclass(frozen=True)
class Unread:
    """What could not be read at all, and why."""

    what: str
    reason: str


KINDS: Mapping[str, type[Fact]] = {
    each.kind: each
    for each in (
        Server,
        MongoSet,
        MongoMember,
        PgScope,
        EtcdFact,
        PgMember,
        PgSlot,
        PgArchive,
        Pooler,
        Proxy,
        Volume,
        ClockOffset,
        Certificate,
        Backups,
        Proof,
        ServiceFact,
        Rollout,
        OpenFault,
        RegionFact,
        HalfRestored,
    )
}


@dataclass(frozen=True)
class Facts:
    """Everything that was seen in one look, and what could not be."""

    seen: tuple[Fact, ...]
    unread: tuple[Unread, ...] = ()

    def of(self, kind: str) -> Iterator[Fact]:
        """The facts of a kind."""
        return (fact for fact in self.seen if fact.kind == kind)


def values(fact: Fact) -> dict[str, Value]:
    """A fact's fields, as conditions read them."""
    return asdict(fact)


@cache
def field_kinds(kind: str) -> Mapping[str, str]:
    """What each field of a kind of fact is: a number, text, or true or false."""
    model = KINDS[kind]
    hints = get_type_hints(model)
    return {field.name: _kind(hints[field.name]) for field in fields(model)}


def joined(many: Iterable[Facts]) -> Facts:
    """One look out of several readers'."""
    whole = list(many)
    return Facts(
        tuple(fact for each in whole for fact in each.seen),
        tuple(miss for each in whole for miss in each.unread),
    )


def _kind(hint: object) -> str:
    kinds = {TRUTH: bool, NUMBER: int, TEXT: str}
    [plain] = [each for each in (get_args(hint) or (hint,)) if each is not NoneType]
    return next((name for name, one in kinds.items() if plain is one), NUMBER)
