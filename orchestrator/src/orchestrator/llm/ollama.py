"""A model on an Ollama server, over its own `/api/chat`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from service_kit.errors import PeerFailed
from service_kit.settings import shared

from orchestrator.conversation.ports import Prompt
from orchestrator.llm.context import ChatMessage, chat_messages, past_messages
from orchestrator.llm.streaming import (
    AnswerLines,
    ModelMissing,
    error_message,
    http_client,
    parsed,
    streamed_answer,
)


class OllamaSettings(BaseSettings):
    """Where the server is, which model it runs and how."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_prefix="LLM_OLLAMA_", env_ignore_empty=True
    )

    url: str = Field(default="http://127.0.0.1:11434", validation_alias=shared("OLLAMA_URL"))
    model: str = Field(
        default="hf.co/bartowski/huihui-ai_Mistral-Small-24B-Instruct-2501-abliterated-GGUF:Q4_K_M",
        validation_alias=shared("OLLAMA_MODEL_NAME"),
    )
    # Context in tokens. A change makes the server load the model anew.
    context_tokens: int = Field(default=8192, ge=1024, le=131_072)
    # Longest reply in tokens; never 0, which a server may take for "without limit".
    max_reply_tokens: int = Field(default=400, ge=1, le=4096)
    temperature: float = Field(default=0.2, ge=0, le=2)
    connect_s: float = Field(default=1.0, gt=0)
    # From the request to the first token; long enough for a server that must load the model first.
    first_token_s: float = Field(default=30.0, gt=0)
    between_tokens_s: float = Field(default=3.0, gt=0)


class OllamaModel:
    """A language model behind Ollama; an async context manager that owns its connections. Shared by all sessions."""

    def __init__(self, settings: OllamaSettings) -> None:
        self._settings = settings
        self._client = http_client(settings.url, settings.connect_s)

    @classmethod
    def from_environment(cls) -> Self:
        """The model that the environment names."""
        return cls(OllamaSettings())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    @property
    def name(self) -> str:
        return "ollama"

    @property
    def model(self) -> str:
        """The weights, as Ollama names them."""
        return self._settings.model

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """The reply, token by token. Raises `PeerFailed` or `AtCapacity`, all with codes `llm.*`."""
        messages = chat_messages(prompt, self._settings.context_tokens)
        async with self._chat(messages, self._settings.max_reply_tokens) as lines:
            done = False
            while not done:
                text, done = await _next_piece(lines)
                if text:
                    lines.answering()
                    yield text

    async def warm(self, prompt: Prompt) -> None:
        """Make the server read all but the text of `prompt`, so that a reply to any text starts sooner."""
        async with self._chat(past_messages(prompt, self._settings.context_tokens), max_tokens=1) as lines:
            done = False
            while not done:
                _, done = await _next_piece(lines)

    @asynccontextmanager
    async def _chat(self, messages: Sequence[ChatMessage], max_tokens: int) -> AsyncGenerator[AnswerLines]:
        settings = self._settings
        body = self._request(messages, max_tokens)
        try:
            async with streamed_answer(
                self._client, "/api/chat", body, settings.first_token_s, settings.between_tokens_s
            ) as lines:
                yield lines
        except ModelMissing as error:
            advice = f"Ollama has no model {self.model}: run `ollama pull {self.model}`"
            raise ModelMissing(error.code, f"{advice} ({error.message})") from error

    def _request(self, messages: Sequence[ChatMessage], max_tokens: int) -> Mapping[str, object]:
        """The request. All but the messages and `num_predict` is constant: other options would reload the model."""
        settings = self._settings
        return {
            "model": settings.model,
            "messages": messages,
            "stream": True,
            "think": False,
            "keep_alive": -1,
            "options": {
                "num_ctx": settings.context_tokens,
                "num_predict": max_tokens,
                "temperature": settings.temperature,
            },
        }


async def _next_piece(lines: AnswerLines) -> tuple[str, bool]:
    """The next piece of text, perhaps empty, and whether it was the last one."""
    while (raw := await lines.read()) is not None:
        if not raw.strip():
            continue
        line = parsed(raw)
        if "error" in line:
            raise PeerFailed("llm.failed", f"Ollama: {error_message(line['error'])}")
        return _text(line), bool(line.get("done"))
    raise PeerFailed("llm.truncated", "Ollama ended the reply without saying that it is done")


def _text(line: Mapping[str, Any]) -> str:
    message = line.get("message")
    content = message.get("content", "") if isinstance(message, dict) else ""
    if not isinstance(content, str):
        raise PeerFailed("llm.garbled", f"Ollama sent {content!r:.80} where text belongs")
    return content
