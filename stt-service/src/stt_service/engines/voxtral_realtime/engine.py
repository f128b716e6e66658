"""Voxtral Realtime in a server of its own: it hears along, and answers as soon as the audio is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from service_kit.audio import MICROPHONE
from service_kit.engines.info import EngineInfo
from service_kit.errors import Unsupported
from service_kit.tasks import run_together

from stt_service.engine import TranscriptionConfig
from stt_service.engines.voxtral.availability import wait_until_available, watch_availability
from stt_service.engines.voxtral.client import TranscriptionClient
from stt_service.engines.voxtral_realtime.generation import Generation, RealtimeServer
from stt_service.engines.voxtral_realtime.stream import RealtimeStream, hearing_along
from stt_service.settings import SttSettings

LANGUAGES = ("en", "zh", "hi", "es", "ar", "fr", "pt", "ru", "de", "ja", "ko", "it", "nl")
WARM_UP_MS = 1000


class VoxtralRealtimeEngine:
    """A server that may have other clients too; each utterance has a connection of its own."""

    def __init__(self, settings: SttSettings) -> None:
        self._settings = settings
        self._server = RealtimeServer(
            settings.voxtral_realtime_url,
            settings.voxtral_realtime_model,
            settings.voxtral_realtime_api_key.get_secret_value(),
            settings.voxtral_realtime_connect_s,
        )
        self.info = EngineInfo(
            name="voxtral-realtime",
            model=settings.voxtral_realtime_model,
            version="vllm-realtime",
            languages=LANGUAGES,
            sample_rate_hz=MICROPHONE.rate_hz,
            notes={"language": "where none is set, it is told from the text", "confidence": "none", "words": "none"},
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Wait for the server, and let it transcribe once: a first clip may take a minute.

        Raises `PeerFailed` when the server does not come in time, or comes without the model.
        """
        now_s = asyncio.get_running_loop().time
        until_s = now_s() + self._settings.voxtral_realtime_start_s
        async with aclosing(self._client()) as client:
            await wait_until_available(client, self._server.model, until_s)
        await self._transcribe(bytes(MICROPHONE.bytes_for(WARM_UP_MS)), until_s - now_s())
        yield

    async def unavailability(self) -> AsyncGenerator[str]:
        """Why the server cannot be asked, whenever that changes; empty when it can again."""
        async with (
            aclosing(self._client()) as client,
            aclosing(watch_availability(client, self._server.model)) as reasons,
        ):
            async for reason in reasons:
                yield reason

    def open(self, config: TranscriptionConfig) -> AbstractAsyncContextManager[RealtimeStream]:
        """Begin a microphone. Raises `Unsupported` for a language that the model was not made for."""
        if config.language and config.language not in LANGUAGES:
            raise Unsupported("stt.language_unsupported", f"voxtral-realtime does not know {config.language!r}")
        return hearing_along(self._server, self._settings, config)

    def _client(self) -> TranscriptionClient:
        server = self._server
        return TranscriptionClient(server.url, server.model, server.api_key, server.connect_s)

    async def _transcribe(self, pcm: bytes, within_s: float) -> None:
        generation = Generation(self._server, _nobody_reads, within_s)

        async def speak() -> None:
            await generation.hear(pcm)
            await generation.end(within_s)

        await run_together(generation.run(), speak())


def _nobody_reads(text: str, heard_ms: int) -> None:
    """What is understood of silence is of no use."""
