"""The interface of the equipment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service_kit.engines.hub import HubModel


@dataclass(frozen=True, slots=True)
class OllamaServer:
    """A language model behind Ollama's API."""

    url: str
    model: str
    context_tokens: int


@dataclass(frozen=True, slots=True)
class RecognitionServers:
    """stt-service (`host:port`), and the transcription server behind it (root URL, without the version)."""

    stt_target: str
    server_url: str


@dataclass(frozen=True, slots=True)
class MeshAddresses:
    """A whole mesh that is ready."""

    audio_url: str
    # Base URL of the orchestrator, and the headers that it requires.
    api_url: str
    headers: Mapping[str, str]
    gpu_target: str
    tts_target: str
    stt_target: str
    ollama: OllamaServer
    # Phrases that tts-service speaks at the same time.
    voices: int


@dataclass(frozen=True, slots=True)
class VoiceModels:
    """The folders of the speech model and its codec."""

    model: Path
    codec: Path


class Equipment(Protocol):
    """Starts what a step needs; leaving a context may leave servers running that the next step needs too."""

    @property
    def torch_python(self) -> Sequence[str]:
        """The command that starts a Python with torch."""
        ...

    @property
    def rehearsal(self) -> bool:
        """Whether this is a rehearsal, which judges no limits for a card."""
        ...

    async def fetch_models(self, *, offline: bool) -> Sequence[HubModel]:
        """Fetch the models of the profile from the hub, or only verify them; returns their entries with hashes."""
        ...

    def models_folder(self) -> Path:
        """The folder of the models."""
        ...

    def voice_models(self) -> VoiceModels:
        """The folders of the speech model."""
        ...

    async def card_in_container(self) -> str:
        """The card as a container lists it; empty when it lists none."""
        ...

    async def used_bytes(self) -> int | None:
        """Memory in use on the card; None without a driver that reports it."""
        ...

    async def clear_card(self) -> None:
        """Stop this project's own servers on the card."""
        ...

    def language_model(self) -> AbstractAsyncContextManager[OllamaServer]:
        """Ollama with the plan's model, loaded, and nothing else of this project on the card."""
        ...

    def recognition(self) -> AbstractAsyncContextManager[RecognitionServers]:
        """stt-service and its server, beside voice and language model."""
        ...

    def speech(self) -> AbstractAsyncContextManager[str]:
        """tts-service; yields `host:port`."""
        ...

    def mesh(self) -> AbstractAsyncContextManager[MeshAddresses]:
        """The whole mesh."""
        ...
