"""The life of a service: listen, load, work, drain, stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import uvloop
from fastapi import FastAPI

from service_kit.engines.info import EngineInfo
from service_kit.errors import AnchorError
from service_kit.health import Health, Status
from service_kit.http.routes import Details, http_app, http_server
from service_kit.observability import tracing
from service_kit.observability.logging import configure_logging
from service_kit.rpc.server import MAX_MESSAGE_BYTES, GrpcServer, Servicer
from service_kit.settings import ServiceSettings
from service_kit.tasks import stop_task

log = logging.getLogger(__name__)


class Service:
    """One service: two doors, and between them something that takes a while to load.

    `lifespan` is entered after the doors are open (so that health can be asked while a model loads) and left after
    they are closed; inside it, the service is ready. `app` replaces the plain HTTP app, which then must include
    `service_kit.http.routes.health_routes` for the same `health`. With `multiplex`, clients may call on a
    multiplexed channel. While the latest item of `unavailability` is not empty, the service is not ready.
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
    ) -> None:
        self.health = health
        self.grpc_port = settings.grpc_port
        self.http_port = settings.http_port
        self._settings = settings
        self._lifespan = lifespan
        self._unavailability = unavailability
        self._grpc = GrpcServer(health, servicers, settings.reflection, multiplex, max_message_bytes)
        self._http = http_server(app or http_app(health, details), settings.host, settings.http_port)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Raises `OSError` for a taken port, and whatever the lifespan raises."""
        async with tracing.exporting(self.health.service, self._settings):
            await self._serve(stop)

    async def _serve(self, stop: asyncio.Event) -> None:
        self.grpc_port = await self._grpc.start(self._settings.host, self._settings.grpc_port)
        http = asyncio.create_task(self._http.serve(), name="http")
        try:
            await self._until_listening(http)
            async with self._lifespan():
                self.health.move_to(Status.READY)
                await self._grpc.set_ready(True)
                _spare_the_collector()
                log.info("service ready", extra={"grpc_port": self.grpc_port, "http_port": self.http_port})
                following = asyncio.create_task(self._follow(), name="readiness")
                try:
                    await self._until_stopped(stop, http, following)
                finally:
                    await stop_task(following)
                self.health.move_to(Status.DRAINING)
                await self._grpc.stop(self._settings.drain_s)
        finally:
            await self._grpc.stop(0)
            self._http.should_exit = True
            await http
            log.info("service stopped")

    async def _follow(self) -> None:
        """Be ready or not as the engine says, until cancelled; an engine that says no more stays as it is."""
        if self._unavailability is not None:
            async for lack in self._unavailability():
                self.health.move_to(Status.LOADING if lack else Status.READY, lack)
                await self._grpc.set_ready(not lack)
                log.warning("readiness changed", extra={"ready": not lack, "reason": lack})
        await asyncio.Event().wait()

    async def _until_listening(self, http: asyncio.Task[None]) -> None:
        while not self._http.started:
            if http.done():
                # uvicorn has logged the cause and left with SystemExit or without a word.
                raise OSError(f"cannot listen on {self._settings.host}:{self._settings.http_port} for HTTP")
            await asyncio.sleep(0.01)
        self.http_port = self._http.servers[0].sockets[0].getsockname()[1]

    async def _until_stopped(self, stop: asyncio.Event, *working: asyncio.Task[None]) -> None:
        """Wait for `stop`, or for the end of what should work until then."""
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((stopped, *working), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()


def _spare_the_collector() -> None:
    """Leave what was loaded for good out of garbage collection, and collect the rest less often.

    The audio path makes no cycles; by default the collector walked all modules several times a second for it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def new_health(name: str, engine: EngineInfo, settings: ServiceSettings) -> Health:
    """Set up logging for the service `name` and return its state."""
    configure_logging(name, settings.log_level, settings.log_format)
    return Health(name, engine)


def main(build: Callable[[], Service]) -> None:
    """Build and run a service as the whole of a process; exit 1 with one readable line when it cannot start."""

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await build().run(stop)

    try:
        uvloop.run(run())
    except (OSError, AnchorError) as error:
        log.error("service could not start", extra={"reason": str(error)})
        # Again for people: the log may not be set up yet, or be read by a machine.
        sys.exit(f"service could not start: {error}")
