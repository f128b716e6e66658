"""`/memory`: parking and waking engines on request."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx
import pytest
from fastapi import FastAPI
from orchestrator.api.access import AccessMiddleware, AccessPolicy
from orchestrator.api.errors import add_error_handlers
from orchestrator.api.http import engines as memory
from pydantic import SecretStr
from service_kit.errors import AtCapacity, NotFound


class FakeParking:
    """Two engines; `tts` is in use."""

    def __init__(self) -> None:
        self.states = {"llm": "awake", "tts": "awake"}

    async def park(self, name: str) -> None:
        if name == "tts":
            raise AtCapacity("tts.in_use", "the engine is in use")
        self._move(name, "parked")

    async def wake(self, name: str) -> None:
        self._move(name, "awake")

    def _move(self, name: str, state: str) -> None:
        if name not in self.states:
            raise NotFound("memory.unknown_engine", f"no engine {name!r}")
        self.states[name] = state


@pytest.fixture
async def http() -> AsyncGenerator[httpx.AsyncClient]:
    engines = FakeParking()
    app = FastAPI()
    app.include_router(memory.routes(engines, lambda: {"steps": [], "engines": engines.states}))
    add_error_handlers(app)
    app.add_middleware(AccessMiddleware, policy=AccessPolicy(secret=SecretStr("s3cret"), hosts=None))
    headers = {"Authorization": "Bearer s3cret"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://anchor", headers=headers
    ) as client:
        yield client


async def test_engine_is_parked_and_woken_by_name(http):
    assert (await http.post("/memory/llm/park")).json()["engines"]["llm"] == "parked"
    assert (await http.get("/memory")).json()["engines"] == {"llm": "parked", "tts": "awake"}
    assert (await http.post("/memory/llm/wake")).json()["engines"]["llm"] == "awake"


async def test_engine_in_use_is_refused_with_the_reason(http):
    answer = await http.post("/memory/tts/park")
    assert answer.status_code == 503
    assert answer.json()["error"] == {
        "code": "tts.in_use",
        "message": "the engine is in use",
        "retryable": True,
    }


async def test_unknown_engine_is_not_found(http):
    assert (await http.post("/memory/vad/park")).status_code == 404


@pytest.mark.parametrize(("method", "path"), [("GET", "/memory"), ("POST", "/memory/llm/park")])
async def test_memory_endpoints_require_the_secret(http, method, path):
    answer = await http.request(method, path, headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401
