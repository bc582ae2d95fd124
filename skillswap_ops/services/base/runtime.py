"""What one instance has at hand: settings, stores, tokens, metrics, and whether it is draining."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from cluster.errors import InvalidInputError
from manifests.services.settings import Settings
from skillswap_ops.services.base.calls import uncancelled
from skillswap_ops.services.base.current import Current
from skillswap_ops.services.base.metrics import Metrics
from skillswap_ops.services.base.tokens import Tokens
from skillswap_ops.services.base.upstreams import Upstreams

# A driver takes some ten MB of each instance: it is imported where its store is needed.
if TYPE_CHECKING:
    from skillswap_ops.services.stores.mongo import Mongo
    from skillswap_ops.services.stores.postgres import Postgres
    from skillswap_ops.services.stores.redis import Redis
    from skillswap_ops.services.stores.s3 import S3

PING_SECONDS = 2.0
FRESH_SECONDS = 1.0  # two proxies ask every instance; the stores need not hear each of them


class Store(Protocol):
    """What readiness and shutdown need of a store."""

    async def ping(self) -> None:
        """Raises where it cannot be reached."""
        ...

    def renew(self) -> None:
        """Take the password that is in force now for what is opened from here on."""
        ...

    async def close(self) -> None:
        """End the connections."""
        ...


@dataclass(frozen=True)
class Health:
    """Which stores do not answer; `soft` ones are done without, as the service documents."""

    hard: tuple[str, ...] = ()
    soft: tuple[str, ...] = ()


class Runtime:
    """One instance. Raises InvalidInputError where the settings lack a store that it `needs`.

    `current` are the settings' secrets as they are now.
    """

    def __init__(
        self,
        settings: Settings,
        needs: frozenset[str],
        soft: frozenset[str] = frozenset(),
        current: Current | None = None,
    ) -> None:
        for name in sorted(needs):
            if getattr(settings, name) is None:
                raise InvalidInputError(f"{name}: is required by the service {settings.service}")
        self.settings = settings
        self.metrics = Metrics(settings.service, settings.instance, settings.version)
        self._current = current = current or Current(settings)
        self.tokens = Tokens(settings.jwt, latest=lambda: current.jwt, renew=current.refresh)
        self.upstreams = Upstreams(settings, self.tokens, self.metrics)
        self.draining = False
        self._soft = soft
        self._stores: dict[str, Store] = {}
        self._health = Health()
        self._asked = float("-inf")
        self._asking = asyncio.Lock()
        if "mongo" in needs and settings.mongo:
            from skillswap_ops.services.stores.mongo import Mongo

            self._stores["mongo"] = Mongo(settings.mongo, settings, self.metrics, current)
        if "postgres" in needs and settings.postgres:
            from skillswap_ops.services.stores.postgres import Postgres

            self._stores["postgres"] = Postgres(settings.postgres, settings, self.metrics, current)
        if "redis" in needs and settings.redis:
            from skillswap_ops.services.stores.redis import Redis

            self._stores["redis"] = Redis(settings.redis, settings, self.metrics, current)
        if "s3" in needs and settings.s3:
            from skillswap_ops.services.stores.s3 import S3

            self._stores["s3"] = S3(settings.s3, settings, self.metrics)

    @property
    def mongo(self) -> "Mongo":
        """MongoDB."""
        return cast("Mongo", self._stores["mongo"])  # put there by __init__

    @property
    def postgres(self) -> "Postgres":
        """PostgreSQL."""
        return cast("Postgres", self._stores["postgres"])  # put there by __init__

    @property
    def redis(self) -> "Redis":
        """Redis."""
        return cast("Redis", self._stores["redis"])  # put there by __init__

    @property
    def s3(self) -> "S3":
        """The object store."""
        return cast("S3", self._stores["s3"])  # put there by __init__

    async def open(self) -> None:
        """Begin to connect."""
        if "postgres" in self._stores:
            await self.postgres.open()

    def renew(self) -> bool:
        """Take the secrets that were changed; whether any were, since anybody looked last."""
        changed = self._current.refresh()
        for store in self._stores.values():
            store.renew()
        return changed

    async def close(self) -> None:
        """End all connections."""
        async with AsyncExitStack() as stack:
            for store in self._stores.values():
                stack.push_async_callback(store.close)
            stack.push_async_callback(self.upstreams.close)

    async def health(self) -> Health:
        """Which stores do not answer now, or did not within the last second."""
        async with self._asking:
            if time.monotonic() - self._asked > FRESH_SECONDS:
                self._health = await self._ask()
                self._asked = time.monotonic()
        return self._health

    async def _ask(self) -> Health:
        names = list(self._stores)
        answers = await asyncio.gather(*(_answers(self._stores[name].ping) for name in names))
        silent = [name for name, answered in zip(names, answers, strict=True) if not answered]
        return Health(
            tuple(name for name in silent if name not in self._soft),
            tuple(name for name in silent if name in self._soft),
        )


async def _answers(ping: Callable[[], Awaitable[None]]) -> bool:
    try:
        await uncancelled(ping, PING_SECONDS)
    except Exception:  # noqa: BLE001 - whatever the driver says, the store does not answer
        return False
    return True


def runtime(connection: HTTPConnection) -> Runtime:
    """The running instance, as a FastAPI dependency."""
    found: Runtime = connection.app.state.runtime
    return found


At = Annotated[Runtime, Depends(runtime)]
