"""An Ollama stub: its HTTP API without a model, so that the client is tested against a real server.

    python orchestrator/tests/ollama_stub.py --port 11434 --script script.toml

It plays section `[llm]` of a script on `/api/chat`, simulates pulling and loading on `/api/pull` and an empty
`/api/generate`, and serves `/api/tags`, `/api/ps` and `/api/version`. Beside the faults of every scripted engine it
simulates those of a stream (`WireFault`) and of a pull (`PullFault`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import uvloop
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse
from orchestrator.llm.scripted import LlmSection, apply_fault, sleep_until, token_due_s, tokenize, trigger_fault
from pydantic import BaseModel, Field
from service_kit.engines.script import load_section
from service_kit.errors import EngineFailed
from service_kit.http.server import http_server

_MODEL_BYTES = 14_333_910_080


class WireFault(StrEnum):
    """Faults of a streamed response."""

    # The last line stops in the middle.
    TRUNCATED_LINE = "truncated_line"
    # All text, but no line that says `done`.
    NO_DONE = "no_done"
    # The queue is full: HTTP 503.
    BUSY = "busy"


class PullFault(StrEnum):
    """Faults half-way through a pull."""

    # A line with an error, as for a full disk.
    ERROR = "error"
    # The stream ends without success.
    BROKEN = "broken"


class StubSection(LlmSection):
    """Section `[llm]` with the stub's additional fields."""

    # The one downloaded model; when empty, every model counts as downloaded.
    model: str = ""
    # Another model that can be pulled, its size in bytes, and the time of each tenth.
    pullable: str = ""
    pull_bytes: int = Field(default=1_000_000, ge=10)
    pull_step_ms: float = Field(default=1, ge=0)
    # Breaks the first pull.
    pull_fault: PullFault | None = None
    # The time of loading and unloading, and the share of the model in GPU memory.
    load_ms: float = Field(default=0, ge=0)
    unload_ms: float = Field(default=0, ge=0)
    gpu_share: float = Field(default=1, ge=0, le=1)
    # Breaks the request `fault_at`, in place of `fault`.
    wire_fault: WireFault | None = None

    def wire_fault_of(self, number: int) -> WireFault | None:
        """Return the wire fault of the `number`-th request, counted from 1."""
        return self.wire_fault if number == self.fault_at or (self.fault_lasts and number > self.fault_at) else None


class ChatMessage(BaseModel):
    """A message of the conversation."""

    role: str
    content: str = ""


class ChatOptions(BaseModel):
    """The options that the stub honours."""

    num_predict: int = -1


class ChatRequest(BaseModel):
    """The body of `/api/chat`; other fields are ignored, as Ollama does."""

    model: str
    messages: list[ChatMessage] = Field(default_factory=list[ChatMessage])
    options: ChatOptions = ChatOptions()


class OllamaStub:
    """The stub's state and its received requests, for tests to inspect."""

    def __init__(self, section: StubSection) -> None:
        self._section = section
        self.requests: list[dict[str, object]] = []
        self.loads: list[dict[str, object]] = []
        self.pulls = 0
        self.pulled = {section.model or "scripted"} if section.model or not section.pullable else set[str]()
        self.loaded = set[str]()
        # Requests whose client is still connected.
        self.open = 0

    def app(self) -> FastAPI:
        """The HTTP app."""
        app = FastAPI(title="ollama stub", openapi_url=None)
        app.get("/api/version")(self.version)
        app.get("/api/tags")(self.tags)
        app.get("/api/ps")(self.running)
        app.post("/api/chat", response_model=None)(self.chat)
        app.post("/api/generate", response_model=None)(self.generate)
        app.post("/api/pull", response_model=None)(self.pull)
        return app

    async def version(self) -> dict[str, str]:
        return {"version": "0.0.0-scripted"}

    async def tags(self) -> dict[str, object]:
        return {"models": [_listed(name) for name in sorted(self.pulled)]}

    async def running(self) -> dict[str, object]:
        gpu_bytes = round(_MODEL_BYTES * self._section.gpu_share)
        return {"models": [{**_listed(name), "size_vram": gpu_bytes} for name in sorted(self.loaded)]}

    async def generate(self, body: dict[str, object]) -> Response:
        """Load or unload the model, since there is no prompt; 404 for one that is not downloaded."""
        name = str(body["model"])
        if body.get("keep_alive") == 0 and self._has(name):
            return self._unload(name)
        self.loads.append(body)
        if not self._has(name):
            return _not_found(name)
        await asyncio.sleep(self._section.load_ms / 1000)
        self.loaded.add(name)
        return StreamingResponse(iter([_line(name, {"response": "", "done": True, "done_reason": "load"})]))

    def _unload(self, name: str) -> Response:
        """Unload as Ollama does: respond first, and end the runner a little later."""
        asyncio.get_running_loop().call_later(self._section.unload_ms / 1000, self.loaded.discard, name)
        return StreamingResponse(iter([_line(name, {"response": "", "done": True, "done_reason": "unload"})]))

    async def pull(self, body: dict[str, object]) -> Response:
        """Stream the progress of a pull."""
        self.pulls += 1
        return StreamingResponse(self._pull_lines(str(body["model"])), media_type="application/x-ndjson")

    async def _pull_lines(self, name: str) -> AsyncIterator[bytes]:
        yield _status("pulling manifest")
        if name != self._section.pullable:
            yield json.dumps({"error": "pull model manifest: file does not exist"}).encode() + b"\n"
            return
        total = self._section.pull_bytes
        for step in range(11):
            await asyncio.sleep(self._section.pull_step_ms / 1000)
            yield _status("pulling 0123456789ab", digest="sha256:01", total=total, completed=total * step // 10)
            if step == 5 and self._section.pull_fault and self.pulls == 1:
                if self._section.pull_fault is PullFault.ERROR:
                    yield json.dumps({"error": "no space left on device"}).encode() + b"\n"
                return
        for status in ("verifying sha256 digest", "writing manifest"):
            yield _status(status)
        self.pulled.add(name)
        yield _status("success")

    def _has(self, name: str) -> bool:
        return name in self.pulled or not (self._section.model or self._section.pullable)

    async def chat(self, body: dict[str, object]) -> Response:
        """Stream a reply, or return Ollama's error."""
        request = ChatRequest.model_validate(body)
        self.requests.append(body)
        number = len(self.requests)
        if not self._has(request.model):
            return _not_found(request.model)
        if self._section.wire_fault_of(number) is WireFault.BUSY:
            reason = "server busy, please try again.  maximum pending requests exceeded"
            return JSONResponse({"error": reason}, 503)
        self.loaded.add(request.model)
        return StreamingResponse(self._lines(request, number), media_type="application/x-ndjson")

    async def _lines(self, request: ChatRequest, number: int) -> AsyncIterator[bytes]:
        section, started_s, started_ns = self._section, asyncio.get_running_loop().time(), time.monotonic_ns()
        turn = sum(message.role == "user" for message in request.messages) - 1
        limit = request.options.num_predict
        pieces = apply_fault(tokenize(section.reply_to(turn)), section.fault_of(number), section.fault_after_tokens)
        wire_fault = section.wire_fault_of(number)
        count = 0
        self.open += 1
        try:
            for piece in pieces:
                if count == limit:
                    break
                await sleep_until(token_due_s(section, started_s, count))
                if piece is None:
                    await trigger_fault(section.fault_of(number))
                line = _line(request.model, {"message": {"role": "assistant", "content": piece}, "done": False})
                if wire_fault is WireFault.TRUNCATED_LINE and count == section.fault_after_tokens:
                    yield line[: len(line) // 2]
                    return
                yield line
                count += 1
            if wire_fault is not WireFault.NO_DONE:
                yield _line(request.model, _last(request, count, limit, started_ns))
        except EngineFailed as error:
            # Ollama reports a crashed runner within the stream, with status 200.
            yield json.dumps({"error": error.message}).encode() + b"\n"
        finally:
            self.open -= 1


def _listed(name: str) -> dict[str, object]:
    return {"name": name, "model": name, "size": _MODEL_BYTES, "digest": "0" * 64}


def _not_found(name: str) -> Response:
    return JSONResponse({"error": f"model '{name}' not found"}, 404)


def _status(status: str, **fields: object) -> bytes:
    return json.dumps({"status": status, **fields}).encode() + b"\n"


def _line(model: str, fields: dict[str, object]) -> bytes:
    created_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"model": model, "created_at": created_at, **fields}).encode() + b"\n"


def _last(request: ChatRequest, count: int, limit: int, started_ns: int) -> dict[str, object]:
    total_ns = time.monotonic_ns() - started_ns
    return {
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "length" if count == limit else "stop",
        "total_duration": total_ns,
        "load_duration": 0,
        "prompt_eval_count": sum(len(tokenize(message.content)) for message in request.messages),
        "prompt_eval_duration": 0,
        "eval_count": count,
        "eval_duration": total_ns,
    }


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python orchestrator/tests/ollama_stub.py", description="An Ollama stub")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=11434)
    parser.add_argument("--script", type=Path)
    arguments = parser.parse_args()
    section = load_section(arguments.script, "llm", StubSection)
    uvloop.run(http_server(OllamaStub(section).app(), arguments.host, arguments.port).serve())


if __name__ == "__main__":
    main()
