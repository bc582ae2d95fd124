"""What a failure proves, what is tried again, and which error the client gets.

A drill's ledger depends on this table, so it errs to one side: 133 (FailedToSatisfyReadPreference)
says "not executed", and is given only where that is certain. From the first byte sent until a
whole answer has come back, nothing is known.

| what happened                      | read, numbered write, commit      | other commands        |
|------------------------------------|-----------------------------------|-----------------------|
| not sent: nobody to send it to     | again, until the wait is over, then 133 (not executed)    |
| sent, connection lost              | again (3 times), then 6 (unknown) | 6 at once (unknown)   |
| sent, no answer within its time    | 89 (unknown)                      | 89 (unknown)          |
| refused at the door, one statement | again, until the wait is over, then 133 (not executed)    |
| refused at the door, many of them  | again, as above                   | 6 (unknown)           |
| stale metadata, nothing done       | read anew and again (10 times), then the shard's answer   |
| interrupted by a step-down         | again (3 times), then 6 (unknown) | 6 (unknown)           |

Once an attempt was lost, nothing that follows can prove that the command was not executed: it ends
as 6 (HostUnreachable) whatever the later attempts met. "At the door" is NotWritablePrimary and its
kin; a batch may meet it half way. "Numbered write" is one with a txnNumber outside a transaction:
the shard executes it once, however often it comes. A statement of a transaction is never sent
twice, except the first one where stale metadata refused it.

An error of a shard that tells of its state is shown as 6, as mongos does (see `cloak`). A driver
adds its own retry where the label RetryableWriteError says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from mongo.router.command import Command, Nature
from mongo.router.document import Document
from mongo.router.errors import (
    RESUMABLE_CHANGE_STREAM,
    RETRYABLE_WRITE,
    TRANSIENT_TRANSACTION,
    Code,
    CommandError,
)

MAX_LOST = 3
MAX_STALE = 10  # mongos's kMaxNumStaleVersionRetries

DOOR = frozenset(
    {Code.NotWritablePrimary, Code.NotPrimaryNoSecondaryOk, Code.NotPrimaryOrSecondary}
)
STALE = frozenset({Code.StaleConfig, Code.StaleDbVersion, Code.StaleEpoch, Code.StaleShardVersion})
INTERRUPTED = frozenset(
    {
        Code.ShutdownInProgress,
        Code.PrimarySteppedDown,
        Code.InterruptedAtShutdown,
        Code.InterruptedDueToReplStateChange,
    }
)


class Effect(Enum):
    """What sending a command a second time would do."""

    REPEATABLE = "nothing more than the first time"
    SINGLE = "perhaps do twice what is done as a whole or not at all"
    BATCH = "perhaps do twice what may have been done in part"
    STATEMENT = "confuse a transaction"
    BOUND = "miss what the first answer held"  # cursors


class Happened(Enum):
    """How an attempt failed."""

    NOT_SENT = "not sent"
    LOST = "lost"
    LATE = "late"
    REFUSED = "refused"


class Next(Enum):
    """What to do about it."""

    AGAIN = "again"
    REFRESH = "again with fresh metadata"
    REPORT = "report"


@dataclass(frozen=True)
class Failure:
    """A failed attempt; `code` is the server's where it refused."""

    happened: Happened
    reason: str
    code: int = 0


@dataclass
class Attempts:
    """The failed attempts of one command so far, and what they prove together."""

    effect: Effect
    starts_transaction: bool = False
    failures: list[Failure] = field(default_factory=list)

    @property
    def maybe_executed(self) -> bool:
        """Whether any attempt may have been executed."""
        return any(failure.happened is not Happened.REFUSED for failure in self._sent()) or any(
            failure.code in INTERRUPTED for failure in self.failures
        )

    def _sent(self) -> Iterable[Failure]:
        return (each for each in self.failures if each.happened is not Happened.NOT_SENT)

    def judge(self, failure: Failure) -> Next:
        """Note a failure and decide; the caller bounds the time that AGAIN and REFRESH take."""
        self.failures.append(failure)
        if failure.happened is Happened.LATE:
            return Next.REPORT
        if failure.happened is Happened.NOT_SENT:
            return Next.REPORT if self.effect is Effect.BOUND else Next.AGAIN
        if failure.happened is Happened.LOST or failure.code in INTERRUPTED:
            return self._repeat(Next.AGAIN)
        if failure.code in STALE:
            return self._stale()
        return Next.AGAIN if self._refused_whole() else Next.REPORT

    def answer_stands(self) -> bool:
        """Whether the server's last answer tells the client all that is known."""
        last = self.failures[-1]
        if last.happened is not Happened.REFUSED or self._refused_whole():
            return False
        return last.code in INTERRUPTED or not self.maybe_executed

    def _repeat(self, again: Next) -> Next:
        unknown = sum(
            each.happened is Happened.LOST or each.code in INTERRUPTED for each in self.failures
        )
        return again if self.effect is Effect.REPEATABLE and unknown < MAX_LOST else Next.REPORT

    def _stale(self) -> Next:
        tries = sum(each.code in STALE for each in self.failures)
        fixed = self.effect is Effect.STATEMENT and not self.starts_transaction
        may = not fixed and self.effect is not Effect.BOUND
        return Next.REFRESH if may and tries < MAX_STALE else Next.REPORT

    def _refused_whole(self) -> bool:
        code = self.failures[-1].code
        return code in DOOR and self.effect in {Effect.REPEATABLE, Effect.SINGLE}


def effect_of(command: Command) -> Effect:
    """What repeating this command would do."""
    session = command.session
    ends = command.name in {"commitTransaction", "abortTransaction"}
    if command.name in {"getMore", "killCursors"}:
        return Effect.BOUND
    if session and session.multi_statement and not ends:
        return Effect.STATEMENT
    if ends or not command.writes or (session and session.retryable_write):
        return Effect.REPEATABLE
    if command.spec.nature is Nature.DEFINE or command.name == "findAndModify":
        return Effect.SINGLE
    return Effect.SINGLE if _one_document(command) else Effect.BATCH


def _one_document(command: Command) -> bool:
    if command.spec.sequence is None or command.statement_count() != 1:
        return False
    if command.name == "insert":
        return True
    statement = next(command.statements())
    if command.name == "update":
        return not statement.truth("multi")
    return statement.integer("limit") == 1


def refusal(reply: Document) -> tuple[int, str] | None:
    """The code and reason of an answer that a failure of routing explains, else None.

    A batch tells of stale metadata by an error at each statement. Only where nothing had any
    effect (no `n`, nothing upserted, the first statement among the failed) is it a refusal.
    """
    if not reply.truth("ok"):
        code = reply.integer("code") or 0
        if code in DOOR or code in STALE or code in INTERRUPTED:
            return code, reply.text("errmsg") or ""
        return None
    if "writeErrors" not in reply or reply.truth("n") or "upserted" in reply:
        return None
    errors = reply.documents("writeErrors")
    codes = {error.integer("code") for error in errors}
    if errors and errors[0].integer("index") == 0 and codes <= STALE:
        return errors[0].integer("code") or 0, errors[0].text("errmsg") or ""
    return None


def error(command: Command, attempts: Attempts, *, change_stream: bool) -> CommandError:
    """What the client is told when the last failure ends it and the server gave no answer."""
    last = attempts.failures[-1]
    if last.happened is Happened.LATE:
        code, what = Code.NetworkTimeout, "no answer in time; the outcome is unknown"
    elif attempts.maybe_executed or attempts.effect is Effect.BOUND:
        code, what = Code.HostUnreachable, "connection lost; the outcome is unknown"
    else:
        code, what = Code.FailedToSatisfyReadPreference, "not executed"
    return CommandError(
        code, f"{what}: {last.reason}", labels=labels(command, code, change_stream=change_stream)
    )


def labels(command: Command, code: Code, *, change_stream: bool) -> tuple[str, ...]:
    """The labels by which drivers know what they may do about an error of the router's own."""
    session = command.session
    unknown = code in {Code.HostUnreachable, Code.NetworkTimeout}
    ends = command.name in {"commitTransaction", "abortTransaction"}
    if session and session.multi_statement and not ends:
        return (TRANSIENT_TRANSACTION,)
    if session and session.transaction is not None and unknown:
        return (RETRYABLE_WRITE,)
    return (RESUMABLE_CHANGE_STREAM,) * change_stream
