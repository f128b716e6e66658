"""All HTTP doors on one app."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from orchestrator.edges import rest, simple_websocket, transcriptions, websocket
from orchestrator.edges.failures import add_failure_handlers
from orchestrator.edges.limits import EdgeLimits
from orchestrator.edges.ports import Sessions
from orchestrator.edges.small_bodies import SmallBodies
from orchestrator.edges.upload import Uploads


def routes(sessions: Sessions, uploads: Uploads, limits: EdgeLimits) -> list[APIRouter]:
    """The routers of the native WebSocket, the simple WebSocket, and REST."""
    return [
        websocket.routes(sessions, limits),
        simple_websocket.routes(sessions, uploads, limits),
        rest.routes(sessions, uploads, limits),
    ]


def add_doors(app: FastAPI, sessions: Sessions, limits: EdgeLimits) -> Uploads:
    """Put the doors and their way to fail on `app`; the places for recordings are returned for further doors."""
    uploads = Uploads(limits)
    for router in routes(sessions, uploads, limits):
        app.include_router(router)
    add_failure_handlers(app)
    app.add_middleware(SmallBodies, limits=limits, exempt=(rest.INTERACT, transcriptions.PATH))
    return uploads
