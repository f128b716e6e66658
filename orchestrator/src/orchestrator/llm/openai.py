"""A language model on any server with OpenAI's `/v1/chat/completions`: vLLM, llama.cpp, Ollama's `/v1`."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self, cast

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from service_kit.errors import PeerFailed
from service_kit.settings import EnvironmentSettings, ServerUrl

from orchestrator.conversation.model.ports import Prompt
from orchestrator.llm.context import ChatMessage, chat_messages, prefix_messages
from orchestrator.llm.streaming import (
    MAX_FIRST_TOKEN_S,
    HttpModel,
    ResponseLines,
    check_reachable,
    error_message,
    http_client,
    parse_object,
    stream_response,
)

log = logging.getLogger(__name__)

_DATA = b"data:"
# Parameters that some servers and models refuse; in the order in which a refusal that names several is read.
_OPTIONAL_PARAMETERS = ("max_completion_tokens", "temperature", "max_tokens")
_DONE = b"[DONE]"


class OpenAiSettings(EnvironmentSettings):
    """Settings of the server and its model, from `LLM_OPENAI_*`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="LLM_OPENAI_", env_ignore_empty=True)

    # The base URL, including the API version.
    url: ServerUrl = Field(default="http://127.0.0.1:8000/v1")
    model: str = Field(default="default")
    api_key: SecretStr = Field(default=SecretStr(""))
    # Context in tokens, as configured at the server.
    context_tokens: int = Field(default=8192, ge=1024, le=131_072)
    max_reply_tokens: int = Field(default=400, ge=1, le=4096)
    temperature: float = Field(default=0.2, ge=0, le=2)
    connect_s: float = Field(default=1.0, gt=0)
    between_tokens_s: float = Field(default=3.0, gt=0)


class OpenAiModel(HttpModel):
    """A language model on a chat-completions server; owns its connections. Shared by all sessions."""

    def __init__(self, settings: OpenAiSettings) -> None:
        key = settings.api_key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        super().__init__(http_client(settings.url, settings.connect_s, headers))
        self._settings = settings
        # Parameters that the server refused once.
        self._refused: set[str] = set()

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

    @asynccontextmanager
    async def _completion(self, messages: Sequence[ChatMessage], max_tokens: int) -> AsyncGenerator[ResponseLines]:
        """Request a completion, again without each parameter that the server refuses; it is not sent any more then."""
        async with AsyncExitStack() as stack:
            for _ in range(len(_OPTIONAL_PARAMETERS) + 1):
                body = self._body(messages, max_tokens)
                opening = stream_response(
                    self._client, "chat/completions", body, MAX_FIRST_TOKEN_S, self._settings.between_tokens_s
                )
                try:
                    lines = await stack.enter_async_context(opening)
                except PeerFailed as error:
                    refused = _refused_parameter(error, body)
                    if refused is None:
                        raise type(error)(error.code, self._without_key(error.message)) from error
                    log.warning(
                        "parameter is refused and left out", extra={"parameter": refused, "reason": error.message}
                    )
                    self._refused.add(refused)
                else:
                    yield lines
                    return
        raise PeerFailed("llm.refused", f"the model server refuses {', '.join(sorted(self._refused))}")

    def _without_key(self, message: str) -> str:
        """Mask the key, which a server's refusal may repeat; the message stands on `/health`."""
        key = self._settings.api_key.get_secret_value()
        return message.replace(key, "…") if key else message

    def _body(self, messages: Sequence[ChatMessage], max_tokens: int) -> dict[str, object]:
        body: dict[str, object] = {"model": self._settings.model, "messages": messages, "stream": True}
        if "temperature" not in self._refused:
            body["temperature"] = self._settings.temperature
        # The newer name, for servers that refuse the older.
        if "max_tokens" not in self._refused:
            body["max_tokens"] = max_tokens
        elif "max_completion_tokens" not in self._refused:
            body["max_completion_tokens"] = max_tokens
        return body


async def read_text(lines: ResponseLines) -> str | None:
    """Read the next piece of text of a streamed completion, perhaps empty; None at its end. Raises `PeerFailed`.

    `[DONE]` is the end, and so is a finish reason where the server closes the stream without one. Choices that carry
    nothing are skipped.
    """
    if lines.is_finished:
        await lines.drain()
        return None
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
        choice = _first_choice(event)
        if choice.get("finish_reason"):
            lines.mark_finished()
        return _text(choice)
    raise PeerFailed("llm.truncated", "the model server ended the reply without [DONE] or a finish reason")


def _first_choice(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first choice of an event; empty where it has none, as the last event with the usage."""
    choices = event.get("choices") or [{}]
    if not isinstance(choices, list) or not isinstance(choices[0], dict):
        raise PeerFailed("llm.garbled", f"the model server sent {event!r:.80} instead of text")
    return cast("Mapping[str, Any]", choices[0])


def _text(choice: Mapping[str, Any]) -> str:
    """The text of a choice; empty for one that carries none, such as the last."""
    delta = choice.get("delta") or {}
    content = delta.get("content") if isinstance(delta, dict) else delta
    match content:
        case None:
            return ""
        case str():
            return content
        case list():
            # Some servers send the parts of a message.
            parts = [part.get("text") for part in cast("list[Any]", content) if isinstance(part, dict)]
            return "".join(part for part in parts if isinstance(part, str))
        case _:
            raise PeerFailed("llm.garbled", f"the model server sent {choice!r:.80} instead of text")


def _refused_parameter(error: PeerFailed, body: Mapping[str, object]) -> str | None:
    """The optional parameter of `body` that a server's refusal names; None where it names none."""
    if error.code != "llm.refused":
        return None
    return next(
        (name for name in _OPTIONAL_PARAMETERS if name in body and re.search(rf"\b{name}\b", error.message)), None
    )
