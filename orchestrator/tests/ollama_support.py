"""A stand-in for Ollama that listens, and clients for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ollama_stub import OllamaStub, StubSection
from orchestrator.conversation.model.ports import Persona, Prompt
from orchestrator.llm.ollama.engine import OllamaModel, OllamaSettings
from service_kit.http.routes import http_server

PERSONA = Persona(id="nadia", name="Nadia", instructions="You are Nadia.", phrases={"en": {"fallback": "On my own:"}})
PROMPT = Prompt(text="What is new?", language="en", persona=PERSONA)
FAST = {"first_token_delay_ms": 0, "tokens_per_second": 5000, "replies": ("Good evening, Grüße nach Köln.",)}
# The deadlines of a client, for tests that are not about them.
PATIENT = {"connect_s": 30, "first_token_s": 60, "between_tokens_s": 60, "unload_s": 30}


def reserve_port(port: int = 0) -> socket.socket:
    """A socket that does not listen yet; while it is open, nobody else gets its port, and who asks there is refused."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound


@asynccontextmanager
async def serve_stub(section: StubSection, port: int = 0) -> AsyncGenerator[tuple[str, OllamaStub]]:
    """The stand-in and its address; by default on a free port, else on one that is `bound`."""
    stub = OllamaStub(section)
    server = http_server(stub.app(), "127.0.0.1", port)
    door = reserve_port(port)
    task = asyncio.create_task(server.serve([door]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}", stub
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def connected_model(section: StubSection, **settings: object) -> AsyncGenerator[tuple[OllamaModel, OllamaStub]]:
    """A model whose server is the stand-in. It is loaded with the first reply, unless `settings` say otherwise."""
    async with serve_stub(section) as (url, stub):
        chosen = OllamaSettings.model_validate(
            {**PATIENT, "url": url, "model": "mistral", "preload": False, **settings}
        )
        async with OllamaModel(chosen) as model:
            yield model, stub
