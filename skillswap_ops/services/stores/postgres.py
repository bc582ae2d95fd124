"""PostgreSQL through both proxies' pooled port: synchronous commits, deadlines, a breaker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, LiteralString, Self, TypeAlias, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from manifests.services.settings import PostgresStore, Settings
from postgres.client import secured
from postgres.guarantees import UnconfirmedCommitError, async_transaction
from skillswap_ops.services.base import problems
from skillswap_ops.services.base.calls import Caller, Way
from skillswap_ops.services.base.current import Current
from skillswap_ops.services.base.metrics import Metrics
from skillswap_ops.services.base.problems import ApiError

NAME = "postgres"
Row = dict[str, Any]
Connection: TypeAlias = "AsyncConnection[Row]"
T = TypeVar("T")

POOL_LEAST, POOL_MOST = 1, 10  # pgbouncer shares the server's connections between instances
CONNECT_SECONDS = 2  # a host; libpq's least
LIFETIME_SECONDS = 600
REFUSED = "authentication failed"  # of PostgreSQL and of pgbouncer; the driver has no code for it
# SQLSTATE classes and codes by which the server or pooler says that it cannot now.
PASSING_CLASSES = ("08", "53", "57P")
PASSING = {"25006", "40001", "40P01", "57014"}  # 25006: a former primary, read-only by now


class _Connection(AsyncConnection[Row]):
    """Logs in with the password that is in force, or with the one that is about to be."""

    @classmethod
    async def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
        """With `passwords` in place of `password`. Raises psycopg's error of the last try."""
        first, *others = kwargs.pop("passwords")()
        try:
            return await super().connect(conninfo, password=first, **kwargs)
        except psycopg.OperationalError as error:
            if not others or REFUSED not in str(error):
                raise
        return await super().connect(conninfo, password=others[0], **kwargs)


class Postgres:
    """One instance's connections to PostgreSQL."""

    def __init__(
        self,
        store: PostgresStore,
        settings: Settings,
        metrics: Metrics,
        current: Current | None = None,
    ) -> None:
        known = current or Current(settings)
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            kwargs={
                "host": ",".join(store.hosts),
                "port": store.port,
                "dbname": store.dbname,
                "user": store.user,
                "passwords": lambda: known.passwords(NAME).all,
                "connect_timeout": CONNECT_SECONDS,
                "application_name": settings.instance,
                "prepare_threshold": None,  # pgbouncer pools by transaction
                "autocommit": True,
                "row_factory": dict_row,
                "tcp_user_timeout": round(settings.deadlines.store * 1000),
                "keepalives_idle": 5,
                **secured(settings.tls.trust if settings.tls else ""),
            },
            connection_class=_Connection,
            min_size=POOL_LEAST,
            max_size=POOL_MOST,
            max_lifetime=LIFETIME_SECONDS,
            timeout=settings.deadlines.store,
            # A proxy that went away leaves connections that look alive: asked before each use.
            check=AsyncConnectionPool.check_connection,
            open=False,
        )
        self._caller = Caller(
            Way(NAME, settings.deadlines.store, unavailable), settings.breaker, metrics
        )

    async def open(self) -> None:
        """Begin to connect, without waiting for it."""
        await self._pool.open(wait=False)

    async def read(self, operation: str, query: LiteralString, *values: object) -> list[Row]:
        """The rows of a query; tried again where the server failed meanwhile."""

        async def work() -> list[Row]:
            async with self._pool.connection() as connection:
                return await (await connection.execute(query, values)).fetchall()

        return await self._caller.call(operation, work, again=True)

    async def write(
        self,
        operation: str,
        work: Callable[[Connection], Awaitable[T]],
        *,
        again: bool = False,
    ) -> T:
        """The answer of `work`, done in one transaction that commits as payments must.

        `again` where a second execution changes nothing. Raises UnavailableError where it is not
        known whether it is committed on both sides.
        """

        async def transaction() -> T:
            try:
                async with self._transaction() as connection:
                    return await work(connection)
            except UniqueViolation as error:
                raise ApiError(problems.CONFLICT) from error

        return await self._caller.call(operation, transaction, again=again)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._pool.connection() as connection, async_transaction(connection):
            yield connection

    async def ping(self) -> None:
        """Raises whatever the driver does where no proxy leads to a primary."""
        async with self._pool.connection() as connection:
            await connection.execute("SELECT 1")

    def renew(self) -> None:
        """Nothing: each new connection asks for its password."""

    async def close(self) -> None:
        """End the connections."""
        await self._pool.close()


def unavailable(error: Exception) -> str | None:
    """Why PostgreSQL is unavailable by this error; None where it is an answer."""
    if isinstance(error, UnconfirmedCommitError):
        return "the commit is not confirmed by the standby"
    if isinstance(error, PoolTimeout):
        return "no connection in time"
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate
    if state is None:
        return "no connection to the primary" if isinstance(error, _LOST) else None
    if state in PASSING or state.startswith(PASSING_CLASSES):
        return "the server cannot answer now"
    return None


_LOST = (psycopg.OperationalError, psycopg.InterfaceError)
