"""The conversation's ports on engines that may be parked: using a port wakes its engine."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import TypeVar

from service_kit.errors import AnchorError

from orchestrator.conversation.messages.server import Style
from orchestrator.conversation.model.ports import (
    LanguageModel,
    Prompt,
    SpeechStream,
    SpeechToText,
    SpeechToTextStream,
    TextToSpeech,
)
from orchestrator.conversation.model.voice_store import StoredVoice, VoiceConsent, VoiceListing, VoiceStore
from orchestrator.memory_pressure.parkable_engine import ParkableEngine, ParkingState

log = logging.getLogger(__name__)

StreamT = TypeVar("StreamT")


class OnDemandLlm:
    """A language model that is woken as soon as the user starts to speak.

    `model` answers in any case: while its weights are being loaded, the briefing answers instead.
    """

    def __init__(self, model: LanguageModel, engine: ParkableEngine, wait_s: float) -> None:
        """`wait_s` is the maximum time that a reply waits for the weights, before the briefing answers."""
        self._model = model
        self._engine = engine
        self._wait_s = wait_s

    @property
    def name(self) -> str:
        return self._model.name

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """Yield the reply in pieces."""
        async with self._engine.use(self._wait_s), aclosing(self._model.reply(prompt)) as pieces:
            async for piece in pieces:
                yield piece

    async def prefill(self, prompt: Prompt) -> None:
        """Wake the model, and prefill it once it is awake."""
        async with self._engine.use():
            await self._model.prefill(prompt)


class OnDemandTts:
    """A voice service that is woken by the first reply, which waits for it."""

    def __init__(self, tts: TextToSpeech, engine: ParkableEngine, wait_s: float | None) -> None:
        """`wait_s` is the maximum time that a reply waits for the engine; None for no limit."""
        self._tts = tts
        self._engine = engine
        self._wait_s = wait_s

    def open(self, voice: str, language: str, style: Style) -> AbstractAsyncContextManager[SpeechStream]:
        """Start synthesis of a reply; leaving the context stops it."""
        return _open_awake(self._engine, self._wait_s, lambda: self._tts.open(voice, language, style))


class OnDemandStt:
    """Speech to text that a session wakes and keeps awake; the session buffers speech until it is awake."""

    def __init__(self, stt: SpeechToText, engine: ParkableEngine) -> None:
        self._stt = stt
        self._engine = engine

    def open(self, language: str) -> AbstractAsyncContextManager[SpeechToTextStream]:
        """Start recognition; leaving the context ends it."""
        return _open_awake(self._engine, None, lambda: self._stt.open(language))


class OnDemandVoiceStore:
    """The voices; adding one wakes its engine. `on_change` is awaited when one was added or deleted."""

    def __init__(self, store: VoiceStore, engine: ParkableEngine, on_change: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._engine = engine
        self._on_change = on_change

    async def list_voices(self) -> VoiceListing:
        return await self._store.list_voices()

    async def add_voice(
        self, name: str, reference_wav: bytes, transcript: str, language: str, consent: VoiceConsent
    ) -> StoredVoice:
        """Clone a voice once the engine is awake."""
        async with self._engine.use():
            voice = await self._store.add_voice(name, reference_wav, transcript, language, consent)
        await self._notify()
        return voice

    async def delete_voice(self, voice_id: str) -> None:
        await self._store.delete_voice(voice_id)
        await self._notify()

    async def _notify(self) -> None:
        try:
            await self._on_change()
        except AnchorError as error:
            # The voice is stored or deleted all the same, and the list is polled again soon.
            log.warning("voices not listed after a change", extra={"code": error.code})


@asynccontextmanager
async def _open_awake(
    engine: ParkableEngine, wait_s: float | None, open_stream: Callable[[], AbstractAsyncContextManager[StreamT]]
) -> AsyncGenerator[StreamT]:
    async with engine.use(wait_s):
        try:
            async with open_stream() as stream:
                yield stream
        except AnchorError as error:
            if error.code.endswith(f".{ParkingState.PARKED.value}"):
                engine.on_found_parked()
            raise
