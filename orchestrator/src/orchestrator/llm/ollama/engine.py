"""A language model on an Ollama server, over Ollama's native `/api/chat`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from service_kit.errors import NotReady, PeerFailed
from service_kit.settings import Profile, ServerUrl, shared
from service_kit.tasks import start_task, stop_task

from orchestrator.conversation.model.ports import Prompt
from orchestrator.llm.context import ChatMessage, chat_messages, prefix_messages
from orchestrator.llm.ollama.residency import Residency
from orchestrator.llm.ollama.server import OllamaServer, add_pull_advice
from orchestrator.llm.streaming import (
    MAX_FIRST_TOKEN_S,
    HttpModel,
    ModelMissing,
    ResponseLines,
    error_message,
    http_client,
    parse_object,
    stream_response,
)


class OllamaSettings(BaseSettings):
    """Settings of the Ollama server and its model, from `LLM_OLLAMA_*`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_prefix="LLM_OLLAMA_", env_ignore_empty=True
    )

    # With the profile `cpu`, a model outside the GPU is no reason for a warning.
    profile: Profile = Field(default="embedded", validation_alias=shared("ANCHOR_PROFILE"))
    url: ServerUrl = Field(default="http://127.0.0.1:11434", validation_alias=shared("OLLAMA_URL"))
    model: str = Field(
        default="hf.co/bartowski/huihui-ai_Mistral-Small-24B-Instruct-2501-abliterated-GGUF:Q4_K_M",
        validation_alias=shared("OLLAMA_MODEL_NAME", "OLLAMA_MODEL"),
    )
    # Context in tokens. A change makes the server reload the model.
    context_tokens: int = Field(default=8192, ge=1024, le=131_072)
    # Longest reply in tokens; never 0, which a server may take for "without limit".
    max_reply_tokens: int = Field(default=400, ge=1, le=4096)
    temperature: float = Field(default=0.2, ge=0, le=2)
    # Whether the model is loaded at the start and kept loaded, instead of at the first reply.
    preload: bool = True
    # Whether a missing model is pulled.
    pull: bool = False
    # When the orchestrator is ready: immediately, with the briefing answering meanwhile, or once the model is loaded.
    ready: Literal["at_once", "when_loaded"] = "at_once"
    # Timeout of loading the model.
    load_s: float = Field(default=300.0, gt=0)
    # Timeout of parking it: Ollama's runner exits within one or two seconds, after replies to other clients.
    unload_s: float = Field(default=10.0, gt=0, le=30)
    connect_s: float = Field(default=1.0, gt=0)
    between_tokens_s: float = Field(default=3.0, gt=0)


class OllamaModel(HttpModel):
    """A language model on Ollama, kept in the server's memory while its context is open. Shared by all sessions."""

    def __init__(self, settings: OllamaSettings) -> None:
        super().__init__(http_client(settings.url, settings.connect_s))
        self._settings = settings
        self._server = OllamaServer(
            self._client, settings.model, settings.context_tokens, settings.load_s, settings.unload_s
        )
        self._residency = Residency(self._server, may_pull=settings.pull, gpu_expected=settings.profile != "cpu")
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def from_environment(cls) -> Self:
        """Create the model from the environment's settings."""
        return cls(OllamaSettings())

    async def __aenter__(self) -> Self:
        """Start loading the model, or wait until it is loaded, by setting. Raises `ModelMissing` in the latter case."""
        if self._settings.ready == "when_loaded":
            try:
                await self._residency.wait_until_loaded()
            except BaseException:
                await self._client.aclose()
                raise
        if self._settings.preload:
            self._task = start_task(self._residency.run(), "language model residency")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await stop_task(self._task)
        finally:
            await super().__aexit__(kind, error, traceback)

    @property
    def name(self) -> str:
        return "ollama"

    @property
    def model(self) -> str:
        """The model's name at Ollama."""
        return self._settings.model

    def describe(self) -> Mapping[str, object]:
        """Return the model's state for `/health` and `/info`."""
        known = self._settings.preload or self.parked
        return self._residency.state.describe(self.model) if known else {"model": self.model}

    async def probe(self) -> None:
        """Raise `AnchorError` unless the model is loaded now; without `preload`, unless the server is reachable."""
        if self._settings.preload or self.parked:
            self._residency.require_loaded()
        if await self._server.placement() is None and self._settings.preload:
            raise NotReady("llm.not_loaded", f"Ollama has not loaded {self.model}")

    @property
    def parked(self) -> bool:
        """Whether the model is parked."""
        return self._residency.parked

    async def park(self) -> None:
        """Unload the model until `wake`. No reply may be in progress. Raises `AnchorError`."""
        await self._residency.park()

    async def wake(self) -> None:
        """Load the model again. Raises `AnchorError`."""
        await self._residency.wake()

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """Yield the reply token by token. Raises `PeerFailed` or `AtCapacity`, with codes `llm.*`."""
        messages = chat_messages(prompt, self._settings.context_tokens)
        async with self._chat(messages, self._settings.max_reply_tokens) as lines:
            done = False
            while not done:
                text, done = await _read_piece(lines)
                if text:
                    lines.mark_first_token()
                    yield text

    async def prefill(self, prompt: Prompt) -> None:
        """Make the server process all of `prompt` but its text, so that a reply to any text starts sooner."""
        if prompt.partial:
            return
        async with self._chat(prefix_messages(prompt, self._settings.context_tokens), max_tokens=1) as lines:
            done = False
            while not done:
                _, done = await _read_piece(lines)

    @asynccontextmanager
    async def _chat(self, messages: Sequence[ChatMessage], max_tokens: int) -> AsyncGenerator[ResponseLines]:
        settings = self._settings
        body = self._request(messages, max_tokens)
        try:
            async with stream_response(
                self._client, "/api/chat", body, MAX_FIRST_TOKEN_S, settings.between_tokens_s
            ) as lines:
                yield lines
        except ModelMissing as error:
            raise add_pull_advice(self.model, error) from error

    def _request(self, messages: Sequence[ChatMessage], max_tokens: int) -> Mapping[str, object]:
        """Return the request body. Only the messages and `num_predict` vary: other options would reload the model."""
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


async def _read_piece(lines: ResponseLines) -> tuple[str, bool]:
    """Read the next piece of text, perhaps empty, and whether it is the last one."""
    while (raw := await lines.read_line()) is not None:
        if not raw.strip():
            continue
        line = parse_object(raw)
        if "error" in line:
            raise PeerFailed("llm.failed", f"Ollama: {error_message(line['error'])}")
        return _text(line), bool(line.get("done"))
    raise PeerFailed("llm.truncated", "Ollama ended the reply without a final message")


def _text(line: Mapping[str, Any]) -> str:
    message = line.get("message")
    content = message.get("content", "") if isinstance(message, dict) else ""
    if not isinstance(content, str):
        raise PeerFailed("llm.garbled", f"Ollama sent {content!r:.80} instead of text")
    return content
