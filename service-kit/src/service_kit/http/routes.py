"""The HTTP routes of every service: `/health`, `/ready`, `/metrics`, `/info`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict

from fastapi import APIRouter, FastAPI, Response
from fastapi.encoders import jsonable_encoder
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service_kit.health import Health
from service_kit.safe_text import hide_credentials

# Further fields of `/info`; called for every request, since voices come and go.
Details = Callable[[], Mapping[str, object]]


def health_routes(health: Health, details: Details) -> APIRouter:
    """Return the four routes. `/health` is liveness: it answers 503 only when a restart helps."""
    router = APIRouter(tags=["service"])

    @router.get("/health", summary="Whether this process is alive, and what it runs")
    async def get_health() -> Response:  # pyright: ignore[reportUnusedFunction]
        return _json(health.describe(), 200 if health.alive else 503)

    @router.get("/ready", summary="Whether the service accepts work")
    async def get_ready() -> Response:  # pyright: ignore[reportUnusedFunction]
        return _json(health.describe(), 200 if health.ready else 503)

    @router.get("/metrics", summary="Prometheus metrics")
    async def get_metrics() -> Response:  # pyright: ignore[reportUnusedFunction]
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/info", summary="Engines, languages, voices, sample rates")
    async def get_info() -> Response:  # pyright: ignore[reportUnusedFunction]
        return _json({"service": health.service, "engine": asdict(health.engine), **details()})

    return router


def _json(body: Mapping[str, object], status: int = 200) -> Response:
    """A JSON response without the credentials of any URL in it: these routes are open, or open to every client."""
    content = hide_credentials(json.dumps(jsonable_encoder(body), ensure_ascii=False))
    return Response(content, status, media_type="application/json")


def http_app(health: Health, details: Details) -> FastAPI:
    """Return an app with only the four routes."""
    app = FastAPI(title=health.service, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(health_routes(health, details))
    return app
