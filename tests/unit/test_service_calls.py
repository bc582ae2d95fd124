"""Deadline, retries and circuit breaker, and which errors count as unavailability."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext

import psycopg
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from psycopg_pool import PoolTimeout
from pymongo.errors import (
    AutoReconnect,
    DuplicateKeyError,
    OperationFailure,
    WriteConcernError,
)
from redis.exceptions import ConnectionError as LostConnectionError
from redis.exceptions import ResponseError

from manifests.services.settings import Breaker
from postgres.guarantees import UnconfirmedCommitError
from skillswap_ops.services.base import calls, problems
from skillswap_ops.services.base.calls import OPEN, TRIES, Caller, UnavailableError, Way
from skillswap_ops.services.base.metrics import Metrics
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.stores import mongo, postgres, redis, s3


class Broken:
    """A dependency that fails as often as it is told."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.left = failures
        self.calls = 0
        self._error = error or ConnectionError("gone")

    async def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self._error
        return "answer"


def gone(error: Exception) -> str | None:
    return "no connection" if isinstance(error, ConnectionError) else None


def caller(failures: int = 3, seconds: float = 5, pause: float = 0.05) -> tuple[Caller, Metrics]:
    metrics = Metrics("test", "test-1", "1")
    breaker = Breaker(failures=failures, seconds=pause)
    return Caller(Way("store", seconds, gone), breaker, metrics), metrics


def state(metrics: Metrics) -> str:
    (found,) = [
        name
        for name in ("closed", "half-opened", "opened")
        if metrics.registry.get_sample_value(
            "skillswap_breaker_state", {"dependency": "store", "state": name}
        )
    ]
    return found


def outcomes(metrics: Metrics, outcome: str) -> float:
    labels = {"dependency": "store", "operation": "op", "outcome": outcome}
    return metrics.registry.get_sample_value("skillswap_dependency_calls_total", labels) or 0.0


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


def test_what_is_safe_is_tried_again() -> None:
    async def work() -> None:
        calls, metrics = caller(failures=10)
        broken = Broken(TRIES - 1)
        assert await calls.call("op", broken, again=True) == "answer"
        assert broken.calls == TRIES
        assert outcomes(metrics, "ok") == 1

    run(work)


def test_what_is_not_safe_is_tried_once() -> None:
    async def work() -> None:
        calls, metrics = caller()
        broken = Broken(1)
        with pytest.raises(UnavailableError, match="no connection"):
            await calls.call("op", broken)
        assert broken.calls == 1
        assert outcomes(metrics, "unavailable") == 1

    run(work)


def test_the_breaker_opens_lets_one_through_and_closes() -> None:
    async def work() -> None:
        calls, metrics = caller(failures=3)
        broken = Broken(4)
        assert state(metrics) == "closed"
        for _ in range(3):
            with pytest.raises(UnavailableError):
                await calls.call("op", broken)
        assert state(metrics) == "opened"
        with pytest.raises(UnavailableError, match=OPEN):
            await calls.call("op", broken, again=True)
        assert broken.calls == 3
        assert outcomes(metrics, "open") == 1
        await asyncio.sleep(0.06)
        with pytest.raises(UnavailableError, match="no connection"):
            await calls.call("op", broken)
        assert state(metrics) == "opened"
        await asyncio.sleep(0.06)
        assert await calls.call("op", broken) == "answer"
        assert state(metrics) == "closed"

    run(work)


def test_answers_do_not_open_the_breaker() -> None:
    async def work() -> None:
        calls, metrics = caller(failures=1)
        for error in (ValueError("a bug"), ApiError(problems.NOT_FOUND)):
            with pytest.raises(type(error)):
                await calls.call("op", Broken(1, error), again=True)
        assert state(metrics) == "closed"

    run(work)


def test_silence_ends_at_the_deadline_and_opens_the_breaker() -> None:
    async def silent() -> None:
        await asyncio.sleep(60)

    async def work() -> None:
        calls, metrics = caller(failures=1, seconds=0.05)
        with pytest.raises(UnavailableError, match=r"no answer within 0\.05 s"):
            await calls.call("op", silent, again=True)
        assert state(metrics) == "opened"

    run(work)


def http(status: int) -> ClientError:
    return ClientError({"ResponseMetadata": {"HTTPStatusCode": status}}, "op")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("translate", "error", "away"),
    [
        (mongo.unavailable, AutoReconnect("x"), True),
        (mongo.unavailable, WriteConcernError("x", 64), True),
        (mongo.unavailable, OperationFailure("x", 10107), True),
        (mongo.unavailable, OperationFailure("x", 133), True),
        (mongo.unavailable, OperationFailure("x", 121), False),
        (mongo.unavailable, OperationFailure("x", 13), False),
        (mongo.unavailable, DuplicateKeyError("x", 11000), False),
        (mongo.unavailable, ValueError("x"), False),
        (postgres.unavailable, psycopg.OperationalError("lost"), True),
        (postgres.unavailable, psycopg.errors.AdminShutdown("x"), True),
        (postgres.unavailable, psycopg.errors.ReadOnlySqlTransaction("x"), True),
        (postgres.unavailable, psycopg.errors.TooManyConnections("x"), True),
        (postgres.unavailable, UnconfirmedCommitError("x"), True),
        (postgres.unavailable, PoolTimeout("x"), True),
        (postgres.unavailable, psycopg.errors.CheckViolation("x"), False),
        (postgres.unavailable, psycopg.errors.UndefinedTable("x"), False),
        (postgres.unavailable, psycopg.ProgrammingError("x"), False),
        (redis.unavailable, LostConnectionError("x"), True),
        (redis.unavailable, ResponseError("OOM command not allowed"), True),
        (redis.unavailable, ResponseError("WRONGTYPE"), False),
        (s3.unavailable, EndpointConnectionError(endpoint_url="x"), True),
        (s3.unavailable, http(503), True),
        (s3.unavailable, http(403), False),
    ],
)
def test_which_errors_mean_that_a_store_is_away(
    translate: Callable[[Exception], str | None], error: Exception, *, away: bool
) -> None:
    assert (translate(error) is not None) is away


def test_a_driver_that_has_its_own_deadline_is_never_cancelled() -> None:
    """pymongo's pool counts a cancelled operation as under way for ever."""
    told: list[float] = []
    ended: list[str] = []

    def bound(seconds: float) -> AbstractContextManager[None]:
        told.append(seconds)
        return nullcontext()

    async def slow() -> str:
        try:
            await asyncio.sleep(0.3)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        ended.append("by itself")
        raise ConnectionError("too late for anybody")

    async def work() -> None:
        way = Way("store", 0.1, gone, bound=bound)
        made = Caller(way, Breaker(failures=3, seconds=5), Metrics("test", "test-1", "1"))
        with pytest.raises(UnavailableError, match=r"no answer within 0\.1 s"):
            await made.call("op", slow)
        outer = asyncio.ensure_future(made.call("op", slow))
        await asyncio.sleep(0.01)
        outer.cancel()  # the request's own deadline
        with pytest.raises(asyncio.CancelledError):
            await outer
        await asyncio.sleep(0.5)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "GRACE", 0.05)
        run(work)
    assert ended == ["by itself", "by itself"]
    assert told == [pytest.approx(0.1, abs=0.05)] * 2
