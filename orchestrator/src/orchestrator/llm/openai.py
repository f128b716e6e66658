"""A model behind any server that speaks OpenAI's `/v1/chat/completions`: vLLM, llama.cpp, Ollama's own `/v1`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from service_kit.errors import PeerFailed

from orchestrator.conversation.model.ports import Prompt
from orchestrator.llm.context import ChatMessage, chat_messages, past_messages
from orchestrator.llm.streaming import (
    AnswerLines,
    HttpModel,
    error_message,
    http_client,
    parsed,
    post_and_check,
    stream_response,
)

_DATA = b"data:"
_DONE = b"[DONE]"


class OpenAiSettings(BaseSettings):
    """Where the server is, which model it runs and how."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="LLM_OPENAI_", env_ignore_empty=True)

    # Up to and including the version.
    url: str = Field(default="http://127.0.0.1:8000/v1")
    model: str = Field(default="default")
    api_key: SecretStr = Field(default=SecretStr(""))
    # Context in tokens, as the server was started with.
    context_tokens: int = Field(default=8192, ge=1024, le=131_072)
    max_reply_tokens: int = Field(default=400, ge=1, le=4096)
    temperature: float = Field(default=0.2, ge=0, le=2)
    connect_s: float = Field(default=1.0, gt=0)
    first_token_s: float = Field(default=30.0, gt=0)
    between_tokens_s: float = Field(default=3.0, gt=0)


class OpenAiModel(HttpModel):
    """A language model behind a chat-completions server; owns its connections. Shared by all sessions."""

    def __init__(self, settings: OpenAiSettings) -> None:
        key = settings.api_key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        super().__init__(http_client(settings.url, settings.connect_s, headers))
        self._settings = settings

    @classmethod
    def from_environment(cls) -> Self:
        """The model that the environment names."""
        return cls(OpenAiSettings())

    @property
    def name(self) -> str:
        return "openai"

    @property
    def model(self) -> str:
        """The weights, as the server names them."""
        return self._settings.model

    def describe(self) -> Mapping[str, object]:
        """How the model is, for people."""
        return {"model": self.model}

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """The reply, piece by piece. Raises `PeerFailed` or `AtCapacity`, all with codes `llm.*`."""
        messages = chat_messages(prompt, self._settings.context_tokens)
        async with self._completion(messages, self._settings.max_reply_tokens) as lines:
            while (text := await _next_text(lines)) is not None:
                if text:
                    lines.answering()
                    yield text

    async def prefill(self, prompt: Prompt) -> None:
        """Make the server read all but the text of `prompt`, so that a reply to any text starts sooner."""
        async with self._completion(past_messages(prompt, self._settings.context_tokens), max_tokens=1) as lines:
            while await _next_text(lines) is not None:
                pass

    async def probe(self) -> None:
        """Raise `AnchorError` unless the server answers; some have no list of their models, and say so."""
        await post_and_check(self._client, "models", self._settings.connect_s)

    def _completion(self, messages: Sequence[ChatMessage], max_tokens: int) -> AbstractAsyncContextManager[AnswerLines]:
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


async def _next_text(lines: AnswerLines) -> str | None:
    """The next piece of text, perhaps empty, or None after `[DONE]`."""
    while (line := await lines.read()) is not None:
        if not line.startswith(_DATA):
            # Comments and other fields of server-sent events, and the blank lines between them.
            continue
        data = line.removeprefix(_DATA).strip()
        if data == _DONE:
            return None
        event = parsed(data)
        if event.get("error"):
            raise PeerFailed("llm.failed", f"the model server says: {error_message(event['error'])}")
        return _text(event)
    raise PeerFailed("llm.truncated", "the model server ended the reply without saying that it is done")


def _text(event: Mapping[str, Any]) -> str:
    try:
        # The last event may have no choices, only the usage.
        pieces = [choice["delta"].get("content") or "" for choice in event.get("choices", [])[:1]]
        return "".join(pieces)
    except (AttributeError, KeyError, TypeError) as error:
        raise PeerFailed("llm.garbled", f"the model server sent {event!r:.80} where text belongs") from error
