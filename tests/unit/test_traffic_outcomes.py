"""The HTTP client's error table, row by row."""

import httpx
import pytest

from cluster.drill.outcome import ACKED, Outcome, Result
from skillswap_ops.services.base import problems
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.traffic.outcomes import (
    TYPE_PREFIX,
    Sent,
    problem_type,
    result,
    result_of_error,
)

FAILED, UNKNOWN = Outcome.FAILED, Outcome.UNKNOWN


def said(kind: problems.Kind) -> httpx.Response:
    """What a service answers."""
    return httpx.Response(kind.status, json=problems.document(ApiError(kind), "r-1"))


def by_a_proxy(status: int) -> httpx.Response:
    """What manifests/templates/web.cfg.j2 has a proxy answer."""
    return httpx.Response(status, json={"type": "about:blank", "status": status})


ERRORS = [
    (httpx.ConnectError("refused"), FAILED, "not sent: ConnectError"),
    (httpx.ConnectTimeout("slow"), FAILED, "not sent: ConnectTimeout"),
    (httpx.PoolTimeout("none free"), FAILED, "not sent: PoolTimeout"),
    (httpx.UnsupportedProtocol("ftp"), FAILED, "not sent: UnsupportedProtocol"),
    (httpx.ReadTimeout("slow"), UNKNOWN, "timeout after send"),
    (httpx.WriteTimeout("slow"), UNKNOWN, "timeout while sending"),
    (httpx.RemoteProtocolError("no answer"), UNKNOWN, "connection lost after send"),
    (httpx.ReadError("reset"), UNKNOWN, "connection lost after send"),
    (httpx.WriteError("reset"), UNKNOWN, "connection lost after send"),
    (httpx.CloseError("reset"), UNKNOWN, "connection lost after send"),
    (httpx.DecodingError("gzip"), UNKNOWN, "DecodingError"),
]
ANSWERS = [
    (said(problems.MALFORMED), FAILED, "400 malformed"),
    (said(problems.UNAUTHENTICATED), FAILED, "401 unauthenticated"),
    (said(problems.FORBIDDEN), FAILED, "403 forbidden"),
    (said(problems.NOT_FOUND), FAILED, "404 not-found"),
    (said(problems.CONFLICT), UNKNOWN, "409 conflict"),
    (said(problems.WRONG_STATE), FAILED, "409 wrong-state"),
    (said(problems.IN_PROGRESS), UNKNOWN, "409 in-progress"),
    (said(problems.TOO_LARGE), FAILED, "413 too-large"),
    (said(problems.KEY_REUSED), FAILED, "422 idempotency-key-reused"),
    (said(problems.TOO_MANY), FAILED, "429 too-many-requests"),
    (said(problems.INTERNAL), UNKNOWN, "500 internal"),
    (said(problems.NOT_CONFIGURED), FAILED, "501 not-configured"),
    (said(problems.BAD_UPSTREAM), UNKNOWN, "502 bad-upstream"),
    (said(problems.UNAVAILABLE), UNKNOWN, "503 unavailable"),
    (said(problems.TIMEOUT), UNKNOWN, "504 timeout"),
    (by_a_proxy(408), FAILED, "408 by a proxy"),
    (by_a_proxy(502), UNKNOWN, "502 by a proxy"),
    (by_a_proxy(503), FAILED, "503 no instance"),
    (by_a_proxy(504), UNKNOWN, "504 by a proxy"),
    (httpx.Response(503, text="<html>"), UNKNOWN, "503 by a proxy"),
    (httpx.Response(503, json=["no", "problem"]), UNKNOWN, "503 by a proxy"),
    (httpx.Response(503, json={"type": 7}), UNKNOWN, "503 by a proxy"),
    (httpx.Response(302), UNKNOWN, "302 by a proxy"),
    (httpx.Response(399), UNKNOWN, "399 by a proxy"),
    (httpx.Response(499), FAILED, "499 by a proxy"),
    (httpx.Response(500), UNKNOWN, "500 by a proxy"),
]


@pytest.mark.parametrize(("error", "outcome", "reason"), ERRORS)
def test_no_answer(error: Exception, outcome: Outcome, reason: str) -> None:
    assert result_of_error(error) == Result(outcome, reason, reopen=True)


@pytest.mark.parametrize(("answer", "outcome", "reason"), ANSWERS)
def test_an_answer_to_one_try(answer: httpx.Response, outcome: Outcome, reason: str) -> None:
    assert result(answer) == Result(outcome, reason)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("sent", Sent)
def test_success(status: int, sent: Sent) -> None:
    assert result(httpx.Response(status), sent) is ACKED


@pytest.mark.parametrize(("answer", "outcome", "reason"), ANSWERS)
def test_after_an_unknown_try_nothing_is_proved(
    answer: httpx.Response, outcome: Outcome, reason: str
) -> None:
    expected = f"{reason} after a possible retry" if outcome is FAILED else reason
    assert result(answer, Sent.REPEATED) == Result(UNKNOWN, expected)


@pytest.mark.parametrize(("error", "outcome", "reason"), ERRORS)
def test_nor_by_silence(error: Exception, outcome: Outcome, reason: str) -> None:
    expected = f"{reason} after a possible retry" if outcome is FAILED else reason
    assert result_of_error(error, Sent.REPEATED) == Result(UNKNOWN, expected, reopen=True)


def test_a_proxy_without_an_instance_proves_nothing_of_what_the_gateway_has_repeated() -> None:
    assert result(by_a_proxy(503), Sent.KEYED) == Result(UNKNOWN, "503 by a proxy")


def test_a_refusal_of_a_request_with_a_key_is_one() -> None:
    assert result(said(problems.NOT_FOUND), Sent.KEYED) == Result(FAILED, "404 not-found")


def test_every_problem_of_the_services_has_a_row() -> None:
    rows = {problem_type(answer) for answer, _, _ in ANSWERS}
    kinds = [kind for kind in vars(problems).values() if isinstance(kind, problems.Kind)]
    # Alike in all that the table looks at: a 4xx without a row of its own, or a 503.
    alike = {"wrong-credentials", "refresh-token-reused", "banned", "method-not-allowed"}
    alike |= {"invalid", "declined", "draining"}
    assert {TYPE_PREFIX + kind.slug for kind in kinds if kind.slug not in alike} <= rows


def test_reasons_name_no_address() -> None:
    error = httpx.ConnectError("http://127.103.1.1:8080 refused")
    assert "127." not in result_of_error(error).reason
