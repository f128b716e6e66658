"""An Ollama server as what keeps a model in memory: `/api/pull`, `/api/generate` without a prompt, `/api/ps`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

import httpx
from service_kit.errors import PeerFailed

from orchestrator.llm.ollama.pull_progress import PullProgress, PullProgressMeter
from orchestrator.llm.ollama.residency import Placement
from orchestrator.llm.streaming import AnswerLines, ModelMissing, error_message, parsed, post_json, stream_response

# Between two lines of a pull; a server that fetches says so several times a second, one that verifies is silent.
_PULL_SILENCE_S = 300.0
_PLACEMENT_WITHIN_S = 3.0
_LOOK_AGAIN_S = 0.2


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
        """Fetch the model; the server goes on where an earlier pull broke. Raises `PeerFailed`."""
        meter, clock = PullProgressMeter(), asyncio.get_running_loop().time
        body = {"model": self._model, "stream": True}
        async with stream_response(self._client, "/api/pull", body, _PULL_SILENCE_S, _PULL_SILENCE_S) as lines:
            lines.answering()
            while (line := await _next(lines)) is not None:
                if line.get("status") == "success":
                    return
                if isinstance(part := line.get("digest"), str):
                    yield meter.update(part, _count(line, "completed"), _count(line, "total"), clock())
        raise PeerFailed("llm.pull_failed", f"Ollama ended the pull of {self._model} without success")

    async def load(self) -> None:
        """Load the model, pinned, with the options that replies will have."""
        options = {"num_ctx": self._context_tokens}
        body = {"model": self._model, "keep_alive": -1, "stream": True, "options": options}
        await self._generate(body, self._load_s, "loaded")

    async def unload(self) -> None:
        """Unload the model, and wait until it is listed no more. Raises `PeerFailed` when that takes too long."""
        body = {"model": self._model, "keep_alive": 0, "stream": True}
        await self._generate(body, self._unload_s, "unloaded")
        try:
            async with asyncio.timeout(self._unload_s):
                while True:
                    if await self.placement() is None:
                        return
                    await asyncio.sleep(_LOOK_AGAIN_S)
        except TimeoutError as error:
            reason = f"Ollama still lists {self._model}, {self._unload_s:g} s after it was told to unload it"
            raise PeerFailed("llm.not_unloaded", reason) from error

    async def placement(self) -> Placement | None:
        """Where the model lies, as `/api/ps` tells it."""
        answer = await post_json(self._client, "/api/ps", _PLACEMENT_WITHIN_S)
        # Untagged names are listed with the tag that they stand for.
        names = {self._model.casefold(), f"{self._model}:latest".casefold()}
        for model in _models(answer):
            if str(model.get("name", "")).casefold() in names:
                return Placement(_count(model, "size"), _count(model, "size_vram"))
        return None

    async def _generate(self, body: Mapping[str, object], within_s: float, done: str) -> None:
        """Have the model moved, which is what a request without a prompt does."""
        try:
            async with stream_response(self._client, "/api/generate", body, within_s, within_s) as lines:
                while (line := await _next(lines)) is not None:
                    if line.get("done"):
                        return
        except ModelMissing as error:
            raise model_missing(self._model, error) from error
        raise PeerFailed("llm.truncated", f"Ollama did not say that {self._model} is {done}")


def model_missing(model: str, error: ModelMissing) -> ModelMissing:
    """`error` with the cure."""
    advice = f"Ollama has no model {model}: run `ollama pull {model}`, or set LLM_OLLAMA_PULL=true"
    return ModelMissing(error.code, f"{advice} ({error.message})")


async def _next(lines: AnswerLines) -> Mapping[str, Any] | None:
    """The next object, None at the end. Raises `PeerFailed` for an error that the server tells within the stream."""
    while (raw := await lines.read()) is not None:
        if not raw.strip():
            continue
        line = parsed(raw)
        if "error" in line:
            raise PeerFailed("llm.failed", f"Ollama: {error_message(line['error'])}")
        return line
    return None


def _models(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    models: object = answer.get("models") or []
    if not isinstance(models, list) or not all(isinstance(model, dict) for model in cast("list[object]", models)):
        raise PeerFailed("llm.garbled", f"Ollama sent {models!r:.80} where a list of models belongs")
    return cast("list[dict[str, Any]]", models)


def _count(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name, 0)
    if not isinstance(value, int) or value < 0:
        raise PeerFailed("llm.garbled", f"Ollama sent {value!r:.80} where a number of bytes belongs")
    return value
