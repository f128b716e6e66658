"""A language model on any server with OpenAI's `/v1/chat/completions`: vLLM, llama.cpp, Ollama's `/v1`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from service_kit.errors import PeerFailed

from orchestrator.conversation.model.ports import Prompt
from orchestrator.llm.context import ChatMessage, chat_messages, prefix_messages
from orchestrator.llm.streaming import (
    HttpModel,
    ResponseLines,
    check_reachable,
    error_message,
    http_client,
    parse_object,
    stream_response,
)

_DATA = b"data:"
_DONE = b"[DONE]"


class OpenAiSettings(BaseSettings):
    """Settings of the server and its model, from `LLM_OPENAI_*`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="LLM_OPENAI_", env_ignore_empty=True)

    # The base URL, including the API version.
    url: str = Field(default="http://127.0.0.1:8000/v1")
    model: str = Field(default="default")
    api_key: SecretStr = Field(default=SecretStr(""))
    # Context in tokens, as configured at the server.
    context_tokens: int = Field(default=8192, ge=1024, le=131_072)
    max_reply_tokens: int = Field(default=400, ge=1, le=4096)
    temperature: float = Field(default=0.2, ge=0, le=2)
    connect_s: float = Field(default=1.0, gt=0)
    first_token_s: float = Field(default=30.0, gt=0)
    between_tokens_s: float = Field(default=3.0, gt=0)


class OpenAiModel(HttpModel):
    """A language model on a chat-completions server; owns its connections. Shared by all sessions."""

    def __init__(self, settings: OpenAiSettings) -> None:
        key = settings.api_key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        super().__init__(http_client(settings.url, settings.connect_s, headers))
        self._settings = settings

    @classmethod
    def from_environment(cls) -> Self:
        """Create the model from the environment's settings."""
        return cls(OpenAiSettings())

    @property
    def name(self) -> str:
        return "openai"

    @property
    def model(self) -> str:
        """The model's name at its server."""
        return self._settings.model

    def describe(self) -> Mapping[str, object]:
        """Return the model's name for `/health` and `/info`."""
        return {"model": self.model}

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """Yield the reply in pieces. Raises `PeerFailed` or `AtCapacity`, with codes `llm.*`."""
        messages = chat_messages(prompt, self._settings.context_tokens)
        async with self._completion(messages, self._settings.max_reply_tokens) as lines:
            while (text := await read_text(lines)) is not None:
                if text:
                    lines.mark_first_token()
                    yield text

    async def prefill(self, prompt: Prompt) -> None:
        """Make the server process all of `prompt` but its text, so that a reply to any text starts sooner."""
        if prompt.partial:
            return
        async with self._completion(prefix_messages(prompt, self._settings.context_tokens), max_tokens=1) as lines:
            while await read_text(lines) is not None:
                pass

    async def probe(self) -> None:
        """Raise `AnchorError` unless the server responds, be it with 404: some servers have no list of models."""
        await check_reachable(self._client, "models", self._settings.connect_s)

    def _completion(
        self, messages: Sequence[ChatMessage], max_tokens: int
    ) -> AbstractAsyncContextManager[ResponseLines]:
        settings = self._settings
        body = {
            "model": settings.model,
            "messages": messages,
            "stream": True,
            "temperature": settings.temperature,
            "max_tokens": max_tokens,
        }
        return stream_response(
            self._client, "chat/completions", body, settings.first_token_s, settings.between_tokens_s
        )


async def read_text(lines: ResponseLines) -> str | None:
    """Read the next piece of text of a streamed completion, perhaps empty; None after `[DONE]`. Raises `PeerFailed`."""
    while (line := await lines.read_line()) is not None:
        if not line.startswith(_DATA):
            # Skip comments and other fields of server-sent events, and blank lines.
            continue
        data = line.removeprefix(_DATA).strip()
        if data == _DONE:
            return None
        event = parse_object(data)
        if event.get("error"):
            raise PeerFailed("llm.failed", f"the model server reports: {error_message(event['error'])}")
        return _text(event)
    raise PeerFailed("llm.truncated", "the model server ended the reply without [DONE]")


def _text(event: Mapping[str, Any]) -> str:
    try:
        # The last event may contain only the usage, without choices.
        pieces = [choice["delta"].get("content") or "" for choice in event.get("choices", [])[:1]]
        return "".join(pieces)
    except (AttributeError, KeyError, TypeError) as error:
        raise PeerFailed("llm.garbled", f"the model server sent {event!r:.80} instead of text") from error
