"""Asks Ollama as the orchestrator does, and reads its own timings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from service_kit.errors import PeerFailed
from service_kit.parsing.documents import parse_json

from anchor_cli.verification.equipment.equipment import OllamaServer

_TIMEOUT_S = 300.0
_NS = 1e-9

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class ChatResult:
    """One reply. `first_token_s` is as the client saw it, the others as Ollama reports them."""

    text: str
    first_token_s: float
    prompt_tokens: int
    prompt_s: float
    tokens: int
    generation_s: float

    @property
    def tokens_per_s(self) -> float:
        """Speed of generation; 0 when nothing was generated."""
        return self.tokens / self.generation_s if self.generation_s else 0.0

    @property
    def prompt_tokens_per_s(self) -> float:
        """Speed of reading; 0 when nothing was read."""
        return self.prompt_tokens / self.prompt_s if self.prompt_s else 0.0


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A loaded model as Ollama lists it; the context is None where the version does not report it."""

    size_bytes: int
    size_vram_bytes: int
    context_tokens: int | None


async def chat(server: OllamaServer, messages: Sequence[Message], max_tokens: int) -> ChatResult:
    """Stream one reply. Raises `PeerFailed` (`verify.llm_failed`)."""
    body = {
        "model": server.model,
        "messages": list(messages),
        "stream": True,
        "think": False,
        "keep_alive": -1,
        "options": {"num_ctx": server.context_tokens, "num_predict": max_tokens, "temperature": 0},
    }
    began_s, first_s, pieces = time.monotonic(), 0.0, list[str]()
    last: dict[str, Any] = {}
    try:
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as http,
            http.stream("POST", f"{server.url}/api/chat", json=body) as response,
        ):
            response.raise_for_status()
            async for line in response.aiter_lines():
                event: dict[str, Any] = parse_json(line)
                if "error" in event:
                    raise PeerFailed("verify.llm_failed", f"Ollama: {event['error']}")
                if piece := event.get("message", {}).get("content", ""):
                    first_s = first_s or time.monotonic() - began_s
                    pieces.append(piece)
                last = event
    except (httpx.HTTPError, ValueError) as error:
        raise PeerFailed("verify.llm_failed", f"Ollama at {server.url}: {error or type(error).__name__}") from error
    if not last.get("done"):
        raise PeerFailed("verify.llm_failed", "Ollama's reply broke off")
    return ChatResult(
        "".join(pieces),
        first_s,
        int(last.get("prompt_eval_count", 0)),
        last.get("prompt_eval_duration", 0) * _NS,
        int(last.get("eval_count", 0)),
        last.get("eval_duration", 0) * _NS,
    )


async def find_loaded(server: OllamaServer) -> LoadedModel:
    """The model of `server` among the loaded ones. Raises `PeerFailed` (`verify.llm_failed`) when it is not loaded."""
    try:
        async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
            models: list[dict[str, Any]] = (await http.get(f"{server.url}/api/ps")).raise_for_status().json()["models"]
        found = next((model for model in models if server.model in (model["name"], model.get("model"))), None)
        if found is None:
            names = ", ".join(str(model["name"]) for model in models) or "none"
            raise PeerFailed("verify.llm_failed", f"{server.model} is not loaded; loaded: {names}")
        context = found.get("context_length")
        return LoadedModel(int(found["size"]), int(found["size_vram"]), int(context) if context else None)
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise PeerFailed("verify.llm_failed", f"Ollama's list of loaded models: {error!r}") from error
