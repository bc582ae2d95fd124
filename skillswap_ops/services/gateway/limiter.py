"""How many requests somebody may make: the `limits` library, counting in Redis.

While Redis is away each gateway instance counts for itself, so that a client has the limit once an
instance: neither everybody is refused, nor is anybody let loose.
"""

import math
import time
from urllib.parse import quote

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.exceptions import RedisError

from manifests.redis_client import secured
from manifests.services.settings import Limits, RedisStore, ServiceTls
from skillswap_ops.services.base import problems
from skillswap_ops.services.base.calls import UnavailableError
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.stores.redis import Redis

Item = RateLimitItemPerMinute
PREFIX = "gateway"
SECONDS = 0.5  # Redis answers in a millisecond; a request does not wait longer for its count


def storage(store: RedisStore, tls: ServiceTls | None) -> RedisStorage:
    """Redis for the library, with short deadlines."""
    scheme = "async+rediss" if tls else "async+redis"
    options = secured(tls.trust) if tls else {}
    options.pop("ssl", None)  # the scheme says it
    user, password = quote(store.user), quote(store.password.get_secret_value(), safe="")
    return RedisStorage(
        f"{scheme}://{user}:{password}@{store.host}:{store.port}/0",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=PREFIX,
        socket_timeout=SECONDS,
        socket_connect_timeout=SECONDS,
        **options,
    )


class Limiter:
    """Counts in Redis, or here while it is away."""

    def __init__(
        self, limits: Limits, redis: Redis, store: RedisStore, tls: ServiceTls | None
    ) -> None:
        self._redis = redis
        self._shared = SlidingWindowCounterRateLimiter(storage(store, tls))
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._user = Item(limits.user_per_minute, namespace="user")
        self._address = Item(limits.anonymous_per_minute, namespace="address")
        self._login = Item(limits.login_per_minute, namespace="login")

    async def user(self, user: str) -> None:
        """A logged-in user's request. Raises ApiError (429)."""
        await self._count(self._user, user)

    async def anonymous(self, address: str, *, costly: bool) -> None:
        """A request without a token. Raises ApiError (429)."""
        await self._count(self._login if costly else self._address, address)

    async def _count(self, item: Item, key: str) -> None:
        try:
            allowed, reset = await self._redis.call("count", lambda: _hit(self._shared, item, key))
        except (UnavailableError, StorageError, RedisError):
            allowed, reset = await _hit(self._own, item, key)
        if not allowed:
            wait = str(max(1, math.ceil(reset - time.time())))
            raise ApiError(problems.TOO_MANY, f"{item}", headers={"Retry-After": wait})


async def _hit(
    strategy: SlidingWindowCounterRateLimiter, item: Item, key: str
) -> tuple[bool, float]:
    try:
        if await strategy.hit(item, key):
            return True, 0.0
        return False, (await strategy.get_window_stats(item, key)).reset_time
    except StorageError as error:
        raise _cause(error) from error


def _cause(error: StorageError) -> Exception:
    """The driver's own error, by which the breaker knows that Redis is away."""
    return error.storage_error if isinstance(error.storage_error, Exception) else error
