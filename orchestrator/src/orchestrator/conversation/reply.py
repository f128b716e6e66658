"""A reply: one task that thinks and speaks until it has been heard. Cancelling that task is barge-in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from service_kit.audio import SPEECH
from service_kit.errors import AnchorError, PeerFailed
from service_kit.tasks import run_together

from orchestrator.conversation.history import heard_text
from orchestrator.conversation.messages import (
    Error,
    ReplyFinished,
    ReplyStarted,
    ReplyText,
    ServerMessage,
    SpeechMark,
    TurnFailed,
)
from orchestrator.conversation.outbox import Outbox
from orchestrator.conversation.playout import Playout
from orchestrator.conversation.ports import Mark, PhraseBegun, Speech, SpeechStream, Style, TextToSpeech
from orchestrator.conversation.waterfall import Waterfall

log = logging.getLogger(__name__)

# A model or a voice that says nothing for this long has failed.
_THINK_DEADLINE_S = 8.0
_SPEAK_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a reply is spoken. `apology` is said when the model breaks off."""

    voice: str
    language: str
    style: Style
    apology: str


class Reply:
    """One reply to one revision of a turn. Until `release`, the client learns nothing of it."""

    def __init__(
        self,
        *,
        turn_id: int,
        engine: Callable[[], str],
        words: Callable[[], AsyncIterator[str]],
        text_to_speech: TextToSpeech,
        delivery: Delivery,
        outbox: Outbox,
        reports_playback: bool,
        waterfall: Waterfall,
        on_audible: Callable[[], None],
    ) -> None:
        self.turn_id = turn_id
        self.waterfall = waterfall
        self.playout = Playout(turn_id, outbox, reports_playback, self._audible)
        self._engine = engine
        self._words = words
        self._text_to_speech = text_to_speech
        self._delivery = delivery
        self._outbox = outbox
        self._reports = reports_playback
        self._on_audible = on_audible
        self._now_s = asyncio.get_running_loop().time
        self._text = ""
        self._marks: list[Mark] = []
        self._duration_ms: int | None = None
        self._spoken_ms = 0.0
        self._released = False
        self._untold: list[ServerMessage] = []
        # Captions only: the voice failed.
        self._mute = False

    def release(self) -> None:
        """Let it be seen and heard."""
        self._released = True
        self._outbox.send(ReplyStarted(self.turn_id, self._engine()))
        for message in self._untold:
            self._outbox.send(message)
        self._untold.clear()
        self.playout.release()

    async def run(self) -> None:
        """Think, speak, and wait until all of it has been heard."""
        await run_together(self._produce(), self.playout.run())

    def finished(self, interrupted: bool) -> ReplyFinished:
        """What became of it, for the client and for history."""
        heard_ms = self.playout.heard_ms
        heard = heard_text(self._text, self._marks, heard_ms, None if interrupted else self._duration_ms)
        if self._mute and not interrupted:
            # What could not be spoken was shown.
            heard = self._text.strip()
        return ReplyFinished(self.turn_id, heard, heard_ms, interrupted, estimated=not self._reports)

    async def _produce(self) -> None:
        delivery = self._delivery
        try:
            async with self._text_to_speech.open(delivery.voice, delivery.language, delivery.style) as speech:
                await run_together(self._think(speech), self._speak(speech))
        except AnchorError as error:
            if not self._text and not self._mute:
                # The voice could not even begin: think all the same, for the captions.
                self._lose_voice(error)
                await self._think(None)
            elif not self._mute:
                raise
        self.playout.end()

    # Thinking -------------------------------------------------------------------------------------------------------

    async def _think(self, speech: SpeechStream | None) -> None:
        try:
            async with aclosing(self._words()) as words:  # type: ignore[type-var]
                while (delta := await self._next_delta(words)) is not None:
                    await self._say(speech, delta)
        except AnchorError as error:
            # What was begun is finished with an apology, in the same breath.
            log.warning("reply broke off", extra={"code": error.code, "reason": error.message})
            self._tell(TurnFailed(self.turn_id, error.code, error.message))
            gap = " " if self._text and not self._text.endswith((" ", "\n")) else ""
            await self._say(speech, gap + self._delivery.apology)
        if speech is not None and not self._mute:
            await self._guarded(speech.finish())

    async def _next_delta(self, words: AsyncIterator[str]) -> str | None:
        try:
            async with asyncio.timeout(_THINK_DEADLINE_S):
                return await anext(words, None)
        except TimeoutError as error:
            raise PeerFailed("llm.silent", f"the model wrote nothing for {_THINK_DEADLINE_S:.0f} s") from error

    async def _say(self, speech: SpeechStream | None, delta: str) -> None:
        if not delta:
            return
        self.waterfall.reached("first_token", self._now_s())
        self._text += delta
        self._tell(ReplyText(self.turn_id, delta))
        if speech is not None and not self._mute:
            await self._guarded(speech.say(delta))

    # Speaking -------------------------------------------------------------------------------------------------------

    async def _speak(self, speech: SpeechStream) -> None:
        try:
            async with aclosing(speech.speech()) as items:  # type: ignore[type-var]
                while (item := await self._next_speech(items)) is not None:
                    await self._place(item)
        except AnchorError as error:
            self._lose_voice(error)
            return
        self._duration_ms = round(self._spoken_ms)

    async def _next_speech(self, items: AsyncIterator[Speech]) -> Speech | None:
        try:
            async with asyncio.timeout(_SPEAK_DEADLINE_S):
                return await anext(items, None)
        except TimeoutError as error:
            raise PeerFailed("tts.silent", f"the voice said nothing for {_SPEAK_DEADLINE_S:.0f} s") from error

    async def _place(self, item: Speech) -> None:
        if isinstance(item, Mark):
            self._marks.append(item)
            self._tell(SpeechMark(self.turn_id, item.text_start, item.text_end, item.offset_ms))
            return
        if isinstance(item, PhraseBegun):
            self.waterfall.reached("first_phrase", self._now_s())
            return
        self.waterfall.reached("first_audio", self._now_s())
        self._spoken_ms += SPEECH.ms_of(len(item.pcm))
        await self.playout.put(item)

    async def _guarded(self, telling: object) -> None:
        """Tell the voice something; when it fails, the reply goes on without it."""
        try:
            await telling  # type: ignore[misc]
        except AnchorError as error:
            self._lose_voice(error)

    def _lose_voice(self, error: AnchorError) -> None:
        if not self._mute:
            self._mute = True
            log.warning("voice failed", extra={"code": error.code, "reason": error.message})
            self._tell(Error(error.code, f"captions only: {error.message}", error.retryable))

    def _tell(self, message: ServerMessage) -> None:
        if self._released:
            self._outbox.send(message)
        else:
            self._untold.append(message)

    def _audible(self) -> None:
        self.waterfall.reached("first_frame_sent", self._now_s())
        self._on_audible()
