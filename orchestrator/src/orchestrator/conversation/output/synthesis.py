"""Voicing: a reply's text becomes speech while it is written, at the pace of the ear, whatever becomes of the voice.

When a voice breaks, the reply is picked up where nothing of it has left yet: the same voice is asked once more, then
another, and what is left when none speaks is shown as captions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from service_kit.errors import AnchorError, InvalidRequest, NotReady, PeerFailed
from service_kit.tasks import run_together

from orchestrator.conversation.messages import server as messages
from orchestrator.conversation.messages.server import Error, ServerMessage, Style
from orchestrator.conversation.model.idle_timeout import IdleTimeout
from orchestrator.conversation.model.ports import PhraseStarted, Speech, SpeechMark, SpeechStream, TextToSpeech
from orchestrator.conversation.observability.waterfall import Waterfall
from orchestrator.conversation.output.playout import Playout
from orchestrator.conversation.output.text_pacing import LOW_MS, TextPacer
from orchestrator.metrics import TTS_FAILURES

log = logging.getLogger(__name__)

# A voice that has text to speak, and a listener who waits, has failed when it says nothing for this long. Longer than
# the voice service gives its engine, so that the service can say what is wrong.
_SPEAK_DEADLINE_S = 6.0
# A broken voice is asked again until the listener has been without speech for so long, and no longer than that in all.
_SILENCE_BORNE_S = 1.5
_AGAIN_AT_MOST_S = 6.0
_ASK_AGAIN_AFTER_S = 0.1


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a reply is spoken. `apology` is said when the model breaks off."""

    voice: str
    language: str
    style: Style
    apology: str


class ReplySynthesis:
    """Speaks one reply. `voices` are asked in turn; the first is the one that `delivery` names a voice of.

    Without any, the reply is shown.
    """

    def __init__(
        self,
        *,
        turn_id: int,
        voices: Sequence[TextToSpeech],
        delivery: Delivery,
        playout: Playout,
        waterfall: Waterfall,
        tell: Callable[[ServerMessage], None],
    ) -> None:
        self._turn_id = turn_id
        self._voices = voices
        self._delivery = delivery
        self._playout = playout
        self._waterfall = waterfall
        self._tell = tell
        self._now_s = asyncio.get_running_loop().time
        self._complete = False
        self._pacer = TextPacer()
        # Set when there may be text for the voice to get.
        self._wanted = asyncio.Event()
        # Character of the text, and place in the speech, at which the present stream and its last phrase began.
        self._stream_at = (0, 0.0)
        self._phrase_at = (0, 0.0)
        self._last_said_s = 0.0
        self._spoke = False
        self.text = ""
        self.marks: list[SpeechMark] = []
        self.duration_ms: int | None = None
        # Captions only: no voice is left.
        self.is_lost = False

    def add_text(self, delta: str) -> None:
        """More text."""
        self.text += delta
        self._wanted.set()

    def end_text(self) -> None:
        """All text was written."""
        self._complete = True
        self._wanted.set()

    def on_playback_progress(self) -> None:
        """The ear has moved on."""
        if self._pacer.has_due_text(self.text, self._playout.unheard_ms, self._now_s() - self._last_said_s):
            self._wanted.set()

    async def run(self) -> None:
        """Speak until all of the text is spoken, or no voice is left."""
        if not self._voices:
            self.is_lost = True
            self._playout.end_audio()
            return
        failure = await self._speak(self._voices[0], self._delivery.voice, _SPEAK_DEADLINE_S)
        if failure is not None and not isinstance(failure, InvalidRequest):
            failure = await self._speak_again(failure)
        for voice in self._voices[1:]:
            if failure is None:
                break
            TTS_FAILURES.labels("another").inc()
            self._tell(Error(failure.code, f"another voice speaks on: {failure.message}", failure.retryable))
            failure = await self._speak(voice, "", _SPEAK_DEADLINE_S)
        if failure is None:
            self.duration_ms = round(self._playout.made_ms)
        else:
            self.is_lost = True
            self._waterfall.trace.fail(failure.code, "speak")
            TTS_FAILURES.labels("captions").inc()
            self._tell(Error(failure.code, f"captions only: {failure.message}", failure.retryable))
        self._playout.end_audio()

    async def _speak_again(self, failure: AnchorError) -> AnchorError | None:
        """Ask the first voice again, once; one that is not there, for as long as the listener may be kept waiting."""
        TTS_FAILURES.labels("again").inc()
        patience_s = min(self._playout.unheard_ms / 1000 + _SILENCE_BORNE_S, _AGAIN_AT_MOST_S)
        until_s = self._now_s() + patience_s
        again: AnchorError | None = failure
        while (left_s := until_s - self._now_s()) > 0:
            again = await self._speak(self._voices[0], self._delivery.voice, left_s)
            if self._spoke or not isinstance(again, (PeerFailed, NotReady)):
                break
            await asyncio.sleep(_ASK_AGAIN_AFTER_S)
        return again

    async def _speak(self, voice: TextToSpeech, name: str, first_within_s: float) -> AnchorError | None:
        """Speak what is not spoken yet; return why that came to nothing, or None."""
        self._pick_up()
        delivery = self._delivery
        try:
            async with (
                IdleTimeout(first_within_s, self._is_excused) as deadline,
                voice.open(name, delivery.language, delivery.style) as speech,
            ):
                await run_together(self._hand_on(speech, deadline), self._take(speech, deadline))
        except TimeoutError:
            failure: AnchorError = PeerFailed("tts.silent", f"the voice said nothing for {first_within_s:.1f} s")
        except AnchorError as error:
            failure = error
        else:
            return None
        log.warning("voice failed", extra={"code": failure.code, "reason": failure.message, "spoke": self._spoke})
        return failure

    def _pick_up(self) -> None:
        """Find the place to speak on from, and forget what was made beyond it.

        That is the phrase that broke off while nothing of it has left; then the last word begun, which may have been
        cut short. Of a voice that does not mark its words, the phrase is said again.
        """
        char, offset_ms = self._phrase_at
        if self._playout.sent_ms > offset_ms:
            begun = [mark for mark in self.marks if offset_ms <= mark.offset_ms <= self._playout.made_ms]
            if begun:
                char, offset_ms = begun[-1].text_start, begun[-1].offset_ms
        end_ms = self._playout.truncate(offset_ms)
        self.marks = [mark for mark in self.marks if mark.text_start < char]
        self._stream_at = self._phrase_at = (char, end_ms)
        self._pacer = TextPacer(char)
        self._spoke = False
        self._wanted.set()

    # Text to the voice ----------------------------------------------------------------------------------------------

    async def _hand_on(self, speech: SpeechStream, deadline: IdleTimeout) -> None:
        while True:
            quiet_s = self._now_s() - self._last_said_s
            if text := self._pacer.next_chunk(self.text, self._playout.unheard_ms, quiet_s):
                deadline.reset()
                await speech.send_text(text)
            elif self._complete and self._pacer.sent_chars == len(self.text):
                break
            else:
                self._wanted.clear()
                await self._wanted.wait()
        await speech.end_text()

    def _is_excused(self) -> bool:
        """Whether silence of the voice does no harm yet, or is not its fault: the model writes nothing."""
        waits_for_text = not self._complete and self._pacer.sent_chars == len(self.text)
        return waits_for_text or self._playout.is_paused or self._playout.unheard_ms > LOW_MS

    # Speech from it -------------------------------------------------------------------------------------------------

    async def _take(self, speech: SpeechStream, deadline: IdleTimeout) -> None:
        async with aclosing(speech.speech()) as items:
            async for item in items:
                self._last_said_s = self._now_s()
                deadline.reset()
                self._place(item, deadline)
                if self._playout.is_full:
                    await self._playout.wait_capacity()
        if not (self._complete and self._pacer.sent_chars == len(self.text)):
            raise PeerFailed("tts.ended", "the voice ended before the text did")

    def _place(self, item: Speech, deadline: IdleTimeout) -> None:
        char, base_ms = self._stream_at
        if isinstance(item, PhraseStarted):
            self._waterfall.reached("first_phrase", self._last_said_s)
            self._phrase_at = (char + item.text_start, self._playout.made_ms)
            self._pacer.on_synthesised(char + item.text_start)
        elif isinstance(item, SpeechMark):
            mark = SpeechMark(char + item.text_start, char + item.text_end, round(base_ms + item.offset_ms))
            self.marks.append(mark)
            self._pacer.on_synthesised(mark.text_start)
            self._playout.add_mark(messages.SpeechMark(self._turn_id, mark.text_start, mark.text_end, mark.offset_ms))
        else:
            self._waterfall.reached("first_audio", self._last_said_s)
            self._spoke = True
            deadline.within_s = _SPEAK_DEADLINE_S
            self._pacer.on_tts_event()
            self._playout.append_audio(item.pcm)
