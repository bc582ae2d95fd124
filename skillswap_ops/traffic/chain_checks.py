"""No orphan and no duplicate: pure checkers of the write chain, over what was read of it.

They read a run's folder alone: `collected/chains.json`, and the run's own measures.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cluster.drill.events import Record
from cluster.drill.evidence import COLLECTED
from cluster.drill.ledger import SEQUENCE_MASK
from cluster.drill.measures import Measures
from cluster.drill.verdict import Finding, invalid, unknown, valid

CHAINS = "chains"
CHAINS_FILE = "chains.json"
CLOSED, ORPHANS, DUPLICATES, MESSAGES = "open chains", "orphans", "duplicates", "chain messages"
KEY = "session:"  # and the session's id: what an intent is of (services.sessions.outbox)
SHOWN = 3
DEAREST = 10_000_000  # cents; what the API takes


class SessionRow(Record):
    """A SESSION. `asked` is the id that follows from its request; `message` and `intent` are the
    ids of what belongs beside it, "" where nothing was asked for."""

    id: str
    op: int
    asked: str
    open: bool
    message: str
    intent: str


class MessageRow(Record):
    """A MESSAGE, and the session that it is of."""

    id: str
    session: str


class IntentRow(Record):
    """An INTENTION_PAIEMENT."""

    id: str
    key: str
    amount: int


class Chains(Record):
    """What the stores hold of a stream's chains, rows that are there twice included."""

    sessions: tuple[SessionRow, ...]
    messages: tuple[MessageRow, ...]
    intents: tuple[IntentRow, ...]


class Collected(Record):
    """The chains of each stream that was read whole, by its name."""

    streams: Mapping[str, Chains]


def orphans(chains: Chains) -> tuple[str, ...]:
    """What is there without what it belongs to, or is not what was asked for.

    A session whose chain is still open may lack its intent: that it is open is another finding.
    """
    sessions = {row.id: row for row in chains.sessions}
    intents = {row.id: row for row in chains.intents}
    return (
        *(f"intent {row.id} has no session" for row in chains.intents if _of(row) not in sessions),
        *(
            f"message {row.id} has no session"
            for row in chains.messages
            if row.session not in sessions
        ),
        *(
            f"session {row.id} has no intent"
            for row in chains.sessions
            if row.intent and not row.open and row.intent not in intents
        ),
        *(
            f"intent {row.id} is not what its session asked for"
            for row in chains.intents
            if (session := sessions.get(_of(row))) and _differs(session, row)
        ),
        *(
            f"message {row.id} is not the one of its session"
            for row in chains.messages
            if (of := sessions.get(row.session)) and of.message != row.id
        ),
    )


def _of(row: IntentRow) -> str:
    return row.key.removeprefix(KEY)


def _differs(session: SessionRow, intent: IntentRow) -> bool:
    return session.intent != intent.id or amount_of(session.op) != intent.amount


def amount_of(op: int) -> int:
    """What an operation asks to be paid, in cents: each of ten million has its own."""
    return 1 + (op & SEQUENCE_MASK) % DEAREST


def duplicates(chains: Chains) -> tuple[str, ...]:
    """What is there more than once for one request, or for one session."""
    kinds: tuple[tuple[str, Iterable[object]], ...] = (
        ("sessions of request", (row.op for row in chains.sessions)),
        ("sessions", (row.id for row in chains.sessions)),
        ("intents of session", (_of(row) for row in chains.intents)),
        ("intents", (row.id for row in chains.intents)),
        ("messages of session", (row.session for row in chains.messages)),
        ("messages", (row.id for row in chains.messages)),
    )
    repeated = [
        f"{count} {what} {key}"
        for what, keys in kinds
        for key, count in Counter(keys).items()
        if count > 1
    ]
    strangers = [
        f"session {row.id} is not the one of its request {row.op}"
        for row in chains.sessions
        if row.id != row.asked
    ]
    return (*repeated, *strangers)


def still_open(chains: Chains) -> tuple[str, ...]:
    """The sessions whose chain nobody has finished."""
    return tuple(f"session {row.id}" for row in chains.sessions if row.open)


def lost_messages(chains: Chains) -> tuple[str, ...]:
    """The messages that closed chains lack."""
    there = {row.id for row in chains.messages}
    return tuple(
        f"message {row.message}"
        for row in chains.sessions
        if row.message and not row.open and row.message not in there
    )


def chains(measures: Measures) -> Iterator[Finding]:
    """Every stream's chains: closed, each of its parts there once, and nothing besides.

    A message is acknowledged by one member (`w: 1`, TP3 §4), and a failover may take it away. Yet
    its chain is closed only when a majority has it (docs/decisions/write-chain.md): a closed chain
    without its message has broken that promise, failover or not.
    """
    if measures.run.timeline.load_began_ns is None:
        return
    path = measures.run.folder / COLLECTED / CHAINS_FILE
    if not path.exists():
        yield unknown(CHAINS, "what the stores hold was not collected")
        return
    read = Collected.model_validate_json(path.read_bytes()).streams
    if not read:
        yield unknown(CHAINS, "no chain was read back")
    for name, found in read.items():
        if not found.sessions:
            yield unknown(CHAINS, "no chain is in the stores", name)
            continue
        yield from _judge(found, name)


def _judge(found: Chains, name: str) -> Iterator[Finding]:
    count = f"{len(found.sessions):,} chains"
    yield _none(CLOSED, still_open(found), f"all {count} are closed", name)
    yield _none(ORPHANS, orphans(found), f"none in {count}", name)
    yield _none(DUPLICATES, duplicates(found), f"none in {count}", name)
    yield _none(MESSAGES, lost_messages(found), "every closed chain has its message", name)


def _none(check: str, bad: Sequence[str], good: str, name: str) -> Finding:
    if not bad:
        return valid(check, good, name)
    return invalid(check, f"{len(bad):,}: {_few(bad)}", name)


def _few(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:SHOWN])
    return f"{shown}, …" if len(texts) > SHOWN else shown
