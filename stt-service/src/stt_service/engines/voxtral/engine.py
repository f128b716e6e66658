"""Voxtral in a server of its own: this side keeps the utterances, and asks for them."""

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
from stt_service.engines.voxtral.parking import MayHaveMoved, ServerSleep
from stt_service.retranscribing.finals_first import FinalsFirst
from stt_service.retranscribing.guards import looping
from stt_service.retranscribing.recogniser import Reading
from stt_service.retranscribing.stream import RetranscribingStream, Shared, retranscribing
from stt_service.settings import SttSettings

LANGUAGES = ("en", "es", "fr", "pt", "hi", "de", "nl", "it")
WARM_UP_MS = 1000


class VoxtralEngine:
    """A server that may have other clients too; its places are shared by all microphones."""

    def __init__(self, settings: SttSettings) -> None:
        self._settings = settings
        self._client: TranscriptionClient | None = None
        self._sleep = ServerSleep(
            settings.voxtral_url, settings.voxtral_api_key.get_secret_value(), settings.voxtral_connect_s
        )
        self._under_way = 0
        self.parked = False
        self._shared = Shared(self, FinalsFirst(settings.voxtral_places), settings)
        self.info = EngineInfo(
            name="voxtral",
            model=settings.voxtral_model,
            version="openai-v1",
            languages=LANGUAGES,
            sample_rate_hz=MICROPHONE.rate_hz,
            notes={"language": "where none is set, it is told from the text", "confidence": "none"},
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Wait for the server, and let it transcribe once: a first clip may take a minute.

        Raises `PeerFailed` when the server does not come in time, or comes without the model.
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
                # An earlier run of this service parked it.
                await self._sleep.wake()
            left_s = until_s - asyncio.get_running_loop().time()
            await self._client.transcribe(bytes(MICROPHONE.bytes_for(WARM_UP_MS)), "", left_s, looping)
            yield

    async def unavailability(self) -> AsyncGenerator[str]:
        """The server, when it has gone."""
        assert self._client is not None, "used outside its lifespan"  # noqa: S101
        async with aclosing(watch_availability(self._client, self._settings.voxtral_model)) as reasons:
            async for reason in reasons:
                yield reason

    def open(self, config: TranscriptionConfig) -> AbstractAsyncContextManager[RetranscribingStream]:
        """Begin a microphone. Raises `Unsupported` for a language that Voxtral was not made for, `NotReady` parked."""
        self._require_awake()
        if config.language and config.language not in LANGUAGES:
            raise Unsupported("stt.language_unsupported", f"voxtral does not know {config.language!r}")
        return retranscribing(self._shared, config)

    async def recognise(self, pcm: bytes, language: str, *, final: bool) -> Reading:
        """Ask the server. A transcript that has begun to loop is not waited for. Raises `NotReady` while parked."""
        assert self._client is not None, "used outside its lifespan"  # noqa: S101
        self._require_awake()
        within_s = self._settings.voxtral_final_s if final else self._settings.voxtral_partial_s
        self._under_way += 1
        try:
            return Reading((await self._client.transcribe(pcm, language, within_s, looping)).strip())
        finally:
            self._under_way -= 1

    async def memory(self) -> Mapping[MemoryKind, int]:
        """Nothing: the server's memory is not to be seen from here."""
        return {}

    async def park(self) -> None:
        """Put the server to sleep. Raises `AtCapacity` while it works for us, `Unsupported` when it cannot sleep."""
        if self._under_way:
            raise AtCapacity("stt.transcribing", "an utterance is being transcribed")
        self.parked = True
        try:
            await self._sleep.sleep()
        except (PeerFailed, Unsupported) as error:
            # One that may sleep must be woken before it is asked for anything, which does one that is awake no harm.
            self.parked = isinstance(error, MayHaveMoved)
            raise

    async def wake(self) -> None:
        """Wake the server. Raises `PeerFailed`; then it stays parked."""
        await self._sleep.wake()
        self.parked = False

    def _require_awake(self) -> None:
        if self.parked:
            raise NotReady("stt.parked", "the transcription server sleeps, and must be woken first")
