"""Assembles the client APIs on one FastAPI app."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from orchestrator.api.audio.uploads import Uploads
from orchestrator.api.errors import add_error_handlers
from orchestrator.api.http import openai_transcriptions as transcriptions
from orchestrator.api.http import rest, simple_websocket, stored, voice_consents, voices
from orchestrator.api.http.body_limits import BodyLimitMiddleware
from orchestrator.api.limits import ApiLimits
from orchestrator.api.ports import Sessions
from orchestrator.api.streaming import websocket

# Their bodies are recordings, with limits of their own.
_UPLOAD_PATHS = (rest.INTERACT_PATH, transcriptions.PATH, voices.PATH, voice_consents.PATH)


def conversation_routes(sessions: Sessions, uploads: Uploads, limits: ApiLimits) -> list[APIRouter]:
    """Return the routers of the native WebSocket, the simple WebSocket and REST."""
    return [
        websocket.routes(sessions, limits),
        simple_websocket.routes(sessions, uploads, limits),
        rest.routes(sessions, uploads, limits),
        stored.routes(sessions),
    ]


def add_routes(app: FastAPI, sessions: Sessions, limits: ApiLimits) -> Uploads:
    """Add the conversation APIs, error handlers and body limits to `app`; return the upload slots for other APIs."""
    uploads = Uploads(limits)
    for router in conversation_routes(sessions, uploads, limits):
        app.include_router(router)
    add_error_handlers(app)
    app.add_middleware(BodyLimitMiddleware, limits=limits, exempt=_UPLOAD_PATHS)
    return uploads
