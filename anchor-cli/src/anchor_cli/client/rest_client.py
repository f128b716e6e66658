"""Requests to the orchestrator's REST API, with its refusals and an absent mesh as `PeerFailed`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError
from service_kit.anchor_command import anchor_command
from service_kit.errors import PeerFailed

from anchor_cli.settings import MeshSettings

# Waking a model may read it from disk.
_TIMEOUT_S = 330.0

ModelT = TypeVar("ModelT", bound=BaseModel)


class _Error(BaseModel):
    code: str
    message: str


class _Refusal(BaseModel):
    error: _Error


@asynccontextmanager
async def open_rest_client(settings: MeshSettings) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the running mesh's orchestrator, with the shared secret."""
    # httpx encodes header values as ASCII; a secret may have other letters.
    headers = {name.encode(): value.encode() for name, value in settings.authorization.items()}
    async with httpx.AsyncClient(
        base_url=settings.address, headers=headers, timeout=_TIMEOUT_S, trust_env=False
    ) as http:
        yield http


async def request_bytes(http: httpx.AsyncClient, method: str, path: str, **content: Any) -> bytes:
    """The body of a response. Raises `PeerFailed` with the refusal, or when no anchor answers."""
    try:
        response = await http.request(method, path, **content)
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        start = anchor_command("up")
        raise PeerFailed(
            "mesh.not_running", f"no anchor responds at {http.base_url}: {reason}; start one with `{start}`"
        ) from error
    if response.is_success:
        return response.content
    try:
        refusal = _Refusal.model_validate_json(response.content).error
    except ValidationError as error:
        raise _no_anchor(http) from error
    raise PeerFailed(refusal.code, refusal.message)


async def request_model(http: httpx.AsyncClient, model: type[ModelT], method: str, path: str, **content: Any) -> ModelT:
    """The body of a response, parsed. Raises `PeerFailed` as `request_bytes`, and for another body."""
    body = await request_bytes(http, method, path, **content)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _no_anchor(http) from error


def _no_anchor(http: httpx.AsyncClient) -> PeerFailed:
    return PeerFailed("mesh.not_running", f"the server at {http.base_url} is not an anchor")
