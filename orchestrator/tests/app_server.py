"""Serves an app on a free port, for tests that need real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from service_kit.http.server import http_server


@asynccontextmanager
async def serve_app(app: FastAPI) -> AsyncGenerator[str]:
    """Serve `app`; yields its `host:port`."""
    server = http_server(app, "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.005)
    try:
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
