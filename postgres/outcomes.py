"""What an answer, or the lack of one, proves about a write: the one table that decides.

The write is a single INSERT in autocommit, sent by the simple protocol. It is `failed` only where
the evidence proves that it did not commit; whatever leaves a doubt is `unknown`, and the read-back
tells. SQLSTATEs are PostgreSQL's (Appendix A); pgbouncer reports its own errors as 08P01.
"""

from cluster.drill.outcome import ACKED, Outcome, Result
from cluster.drill.proof import Rule, failed, unknown
from postgres.wire import End, Reply, ServerError

ERROR = "ERROR"  # the transaction was rolled back, the session goes on


# Errors that end the session (FATAL). A FATAL can come after the commit too, so each needs a proof.
FATAL: dict[str, Rule] = {
    "28000": failed("invalid_authorization_specification", "refused at login"),
    "28P01": failed("invalid_password", "refused at login"),
    "3D000": failed("invalid_catalog_name", "refused at login"),
    "53300": failed("too_many_connections", "refused at login"),
    "57P03": failed("cannot_connect_now", "refused at login: starting, stopping or in recovery"),
    "57P01": unknown("admin_shutdown", "may arrive behind the commit, before its answer"),
    "57P02": unknown("crash_shutdown", "the backend was ended at any point, perhaps committed"),
}
# pgbouncer's own messages about a client that it had given no server: nothing left the pooler.
POOLER_NEVER_SENT = (
    "query_wait_timeout",
    "server login has been failing",
    "client_login_timeout",
    "no more connections allowed",
    "pgbouncer cannot connect",
    "server login failed",
)
# Errors of a statement (ERROR) with names worth telling apart; all others are failed as well.
NAMES = {
    "25006": "read_only_sql_transaction",
    "40001": "serialization_failure",
    "40P01": "deadlock_detected",
    "42P01": "undefined_table",
    "42501": "insufficient_privilege",
    "53100": "disk_full",
    "57014": "query_canceled",
}
CONNECT = "connect"


def result(reply: Reply) -> Result:
    """The outcome of a write from all that came back for it."""
    if reply.end is End.NOT_SENT:
        return Result(Outcome.FAILED, "connection known to be lost before sending", reopen=True)
    if reply.error is not None:
        rule = rule_of(reply.error)
        # After an error the session is given up: a pooler may stand before another server.
        return Result(rule.outcome, rule.name, reopen=True)
    if reply.end is End.TIMEOUT:
        return Result(Outcome.UNKNOWN, "timeout after send", reopen=True)
    if reply.end is End.LOST or not reply.completed:
        return Result(Outcome.UNKNOWN, "connection lost after send", reopen=True)
    if reply.warnings:
        # "canceling wait for synchronous replication": committed here, perhaps nowhere else.
        return Result(Outcome.UNKNOWN, "committed with a warning", reopen=True)
    return ACKED


def not_connected(error: Exception) -> Result:
    """The outcome of a write whose connection could not be made: nothing was sent."""
    sqlstate = getattr(error, "sqlstate", None)
    reason = f"{sqlstate}" if sqlstate else _kind(str(error))
    return Result(Outcome.FAILED, f"{CONNECT}: {reason}", reopen=True)


def rule_of(error: ServerError) -> Rule:
    """What an error that a server reported proves."""
    if error.severity == ERROR:
        # Once the commit record is written PostgreSQL cannot report an ERROR any more: it would
        # be a PANIC. A wait for the standby that is given up is a WARNING, not an ERROR.
        name = NAMES.get(error.sqlstate, "error")
        return failed(f"{error.sqlstate} {name}", "rolled back")
    if error.sqlstate == "08P01":
        if error.message.startswith(POOLER_NEVER_SENT):
            return failed("08P01 pgbouncer: no server", "the pooler had not passed it on")
        return unknown("08P01 pgbouncer: server lost", "the pooler had passed it on")
    rule = FATAL.get(error.sqlstate)
    if rule is None:
        return unknown(f"{error.sqlstate} fatal", "no proof that it did not commit")
    return Rule(f"{error.sqlstate} {rule.name}", rule.outcome, rule.why)


def _kind(text: str) -> str:
    """A stable word for an error of connecting, without addresses."""
    for words, kind in (
        ("refused", "refused"),
        ("timeout", "timeout"),
        ("timed out", "timeout"),
        ("closed the connection", "closed at once"),
        ("no more connections", "too many connections"),
    ):
        if words in text:
            return kind
    return "error"
