"""The life cycle of a service: listen, load, work, drain, stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import uvloop
from fastapi import FastAPI
from pydantic import ValidationError
from pydantic_settings import SettingsError

from service_kit.engines.info import EngineInfo
from service_kit.errors import AnchorError, root_cause
from service_kit.health import Health, Status
from service_kit.http.routes import Details, http_app
from service_kit.http.server import http_server
from service_kit.observability import tracing
from service_kit.observability.logging import configure_logging
from service_kit.observability.metrics import TASKS
from service_kit.rpc.server import MAX_MESSAGE_BYTES, GrpcServer, Servicer
from service_kit.setting_problems import setting_problems_line
from service_kit.settings import ServiceSettings
from service_kit.tasks import background

log = logging.getLogger(__name__)


class Service:
    """One service: a gRPC server, an HTTP server, and a lifespan that may take a while to load.

    `lifespan` is entered once both servers listen, so that health answers while a model loads, and left after they have
    stopped; inside it the service is ready. `app` replaces the plain HTTP app and must include
    `service_kit.http.routes.health_routes` for the same `health`. With `multiplex`, clients may call on a
    multiplexed channel. While the latest item of `unavailability` is not empty, the service is not ready.

    After `stop`, the service is not ready, and `drain` ends its work in bounded time while both servers still answer.
    """

    def __init__(
        self,
        *,
        settings: ServiceSettings,
        health: Health,
        servicers: Sequence[Servicer],
        lifespan: Callable[[], AbstractAsyncContextManager[object]],
        details: Details = dict,
        app: FastAPI | None = None,
        multiplex: bool = False,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        unavailability: Callable[[], AsyncIterator[str]] | None = None,
        drain: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.health = health
        self.grpc_port = settings.grpc_port
        self.http_port = settings.http_port
        self._settings = settings
        self._lifespan = lifespan
        self._unavailability = unavailability
        self._drain = drain
        self._grpc = GrpcServer(health, servicers, settings.reflection, multiplex, max_message_bytes)
        self._http = http_server(app or http_app(health, details), settings.host, settings.http_port)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Raises `OSError` for a taken port, and the errors of the lifespan."""
        loop = asyncio.get_running_loop()
        TASKS.set_function(lambda: len(asyncio.all_tasks(loop)))
        async with tracing.exporting(self.health.service, self._settings):
            await self._serve(stop)

    async def _serve(self, stop: asyncio.Event) -> None:
        self.grpc_port = await self._grpc.start(self._settings.host, self._settings.grpc_port)
        http = asyncio.create_task(self._http.serve(), name="http")
        try:
            await self._wait_listening(http)
            async with self._lifespan():
                self.health.move_to(Status.READY)
                await self._grpc.set_ready(True)
                _tune_garbage_collector()
                log.info("service ready", extra={"grpc_port": self.grpc_port, "http_port": self.http_port})
                async with background(self._follow_readiness(), "readiness") as following:
                    await self._wait_stopped(stop, http, following)
                self.health.move_to(Status.DRAINING)
                await self._grpc.set_ready(False)
                if self._drain is not None:
                    await self._drain()
                await self._grpc.stop(self._settings.drain_s)
        finally:
            await self._grpc.stop(0)
            self._http.should_exit = True
            await http
            log.info("service stopped")

    async def _follow_readiness(self) -> None:
        """Apply the engine's readiness until cancelled; when its reports end, the last one stays in force."""
        if self._unavailability is not None:
            async for reason in self._unavailability():
                self.health.move_to(Status.LOADING if reason else Status.READY, reason)
                await self._grpc.set_ready(not reason)
                log.warning("readiness changed", extra={"ready": not reason, "reason": reason})
        await asyncio.Event().wait()

    async def _wait_listening(self, http: asyncio.Task[None]) -> None:
        while not self._http.started:
            if http.done():
                # uvicorn has logged the cause, and raised SystemExit or returned.
                raise OSError(f"cannot listen on {self._settings.host}:{self._settings.http_port} for HTTP")
            await asyncio.sleep(0.01)
        self.http_port = self._http.servers[0].sockets[0].getsockname()[1]

    async def _wait_stopped(self, stop: asyncio.Event, *working: asyncio.Task[None]) -> None:
        """Wait for `stop`, or for the end of a task that should run until then."""
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((stopped, *working), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()


def _tune_garbage_collector() -> None:
    """Exclude the objects loaded so far from garbage collection, and collect the others less often.

    The audio path creates no reference cycles; by default the collector walked all modules several times a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def new_health(name: str, engine: EngineInfo, settings: ServiceSettings) -> Health:
    """Set up logging for the service `name` and return its state."""
    configure_logging(name, settings.log_level, settings.log_format)
    return Health(name, engine)


def main(build: Callable[[], Service]) -> None:
    """Build and run a service as this process; exit with status 1 and one readable line when it cannot start."""

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await build().run(stop)

    try:
        uvloop.run(run())
    except Exception as failure:
        # Engines run in task groups, which wrap the error that ended them.
        error = root_cause(failure)
        if isinstance(error, ValidationError | SettingsError):
            reason = f"{setting_problems_line(error)}; .env.example has the values"
        elif isinstance(error, OSError | AnchorError):
            reason = str(error)
        else:
            raise
        if logging.getLogger().handlers:
            log.error("service could not start", extra={"reason": reason})
        # Also in plain text: the log may be JSON, or not set up yet.
        sys.exit(f"service could not start: {reason}")
