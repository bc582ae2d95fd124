"""Redis: fan-out between chat instances, and the gateway's counters. Nothing lasts there."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis as Client
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as LostConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as NoAnswerError

from manifests.redis_client import secured
from manifests.services.settings import RedisStore, Settings
from skillswap_ops.services.base.calls import Caller, Way
from skillswap_ops.services.base.current import Current
from skillswap_ops.services.base.metrics import Metrics

NAME = "redis"
T = TypeVar("T")
SECONDS = 1.0  # it answers in a millisecond or not at all


class Redis:
    """One instance's connections to Redis."""

    def __init__(
        self,
        store: RedisStore,
        settings: Settings,
        metrics: Metrics,
        current: Current | None = None,
    ) -> None:
        self.client = Client(
            host=store.host,
            port=store.port,
            credential_provider=_Password(store.user, current or Current(settings)),
            socket_timeout=SECONDS,
            socket_connect_timeout=SECONDS,
            health_check_interval=10,
            client_name=settings.instance,
            **secured(settings.tls.trust if settings.tls else ""),
        )
        self._caller = Caller(Way(NAME, SECONDS, unavailable), settings.breaker, metrics)

    async def call(self, operation: str, work: Callable[[], Awaitable[T]]) -> T:
        """The answer of `work`. Raises UnavailableError."""
        return await self._caller.call(operation, work)

    async def ping(self) -> None:
        """Raises whatever the driver does where it does not answer."""
        await self.client.ping()

    def renew(self) -> None:
        """Nothing: each new connection asks for its password."""

    async def close(self) -> None:
        """End the connections."""
        await self.client.aclose()


class _Password(CredentialProvider):
    """The password as it is when a connection is opened; Redis takes two while it is changed."""

    def __init__(self, user: str, current: Current) -> None:
        self._user, self._current = user, current

    def get_credentials(self) -> tuple[str, str]:
        """User and password."""
        return self._user, self._current.passwords(NAME).now

    async def get_credentials_async(self) -> tuple[str, str]:
        """The same."""
        return self.get_credentials()


def unavailable(error: Exception) -> str | None:
    """Why Redis is unavailable by this error; None where it is an answer."""
    if isinstance(error, LostConnectionError | NoAnswerError):
        return "no connection"
    if isinstance(error, RedisError) and str(error).startswith(("LOADING", "OOM", "READONLY")):
        return "the server cannot answer now"
    return None
