"""Runs the Ollama stub on a port, and connects models to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ollama_stub import OllamaStub, StubSection
from orchestrator.conversation.model.ports import Persona, Prompt
from orchestrator.llm.ollama.engine import OllamaModel, OllamaSettings
from service_kit.http.server import http_server

PERSONA = Persona(id="nadia", name="Nadia", instructions="You are Nadia.", phrases={"en": {"fallback": "On my own:"}})
PROMPT = Prompt(text="What is new?", language="en", persona=PERSONA)
FAST = {"first_token_delay_ms": 0, "tokens_per_second": 5000, "replies": ("Good evening, Grüße nach Köln.",)}
# Long timeouts, for tests that are not about timeouts.
PATIENT = {"connect_s": 30, "between_tokens_s": 60, "unload_s": 30}


def reserve_port(port: int = 0) -> socket.socket:
    """Bind a socket without listening: its port is reserved, and connections to it are refused."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind(("127.0.0.1", port))
    return reserved


@asynccontextmanager
async def serve_stub(section: StubSection, port: int = 0) -> AsyncGenerator[tuple[str, OllamaStub]]:
    """Serve the stub; yields its URL and the stub. Uses a free port, or one that `reserve_port` holds."""
    stub = OllamaStub(section)
    server = http_server(stub.app(), "127.0.0.1", port)
    listener = reserve_port(port)
    task = asyncio.create_task(server.serve([listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", stub
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def connected_model(section: StubSection, **settings: object) -> AsyncGenerator[tuple[OllamaModel, OllamaStub]]:
    """Yield a model on the stub. It is loaded by the first reply, unless `settings` say otherwise."""
    async with serve_stub(section) as (url, stub):
        chosen = OllamaSettings.model_validate(
            {**PATIENT, "url": url, "model": "mistral", "preload": False, **settings}
        )
        async with OllamaModel(chosen) as model:
            yield model, stub
