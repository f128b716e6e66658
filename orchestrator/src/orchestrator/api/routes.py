"""All HTTP doors on one app."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from orchestrator.api.audio.uploads import Uploads
from orchestrator.api.http import openai_transcriptions as transcriptions
from orchestrator.api.http import rest
from orchestrator.api.http.body_limits import BodyLimitMiddleware
from orchestrator.api.http.errors import add_error_handlers
from orchestrator.api.limits import ApiLimits
from orchestrator.api.ports import Sessions
from orchestrator.api.streaming import simple_websocket, websocket


def routes(sessions: Sessions, uploads: Uploads, limits: ApiLimits) -> list[APIRouter]:
    """The routers of the native WebSocket, the simple WebSocket, and REST."""
    return [
        websocket.routes(sessions, limits),
        simple_websocket.routes(sessions, uploads, limits),
        rest.routes(sessions, uploads, limits),
    ]


def add_routes(app: FastAPI, sessions: Sessions, limits: ApiLimits) -> Uploads:
    """Put the doors and their way to fail on `app`; the places for recordings are returned for further doors."""
    uploads = Uploads(limits)
    for router in routes(sessions, uploads, limits):
        app.include_router(router)
    add_error_handlers(app)
    app.add_middleware(BodyLimitMiddleware, limits=limits, exempt=(rest.INTERACT, transcriptions.PATH))
    return uploads
