"""Loads, unloads and pulls one model on an Ollama server: `/api/generate` without a prompt, `/api/pull`, `/api/ps`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

import httpx
from service_kit.errors import PeerFailed

from orchestrator.llm.ollama.pull_progress import PullProgress, PullProgressMeter
from orchestrator.llm.ollama.residency import Placement
from orchestrator.llm.streaming import (
    ModelMissing,
    ResponseLines,
    error_message,
    get_json,
    parse_object,
    stream_response,
)

# Between two lines of a pull: a download reports several times a second, the verification after it is silent.
_PULL_TIMEOUT_S = 300.0
_PLACEMENT_TIMEOUT_S = 3.0
_UNLOAD_POLL_S = 0.2


class OllamaServer:
    """One model on one server; implements `ModelServer`."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        model: str,
        context_tokens: int,
        load_s: float,
        unload_s: float,
    ) -> None:
        self._client = client
        self._model = model
        self._context_tokens = context_tokens
        self._load_s = load_s
        self._unload_s = unload_s

    async def pull(self) -> AsyncGenerator[PullProgress]:
        """Download the model; the server resumes an interrupted pull. Raises `PeerFailed`."""
        meter, clock = PullProgressMeter(), asyncio.get_running_loop().time
        body = {"model": self._model, "stream": True}
        async with stream_response(self._client, "/api/pull", body, _PULL_TIMEOUT_S, _PULL_TIMEOUT_S) as lines:
            lines.mark_first_token()
            while (line := await _read_object(lines)) is not None:
                if line.get("status") == "success":
                    return
                if isinstance(part := line.get("digest"), str):
                    yield meter.update(part, _byte_count(line, "completed"), _byte_count(line, "total"), clock())
        raise PeerFailed("llm.pull_failed", f"Ollama ended the pull of {self._model} without success")

    async def load(self) -> None:
        """Load and pin the model, with the options of later replies."""
        options = {"num_ctx": self._context_tokens}
        body = {"model": self._model, "keep_alive": -1, "stream": True, "options": options}
        await self._load_or_unload(body, self._load_s, "loaded")

    async def unload(self) -> None:
        """Unload the model, and wait until it is no longer listed. Raises `PeerFailed` on a timeout."""
        body = {"model": self._model, "keep_alive": 0, "stream": True}
        await self._load_or_unload(body, self._unload_s, "unloaded")
        try:
            async with asyncio.timeout(self._unload_s):
                while True:
                    if await self.placement() is None:
                        return
                    await asyncio.sleep(_UNLOAD_POLL_S)
        except TimeoutError as error:
            reason = f"Ollama still lists {self._model}, {self._unload_s:g} s after the request to unload it"
            raise PeerFailed("llm.not_unloaded", reason) from error

    async def placement(self) -> Placement | None:
        """Return the model's placement from `/api/ps`; None when it is not listed."""
        answer = await get_json(self._client, "/api/ps", _PLACEMENT_TIMEOUT_S)
        # Ollama lists untagged names with the tag `latest`.
        names = {self._model.casefold(), f"{self._model}:latest".casefold()}
        for model in _listed_models(answer):
            if str(model.get("name", "")).casefold() in names:
                return Placement(_byte_count(model, "size"), _byte_count(model, "size_vram"))
        return None

    async def _load_or_unload(self, body: Mapping[str, object], timeout_s: float, done: str) -> None:
        """Send a request without a prompt, which loads or unloads the model."""
        try:
            async with stream_response(self._client, "/api/generate", body, timeout_s, timeout_s) as lines:
                while (line := await _read_object(lines)) is not None:
                    if line.get("done"):
                        return
        except ModelMissing as error:
            raise add_pull_advice(self._model, error) from error
        raise PeerFailed("llm.truncated", f"Ollama did not confirm that {self._model} is {done}")


def add_pull_advice(model: str, error: ModelMissing) -> ModelMissing:
    """Return `error` with advice on how to get the model."""
    advice = f"Ollama has no model {model}: run `ollama pull {model}`, or set LLM_OLLAMA_PULL=true"
    return ModelMissing(error.code, f"{advice} ({error.message})")


async def _read_object(lines: ResponseLines) -> Mapping[str, Any] | None:
    """Read the next object; None at the end. Raises `PeerFailed` for an error that the server reports in the stream."""
    while (raw := await lines.read_line()) is not None:
        if not raw.strip():
            continue
        line = parse_object(raw)
        if "error" in line:
            raise PeerFailed("llm.failed", f"Ollama: {error_message(line['error'])}")
        return line
    return None


def _listed_models(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    models: object = answer.get("models") or []
    if not isinstance(models, list) or not all(isinstance(model, dict) for model in cast("list[object]", models)):
        raise PeerFailed("llm.garbled", f"Ollama sent {models!r:.80} instead of a list of models")
    return cast("list[dict[str, Any]]", models)


def _byte_count(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name, 0)
    if not isinstance(value, int) or value < 0:
        raise PeerFailed("llm.garbled", f"Ollama sent {value!r:.80} instead of a number of bytes")
    return value
