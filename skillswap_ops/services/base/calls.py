"""How a service calls what it depends on: a deadline, retries where safe, a circuit breaker.

The breaker is purgatory's: made for asyncio (pybreaker's async side wants Tornado, aiobreaker has
not been kept since 2021), tells its state changes to a listener, and counts only the errors that
it is asked to.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.messages.events import ContextChanged
from purgatory.domain.model import OpenedState
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    stop_any,
    wait_random_exponential,
)

from manifests.services.settings import Breaker
from skillswap_ops.services.base import problems
from skillswap_ops.services.base.logs import logger
from skillswap_ops.services.base.metrics import Metrics
from skillswap_ops.services.base.problems import ApiError

T = TypeVar("T")

OPEN = "circuit breaker open"
TRIES = 4
FIRST_PAUSE = 0.05  # seconds; the bound doubles with each try, the pause is drawn below it
LONGEST_PAUSE = 1.0
LEAST = 0.05  # seconds: a driver's deadline is above zero
GRACE = 1.0  # seconds in which a driver that has been told its deadline says so itself


class UnavailableError(ApiError):
    """A store or service did not answer as it should; what was asked may have been done or not."""

    def __init__(self, dependency: str, why: str) -> None:
        super().__init__(problems.UNAVAILABLE, f"{dependency} is unavailable: {why}")
        self.dependency = dependency
        self.why = why


@dataclass(frozen=True)
class Way:
    """How calls to one dependency are made. `translate` tells its unavailability by the error.

    `translate` returns why it is unavailable, or None where the error is an answer. `bound` makes
    the driver itself give up after so many seconds: then a call is never cancelled (pymongo's pool
    counts a cancelled one as under way for ever, and is full after a few), and what it still comes
    to after the deadline and `GRACE` is nobody's.
    """

    dependency: str
    seconds: float
    translate: Callable[[Exception], str | None]
    bound: Callable[[float], AbstractContextManager[object]] | None = None


class Caller:
    """Makes the calls of one instance to one dependency."""

    def __init__(self, way: Way, breaker: Breaker, metrics: Metrics) -> None:
        self._way = way
        self._metrics = metrics
        self._factory = AsyncCircuitBreakerFactory(
            default_threshold=breaker.failures,
            default_ttl=breaker.seconds,
            exclude=[(BaseException, lambda error: not isinstance(error, UnavailableError))],
        )
        self._factory.add_listener(self._changed)
        metrics.breaker(way.dependency, "closed")

    async def call(
        self, operation: str, work: Callable[[], Awaitable[T]], *, again: bool = False
    ) -> T:
        """The answer of `work`, tried `again` after a pause where that cannot do it twice.

        Raises UnavailableError when the deadline has passed, the dependency is unreachable or the
        breaker is open; any other error of `work` as it is.
        """
        began, outcome = time.monotonic(), "error"
        try:
            answer = await self._tried(work, again=again)
            outcome = "ok"
            return answer
        except UnavailableError as error:
            outcome = "open" if error.why == OPEN else "unavailable"
            raise
        finally:
            seconds = time.monotonic() - began
            self._metrics.call(self._way.dependency, operation, outcome, seconds)

    async def _tried(self, work: Callable[[], Awaitable[T]], *, again: bool) -> T:
        until = asyncio.get_running_loop().time() + self._way.seconds
        attempts = AsyncRetrying(
            stop=stop_any(
                stop_after_attempt(TRIES if again else 1), stop_after_delay(self._way.seconds)
            ),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        return await attempts(self._once, work, until)

    async def _once(self, work: Callable[[], Awaitable[T]], until: float) -> T:
        """One try; the deadline ends it inside the breaker, which counts it as a failure."""
        breaker = await self._factory.get_breaker(self._way.dependency)
        try:
            async with breaker:
                with self._translated():
                    return await self._bounded(work, until)
        except OpenedState as error:
            raise UnavailableError(self._way.dependency, OPEN) from error

    async def _bounded(self, work: Callable[[], Awaitable[T]], until: float) -> T:
        bound = self._way.bound
        if bound is None:
            async with asyncio.timeout_at(until):
                return await work()
        left = max(LEAST, until - asyncio.get_running_loop().time())
        with bound(left):
            return await uncancelled(work, left + GRACE)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ApiError:
            raise
        except TimeoutError as error:
            late = f"no answer within {self._way.seconds:g} s"
            raise UnavailableError(self._way.dependency, late) from error
        except Exception as error:
            why = self._way.translate(error)
            if why is None:
                raise
            raise UnavailableError(self._way.dependency, why) from error

    def _changed(self, dependency: str, what: str, event: object) -> None:
        if what == "state_changed" and isinstance(event, ContextChanged):
            self._metrics.breaker(dependency, event.state)
            logger().warning("breaker", dependency=dependency, state=event.state)


async def uncancelled(work: Callable[[], Awaitable[T]], seconds: float) -> T:
    """The answer of `work`, which goes on to its own end when nobody waits for it any more.

    Raises TimeoutError after `seconds`.
    """
    under_way = asyncio.ensure_future(_as_coroutine(work))
    under_way.add_done_callback(_heard)
    async with asyncio.timeout(seconds):
        return await asyncio.shield(under_way)


async def _as_coroutine(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


def _heard(task: "asyncio.Future[Any]") -> None:
    """Whatever it came to: nobody may be waiting for it any more."""
    if not task.cancelled():
        task.exception()


def _may_pass(error: BaseException) -> bool:
    """Whether another try makes sense: not while the breaker is open."""
    return isinstance(error, UnavailableError) and error.why != OPEN
