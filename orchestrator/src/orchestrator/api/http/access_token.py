"""`/access/token`: a single-use token, which a site's own server requests and hands to its page."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from orchestrator.api.callers import caller_of
from orchestrator.api.single_use_tokens import LIFETIME_S, SingleUseTokens

PATH = "/access/token"


def routes(tokens: SingleUseTokens) -> APIRouter:
    """Return the router of `/access/token`."""
    router = APIRouter(tags=["access"])

    @router.post(PATH, summary="Create a token that opens one WebSocket", status_code=201)
    async def create(request: Request, response: Response) -> dict[str, object]:  # pyright: ignore[reportUnusedFunction]
        response.headers["Cache-Control"] = "no-store"
        return {"token": tokens.issue(caller_of(request)), "expires_in_s": LIFETIME_S}

    return router
