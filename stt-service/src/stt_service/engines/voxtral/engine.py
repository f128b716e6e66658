"""The Voxtral engine: buffers utterances and transcribes them at an external server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from service_kit.audio import MICROPHONE
from service_kit.engines.info import EngineInfo
from service_kit.engines.memory import MemoryKind
from service_kit.errors import AtCapacity, NotReady, PeerFailed, Unsupported

from stt_service.engine import TranscriptionConfig
from stt_service.engines.voxtral.availability import wait_until_available, watch_availability
from stt_service.engines.voxtral.client import TranscriptionClient
from stt_service.engines.voxtral.parking import SleepModeClient, SleepStateUnknown
from stt_service.retranscribing.hallucinations import ends_in_loop
from stt_service.retranscribing.recogniser import ClipTranscript
from stt_service.retranscribing.stream import RetranscribingStream, SharedModel, open_retranscribing_stream
from stt_service.retranscribing.transcription_slots import TranscriptionSlots
from stt_service.settings import SttSettings

LANGUAGES = ("en", "es", "fr", "pt", "hi", "de", "nl", "it")
WARM_UP_MS = 1000


class VoxtralEngine:
    """Transcribes at a server that may have other clients too; all microphones share its transcription slots."""

    def __init__(self, settings: SttSettings) -> None:
        self._settings = settings
        self._client: TranscriptionClient | None = None
        self._sleep = SleepModeClient(
            settings.voxtral_url, settings.voxtral_api_key.get_secret_value(), settings.voxtral_connect_s
        )
        self._active_requests = 0
        self.parked = False
        self._shared = SharedModel(self, TranscriptionSlots(settings.voxtral_places), settings)
        self.info = EngineInfo(
            name="voxtral",
            model=settings.voxtral_model,
            version="openai-v1",
            languages=LANGUAGES,
            sample_rate_hz=MICROPHONE.rate_hz,
            notes={"language": "where none is set, it is detected from the text", "confidence": "none"},
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Wait for the server and transcribe a second of silence: the first clip may take a minute.

        Raises `PeerFailed` or `AtCapacity` when the server is not ready in time, `ModelMissing` without the model.
        """
        settings = self._settings
        self._client = TranscriptionClient(
            settings.voxtral_url,
            settings.voxtral_model,
            settings.voxtral_api_key.get_secret_value(),
            settings.voxtral_connect_s,
        )
        async with self._sleep, aclosing(self._client):
            until_s = asyncio.get_running_loop().time() + settings.voxtral_start_s
            await wait_until_available(self._client, settings.voxtral_model, until_s)
            if await self._sleep.is_asleep():
                # A previous run of this service parked it.
                await self._sleep.wake()
            left_s = until_s - asyncio.get_running_loop().time()
            await self._client.transcribe(bytes(MICROPHONE.bytes_for(WARM_UP_MS)), "", left_s, ends_in_loop)
            yield

    async def unavailability(self) -> AsyncGenerator[str]:
        """Yield why the server is unavailable, at every change; "" when it is available again."""
        assert self._client is not None, "used outside its lifespan"  # noqa: S101
        async with aclosing(watch_availability(self._client, self._settings.voxtral_model)) as reasons:
            async for reason in reasons:
                yield reason

    def open_stream(self, config: TranscriptionConfig) -> AbstractAsyncContextManager[RetranscribingStream]:
        """Open a microphone stream. Raises `Unsupported` for an unsupported language, `NotReady` while parked."""
        self._require_awake()
        if config.language and config.language not in LANGUAGES:
            raise Unsupported("stt.language_unsupported", f"voxtral does not support {config.language!r}")
        return open_retranscribing_stream(self._shared, config)

    async def transcribe_clip(self, pcm: bytes, language: str, *, final: bool) -> ClipTranscript:
        """Transcribe at the server; stops at a repetition loop. Raises `NotReady` while parked."""
        assert self._client is not None, "used outside its lifespan"  # noqa: S101
        self._require_awake()
        within_s = self._settings.voxtral_final_s if final else self._settings.voxtral_partial_s
        self._active_requests += 1
        try:
            return ClipTranscript((await self._client.transcribe(pcm, language, within_s, ends_in_loop)).strip())
        finally:
            self._active_requests -= 1

    async def memory(self) -> Mapping[MemoryKind, int]:
        """Return nothing: the server does not report its memory."""
        return {}

    async def park(self) -> None:
        """Put the server to sleep. Raises `AtCapacity` during our requests, `Unsupported` without sleep mode."""
        if self._active_requests:
            raise AtCapacity("stt.transcribing", "an utterance is being transcribed")
        self.parked = True
        try:
            await self._sleep.sleep()
        except (PeerFailed, Unsupported) as error:
            # A server that may be asleep must be woken before its next request; waking an awake one is harmless.
            self.parked = isinstance(error, SleepStateUnknown)
            raise

    async def wake(self) -> None:
        """Wake the server. Raises `PeerFailed` on failure and stays parked."""
        await self._sleep.wake()
        self.parked = False

    def _require_awake(self) -> None:
        if self.parked:
            raise NotReady("stt.parked", "the transcription server is asleep and must be woken first")
