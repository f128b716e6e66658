"""The HTTP server of a service: uvicorn inside an event loop of ours, with limits."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from service_kit.addresses import bare_host
from service_kit.http.connection_limits import HttpTimeouts, PendingConnections, RateLimitedWebSocket, TimedHttp

# How often the server looks whether it should end, and renews the date of its responses. uvicorn does so ten times a
# second, for half of the processor time of an idle service.
_TICK_S = 0.5


class HttpServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the owner of the event loop, and lets an idle one sleep."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def main_loop(self) -> None:
        """Wait until `should_exit` is set."""
        # The tick with the number 0 renews the date.
        while not await self.on_tick(0):  # noqa: ASYNC110
            await asyncio.sleep(_TICK_S)


def http_server(app: ASGIApp, host: str, port: int, timeouts: HttpTimeouts | None = None) -> HttpServer:
    """Return a server for `app` with tighter limits than uvicorn's defaults (16 MiB messages, deflate on)."""
    http_protocol = partial(TimedHttp, pending=PendingConnections(), timeouts=timeouts or HttpTimeouts())
    config = uvicorn.Config(
        app,
        host=bare_host(host),
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
        http=cast(type[TimedHttp], http_protocol),
        ws=RateLimitedWebSocket,
        ws_max_size=65_536,
        ws_max_queue=8,
        ws_per_message_deflate=False,
        # A client that vanished is noticed within 10 s.
        ws_ping_interval=5,
        ws_ping_timeout=5,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    return HttpServer(config)
