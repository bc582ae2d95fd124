"""What an answer of the API, or its absence, proves about a request: the one table that decides.

A request is `FAILED` only where it is certain that no try of it has been executed. The edge tries
again by itself: HAProxy what was never sent (its `retry-on`), the gateway what carries an
Idempotency-Key. An answer about the last try alone then proves nothing about the ones before.
"""

from dataclasses import replace
from enum import Enum
from json import JSONDecodeError

import httpx

from cluster.drill.outcome import ACKED, Outcome, Result
from cluster.drill.proof import Rule, failed, unknown

TYPE_PREFIX = "urn:skillswap:problem:"
BLANK = "about:blank"  # the type of what a proxy itself answers (manifests/templates/web.cfg.j2)
REASON_REPEATED = "after a possible retry"


class Sent(Enum):
    """How often a request may have reached a service.

    `KEYED`: the gateway may repeat it, unseen. `REPEATED`: an earlier try of our own ended unknown.
    """

    ONCE = "once"
    KEYED = "keyed"
    REPEATED = "repeated"


# httpx raises these while it connects, or before: nothing was written.
# https://www.python-httpx.org/exceptions/
NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)
# The first class that fits decides.
BY_CLASS: tuple[tuple[type[Exception], Rule], ...] = (
    (httpx.ReadTimeout, unknown("timeout after send", "the service may have executed it")),
    (httpx.WriteTimeout, unknown("timeout while sending", "the service may have it whole")),
    (httpx.RemoteProtocolError, unknown("connection lost after send", "no whole answer came")),
    (httpx.NetworkError, unknown("connection lost after send", "no whole answer came")),
)

# Beside the problem's type. Every other 4xx is a refusal before anything is written: a service
# looks at what a repeated request has written before it refuses it (docs/decisions/write-chain.md).
BY_SLUG: dict[str, Rule] = {
    "conflict": unknown("409 conflict", "the id is the request's own: an earlier try has put it"),
    "in-progress": unknown("409 in-progress", "an earlier try is still running"),
    "not-configured": failed("501 not-configured", "refused before anything is asked of a store"),
}
# A proxy says so when it has had no server to send it to.
NO_INSTANCE = failed("503 no instance", "the proxy has sent it to nobody")


def result(answer: httpx.Response, sent: Sent = Sent.ONCE) -> Result:
    """The outcome of a request that was answered; its reason names no user and no address."""
    if answer.is_success:
        return ACKED
    return _settled(rule_of(answer, sent), sent)


def result_of_error(error: Exception, sent: Sent = Sent.ONCE) -> Result:
    """The outcome of a request that was not answered; the connection is not used again."""
    if isinstance(error, NOT_SENT):
        rule = failed(f"not sent: {type(error).__name__}", "no connection was made")
    else:
        why = "no proof that it did not execute"
        rules = (rule for kind, rule in BY_CLASS if isinstance(error, kind))
        rule = next(rules, unknown(type(error).__name__, why))
    return replace(_settled(rule, sent), reopen=True)


def rule_of(answer: httpx.Response, sent: Sent) -> Rule:
    """What an answer other than success proves of the try that it answers."""
    kind, status = problem_type(answer), answer.status_code
    slug = kind.removeprefix(TYPE_PREFIX)
    if slug in BY_SLUG:
        return BY_SLUG[slug]
    name = f"{status} {slug}" if kind.startswith(TYPE_PREFIX) else f"{status} by a proxy"
    if kind == BLANK and status == 503 and sent is not Sent.KEYED:
        return NO_INSTANCE
    if 400 <= status < 500:
        return failed(name, "refused before execution")
    return unknown(name, "a store or a service may have executed it")


def problem_type(answer: httpx.Response) -> str:
    """The type of an RFC 9457 document; "" where the answer is none."""
    try:
        document = answer.json()
    except (JSONDecodeError, UnicodeDecodeError):
        return ""
    kind = document.get("type") if isinstance(document, dict) else None
    return kind if isinstance(kind, str) else ""


def _settled(rule: Rule, sent: Sent) -> Result:
    if rule.outcome is Outcome.FAILED and sent is Sent.REPEATED:
        return Result(Outcome.UNKNOWN, f"{rule.name} {REASON_REPEATED}")
    return Result(rule.outcome, rule.name)
