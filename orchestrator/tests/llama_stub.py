"""A stand-in for llama.cpp's server that replays its recorded answers.

`llm/local/recorded.json` was recorded from xllamacpp 2026.10.11549 with Qwen2.5-Coder-1.5B-Instruct by
`tests/engines/record_local_llm.py`; `tests/engines/test_local_llm.py` compares it with the real server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app_server import serve_app
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

RECORDED: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "llm/local/recorded.json").read_text("utf-8"))
LOADING = '{"error":{"message":"Loading model","type":"unavailable_error","code":503}}'
SLOT_CONTENT = b"the slot's content"


@dataclass
class LlamaStub:
    """What the server does, and what it was asked for. `answer` replaces the recorded text when it is not None."""

    folder: Path
    answer: str | None = None
    loading: bool = False
    first_token_s: float = 0.0
    hangs: bool = False
    failing: bool = False
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    slot_actions: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    cancelled: int = 0

    @property
    def questions(self) -> list[str]:
        """The questions of all requests but those that prepare a passage."""
        return [request["messages"][-1]["content"] for request in self.requests if request["max_tokens"] > 1]

    @property
    def prepared(self) -> list[str]:
        """The system messages of the requests that prepare a passage."""
        return [request["messages"][0]["content"] for request in self.requests if request["max_tokens"] == 1]

    def events(self) -> Iterator[str]:
        """The recorded events of a completion, with another text if one is set."""
        recorded = [f"{event}\n\n" for event in RECORDED["completion"]["body"].strip().split("\n\n")]
        if self.answer is None:
            yield from recorded
            return
        first, piece, *_, last, done = recorded
        yield first
        template = json.loads(piece.removeprefix("data: "))
        for word in self.answer.split(" "):
            template["choices"][0]["delta"] = {"content": f"{word} "}
            yield f"data: {json.dumps(template)}\n\n"
        yield last
        yield done


def _replay(name: str) -> Response:
    answer = RECORDED[name]
    return Response(answer["body"], answer["status"], media_type=answer["type"])


def _app(stub: LlamaStub) -> FastAPI:
    app = FastAPI()

    @app.get("/health", response_model=None)
    async def health() -> Response:
        return Response(LOADING, 503, media_type="application/json") if stub.loading else _replay("health")

    @app.get("/v1/models", response_model=None)
    async def models() -> Response:
        return _replay("models")

    @app.post("/slots/0", response_model=None)
    async def slots(request: Request) -> Response:
        action, name = request.query_params["action"], (await request.json())["filename"]
        stub.slot_actions.append((action, name))
        if action == "restore":
            return _replay("restore" if (stub.folder / name).exists() else "restore_missing")
        stub.folder.mkdir(parents=True, exist_ok=True)
        (stub.folder / name).write_bytes(SLOT_CONTENT)
        body = json.loads(RECORDED["save"]["body"]) | {"filename": name, "n_written": len(SLOT_CONTENT)}
        return Response(json.dumps(body), media_type="application/json")

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request) -> Response:
        stub.requests.append(await request.json())
        if stub.failing:
            return Response('{"error":{"message":"broken","code":500}}', 500, media_type="application/json")
        return StreamingResponse(_stream(stub), media_type="text/event-stream")

    return app


async def _stream(stub: LlamaStub) -> AsyncGenerator[str]:
    try:
        await asyncio.sleep(3600 if stub.hangs else stub.first_token_s)
        for event in stub.events():
            yield event
    except asyncio.CancelledError:
        stub.cancelled += 1
        raise


@asynccontextmanager
async def serve_llama(stub: LlamaStub) -> AsyncGenerator[str]:
    """Serve on a free port; yields the URL."""
    async with serve_app(_app(stub)) as address:
        yield f"http://{address}"
