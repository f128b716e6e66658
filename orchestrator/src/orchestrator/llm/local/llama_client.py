"""Client of llama.cpp's HTTP server: chat completions, and its one slot, whose content can be saved and restored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, cast

import httpx
from service_kit.errors import AnchorError, PeerFailed

from orchestrator.llm.context import ChatMessage
from orchestrator.llm.local.settings import LocalLlmSettings
from orchestrator.llm.openai import read_text
from orchestrator.llm.streaming import ResponseLines, get_json, http_client, parse_object, stream_response

# A restore reads 5 MB; it waits for a batch of tokens of a request that was given up.
_SLOT_TIMEOUT_S = 3.0


class ModelServerDown(PeerFailed):
    """The server is unreachable, still loading, or runs without a model; trying again at once does not help."""

    retryable = False


class LlamaClient:
    """Talks to the server while its context is open. The caller lets one request at a time use the slot."""

    def __init__(self, settings: LocalLlmSettings) -> None:
        key = settings.api_key.get_secret_value()
        self._settings = settings
        # The server closes a connection after a stream without announcing it, so none is used twice.
        headers = {"Connection": "close", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._client = http_client(settings.url, settings.connect_s, headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def check_health(self) -> None:
        """Raise `ModelServerDown`, with the server's reason, unless a model is loaded."""
        try:
            await get_json(self._client, "health", self._settings.connect_s)
        except AnchorError as error:
            # Also `AtCapacity`: status 503 while the model loads, or when there is none.
            raise ModelServerDown(error.code, error.message) from error

    async def fetch_identity(self) -> str:
        """Return a text that changes with the model or the server's version. Raises `AnchorError`."""
        listing = await get_json(self._client, "v1/models", self._settings.connect_s)
        try:
            entry = cast("Mapping[str, Any]", listing["data"][0])
            parts = (
                entry["id"],
                entry.get("aliases"),
                {k: v for k, v in entry.get("meta", {}).items() if k != "n_ctx"},
            )
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise PeerFailed("llm.garbled", f"the model server lists its models as {listing!r:.80}") from error
        return json.dumps(parts, sort_keys=True)

    async def complete(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[str]:
        """Yield the answer in pieces. Raises `AnchorError`, also when a deadline of the settings passes."""
        settings = self._settings
        async with self._completion(messages, settings.max_answer_tokens, settings.first_token_s) as lines:
            while (text := await read_text(lines)) is not None:
                if text:
                    lines.mark_first_token()
                    yield text

    async def process_prompt(self, messages: Sequence[ChatMessage]) -> None:
        """Make the server process `messages` into its slot. Raises `AnchorError`."""
        async with self._completion(messages, 1, self._settings.prepare_s) as lines:
            while await read_text(lines) is not None:
                pass

    async def save_slot(self, filename: str) -> int:
        """Save the slot to `filename` in the server's folder; return the file's size. Raises `AnchorError`."""
        answer = await self._act_on_slot("save", filename)
        if not isinstance(written := answer.get("n_written"), int):
            raise PeerFailed("llm.garbled", f"the model server saved its slot with {answer!r:.80}")
        return written

    async def restore_slot(self, filename: str) -> None:
        """Restore the slot from `filename`. Raises `AnchorError`.

        The file must be complete: llama.cpp aborts its process when it is truncated.
        """
        await self._act_on_slot("restore", filename)

    async def _act_on_slot(self, action: str, filename: str) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_SLOT_TIMEOUT_S):
                response = await self._client.post("slots/0", params={"action": action}, json={"filename": filename})
        except TimeoutError as error:
            raise PeerFailed("llm.silent", f"the model server did not {action} its slot in time") from error
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise PeerFailed("llm.unreachable", f"no model server at {self._settings.url}: {reason}") from error
        if response.status_code != HTTPStatus.OK:
            raise PeerFailed("llm.refused", f"HTTP {response.status_code}: {response.text[:200]}")
        return parse_object(response.content)

    @asynccontextmanager
    async def _completion(
        self, messages: Sequence[ChatMessage], max_tokens: int, first_token_s: float
    ) -> AsyncGenerator[ResponseLines]:
        body = {
            "messages": messages,
            "stream": True,
            "temperature": 0,
            "max_tokens": max_tokens,
            "cache_prompt": True,
            "id_slot": 0,
        }
        between_s = self._settings.complete_s
        async with stream_response(self._client, "v1/chat/completions", body, first_token_s, between_s) as lines:
            yield lines
