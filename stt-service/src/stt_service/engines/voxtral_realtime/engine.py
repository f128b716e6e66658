"""The Voxtral Realtime engine: streams utterances to an external server, which transcribes them as they grow."""

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
from stt_service.engines.voxtral_realtime.generation import RealtimeServer, RealtimeTranscription
from stt_service.engines.voxtral_realtime.stream import RealtimeStream, open_realtime_stream
from stt_service.settings import SttSettings

LANGUAGES = ("en", "zh", "hi", "es", "ar", "fr", "pt", "ru", "de", "ja", "ko", "it", "nl")
WARM_UP_MS = 1000


class VoxtralRealtimeEngine:
    """Transcribes at a server that may have other clients too, with one connection per utterance."""

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
            notes={
                "language": "where none is set, it is detected from the text",
                "confidence": "none",
                "words": "none",
            },
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Wait for the server and transcribe a second of silence: the first clip may take a minute.

        Raises `PeerFailed` or `AtCapacity` when the server is not ready in time, `ModelMissing` without the model.
        """
        now_s = asyncio.get_running_loop().time
        until_s = now_s() + self._settings.voxtral_realtime_start_s
        async with aclosing(self._client()) as client:
            await wait_until_available(client, self._server.model, until_s)
        await self._transcribe(bytes(MICROPHONE.bytes_for(WARM_UP_MS)), until_s - now_s())
        yield

    async def unavailability(self) -> AsyncGenerator[str]:
        """Yield why the server is unavailable, at every change; "" when it is available again."""
        async with (
            aclosing(self._client()) as client,
            aclosing(watch_availability(client, self._server.model)) as reasons,
        ):
            async for reason in reasons:
                yield reason

    def open_stream(self, config: TranscriptionConfig) -> AbstractAsyncContextManager[RealtimeStream]:
        """Open a microphone stream. Raises `Unsupported` for a language that the model does not support."""
        if config.language and config.language not in LANGUAGES:
            raise Unsupported("stt.language_unsupported", f"voxtral-realtime does not support {config.language!r}")
        return open_realtime_stream(self._server, self._settings, config)

    def _client(self) -> TranscriptionClient:
        server = self._server
        return TranscriptionClient(server.url, server.model, server.api_key, server.connect_s)

    async def _transcribe(self, pcm: bytes, within_s: float) -> None:
        transcription = RealtimeTranscription(self._server, _discard_text, within_s)

        async def send() -> None:
            await transcription.push_audio(pcm)
            await transcription.end_audio(within_s)

        await run_together(transcription.run(), send())


def _discard_text(text: str, audio_ms: int) -> None:
    """Discard the text of the warm-up."""
