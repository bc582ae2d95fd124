"""Runs an application until SIGTERM, drains, and ends with what is in flight finished."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from cluster.tls_context import ServerContext
from manifests.services.settings import Settings
from skillswap_ops.services.base.logs import logger
from skillswap_ops.services.base.runtime import Runtime

LOOK_TICKS = 50  # five seconds


class Server(uvicorn.Server):
    """uvicorn, whose end is ours: it would stop to listen at the first signal.

    `secured` is what it shows its clients, looked at every few seconds; `renew` takes secrets that
    were changed, and says whether there were any.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        secured: ServerContext | None,
        renew: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(config)
        self._secured = secured
        self._renew = renew
        if secured is not None:
            config.load()
            config.ssl = secured.context

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second, by uvicorn; whether it is to end."""
        if counter % LOOK_TICKS == 0:
            self._look()
        return await super().on_tick(counter)

    def _look(self) -> None:
        if self._renew():
            logger().info("secrets renewed")
        try:
            if self._secured is not None and self._secured.refresh():
                logger().info("certificate renewed")
        except OSError as error:
            logger().warning("the new certificate cannot be read", why=str(error))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: `serve` has its own handlers, and exit code 0."""
        yield


async def serve(app: FastAPI, settings: Settings) -> bool:
    """Serve until SIGTERM or SIGINT and the drain after it. False where it could not start."""
    runtime: Runtime = app.state.runtime
    server = Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="on",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=round(settings.deadlines.request) + 1,
            ws="websockets-sansio",
            ws_max_size=settings.limits.body_bytes,
        ),
        ServerContext(Path(settings.tls.certificate)) if settings.tls else None,
        runtime.renew,
    )
    drains: set[asyncio.Task[None]] = set()

    def on_signal() -> None:
        if not runtime.draining:
            runtime.draining = True
            drains.add(asyncio.get_running_loop().create_task(_drain(server, settings)))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    logger().info("starting", host=settings.host, port=settings.port, version=settings.version)
    try:
        await server.serve()
    except SystemExit:  # uvicorn's answer to a port that is taken; it has logged why
        return False
    logger().info("stopped")
    return server.started


async def _drain(server: Server, settings: Settings) -> None:
    """Go on serving while proxies learn from /readyz that no more should come."""
    logger().info("draining", seconds=settings.drain_seconds)
    await asyncio.sleep(settings.drain_seconds)
    server.should_exit = True
