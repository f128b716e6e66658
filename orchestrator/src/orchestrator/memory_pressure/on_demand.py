"""The conversation's ports, on engines that may be parked: whoever needs one wakes it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
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
from orchestrator.memory_pressure.parked_engine import ParkedEngine, ParkingState

StreamT = TypeVar("StreamT")


class OnDemandLlm:
    """A language model that its first turn wakes, as soon as the user begins to speak.

    `model` answers in any case: while its weights are on their way, the briefing does so in their place.
    """

    def __init__(self, model: LanguageModel, rest: ParkedEngine, wait_s: float) -> None:
        """`wait_s` is how long a reply waits for the weights, before it is given without them."""
        self._model = model
        self._rest = rest
        self._wait_s = wait_s

    @property
    def name(self) -> str:
        return self._model.name

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """The reply, piece by piece."""
        async with self._rest.use(self._wait_s), aclosing(self._model.reply(prompt)) as pieces:
            async for piece in pieces:
                yield piece

    async def prefill(self, prompt: Prompt) -> None:
        """Wake the model, and let it read ahead once it is awake."""
        async with self._rest.use():
            await self._model.prefill(prompt)


class OnDemandTts:
    """A voice service that its first reply wakes, and waits for."""

    def __init__(self, voice: TextToSpeech, rest: ParkedEngine, wait_s: float | None) -> None:
        """`wait_s` is how long a reply waits, before it is refused; None where it may wait as long as for any voice."""
        self._voice = voice
        self._rest = rest
        self._wait_s = wait_s

    def open(self, voice: str, language: str, style: Style) -> AbstractAsyncContextManager[SpeechStream]:
        """Begin a reply; leaving the context stops it."""
        return _awake(self._rest, self._wait_s, lambda: self._voice.open(voice, language, style))


class OnDemandStt:
    """Speech to text that a session wakes and keeps awake; what is said meanwhile is kept, and heard then."""

    def __init__(self, stt: SpeechToText, rest: ParkedEngine) -> None:
        self._ears = stt
        self._rest = rest

    def open(self, language: str) -> AbstractAsyncContextManager[SpeechToTextStream]:
        """Begin to listen; leaving the context ends it."""
        return _awake(self._rest, None, lambda: self._ears.open(language))


@asynccontextmanager
async def _awake(
    rest: ParkedEngine, wait_s: float | None, opened: Callable[[], AbstractAsyncContextManager[StreamT]]
) -> AsyncGenerator[StreamT]:
    async with rest.use(wait_s):
        try:
            async with opened() as stream:
                yield stream
        except AnchorError as error:
            if error.code.endswith(f".{ParkingState.PARKED.value}"):
                rest.on_found_parked()
            raise
