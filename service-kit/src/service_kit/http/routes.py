"""The HTTP door of every service: `/health`, `/ready`, `/metrics`, `/info`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import cast

import uvicorn
from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp

from service_kit.health import Health
from service_kit.http.websocket_limits import HttpTimeouts, PendingConnections, RateLimitedWebSocket, TimedHttp

# What `/info` says beside the engine; asked at every request, since voices come and go.
Details = Callable[[], Mapping[str, object]]


def health_routes(health: Health, details: Details) -> APIRouter:
    """The four routes. `/health` is liveness: it answers 503 only when a restart is the cure."""
    router = APIRouter(tags=["service"])

    @router.get("/health", summary="Whether this process is alive, and what it runs")
    async def get_health() -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse(health.describe(), 200 if health.alive else 503)

    @router.get("/ready", summary="Whether work is welcome")
    async def get_ready() -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse(health.describe(), 200 if health.ready else 503)

    @router.get("/metrics", summary="Prometheus metrics")
    async def get_metrics() -> Response:  # pyright: ignore[reportUnusedFunction]
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/info", summary="Engines, languages, voices, sample rates")
    async def get_info() -> dict[str, object]:  # pyright: ignore[reportUnusedFunction]
        return {"service": health.service, "engine": asdict(health.engine), **details()}

    return router


def http_app(health: Health, details: Details) -> FastAPI:
    """An app with nothing but the four routes."""
    app = FastAPI(title=health.service, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(health_routes(health, details))
    return app


class HttpServer(uvicorn.Server):
    """uvicorn inside a loop that somebody else owns: signals are that one's business."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def http_server(app: ASGIApp, host: str, port: int, patience: HttpTimeouts | None = None) -> HttpServer:
    """A server for `app`, with limits in place of uvicorn's defaults (16 MiB messages, deflate on)."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
        http=cast(
            type[TimedHttp], partial(TimedHttp, doorstep=PendingConnections(), patience=patience or HttpTimeouts())
        ),
        ws=RateLimitedWebSocket,
        ws_max_size=65_536,
        ws_max_queue=8,
        ws_per_message_deflate=False,
        # A client that is gone without a word is noticed within 10 s.
        ws_ping_interval=5,
        ws_ping_timeout=5,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    return HttpServer(config)
