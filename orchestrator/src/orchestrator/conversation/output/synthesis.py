"""Synthesis of a reply's text while it is generated: text pacing towards the TTS, and TTS failover.

When a TTS fails, synthesis continues from the first unsent speech: with the same TTS again, then with the fallback TTS.
When all fail, the rest of the reply is shown as captions, and spoken after all when a first TTS that was away returns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from service_kit.errors import AnchorError, InvalidRequest, NotReady, PeerFailed
from service_kit.tasks import run_together

from orchestrator.conversation.messages import server as messages
from orchestrator.conversation.messages.server import Error, ServerMessage, Style
from orchestrator.conversation.model.idle_timeout import IdleTimeout
from orchestrator.conversation.model.ports import PhraseStarted, Speech, SpeechMark, SpeechStream, TextToSpeech
from orchestrator.conversation.observability.waterfall import Waterfall
from orchestrator.conversation.output.playout import Playout
from orchestrator.conversation.output.text_pacing import MIN_AHEAD_MS, TextPacer
from orchestrator.metrics import TTS_FAILURES

log = logging.getLogger(__name__)

# A TTS that has text, and a client that waits for speech, has failed when it returns nothing for this long. Longer than
# the timeout of the TTS service for its engine, so that the service can report the cause.
_TTS_TIMEOUT_S = 6.0
# After this long of that, the client is told: the shortest silence that a listener takes for a fault is 3 s, and the
# text of a reply may take one of them.
_LATE_S = 1.8
# Failover retries the first TTS until the client has been without speech for `_MAX_GAP_S`, for `_MAX_RETRY_S` at most.
_MAX_GAP_S = 1.5
_MAX_RETRY_S = 6.0
_RETRY_INTERVAL_S = 0.1
# How long a mute reply waits for a first TTS that is away, and how often it tries. A killed service is back within 4 s,
# one that drains and restarts within 9 s.
_MAX_MUTE_S = 12.0
_RETURN_INTERVAL_S = 0.5
# Failures of a service that is away and may return: of one that works, the same text would fail again.
_AWAY = (PeerFailed, NotReady)


@dataclass(frozen=True, slots=True)
class SpeechSettings:
    """How a reply is spoken; `apology` is appended when the language model fails.

    `code_phrase` stands for a block of code, `filler` bridges the wait for the first words; each may be empty.
    `voices` are those of the first TTS for parts of the reply in other languages; by default, the TTS chooses.
    """

    voice: str
    language: str
    style: Style
    apology: str
    code_phrase: str = ""
    filler: str = ""
    voices: Mapping[str, str] = field(default_factory=dict[str, str])


class ReplySynthesis:
    """Synthesises one reply with the first TTS of `tts_chain`; the others are the fallbacks, in order.

    `settings.voice` names a voice of the first TTS; fallbacks use their default voice. An empty chain means captions
    only.
    """

    def __init__(
        self,
        *,
        turn_id: int,
        tts_chain: Sequence[TextToSpeech],
        settings: SpeechSettings,
        playout: Playout,
        waterfall: Waterfall,
        send: Callable[[ServerMessage], None],
    ) -> None:
        self._turn_id = turn_id
        self._tts_chain = tts_chain
        self._settings = settings
        self._playout = playout
        self._waterfall = waterfall
        self._send = send
        self._now_s = asyncio.get_running_loop().time
        self._text_complete = False
        self._pacer = TextPacer()
        # Set when there may be text to flush to the TTS.
        self._text_due = asyncio.Event()
        # The languages of the text, each from a character on: one after the other, in a stream each.
        self._languages = [(0, settings.language)]
        # The language of the current stream, which may be open before the text's is known.
        self._stream_language = settings.language
        # Character of the text, and offset in the speech, at which the current stream and its last phrase begin.
        self._stream_start = (0, 0.0)
        self._phrase_start = (0, 0.0)
        self._last_event_s = 0.0
        self._produced_audio = False
        # When a listener who plays at once has heard all speech. A TTS that paces itself waits for that one, also where
        # the client takes the speech as a file.
        self._played_at_s = 0.0
        self.text = ""
        self.marks: list[SpeechMark] = []
        self.duration_ms: int | None = None
        # Captions by choice: there is no TTS to speak.
        self.is_text_only = False
        # The rest of the reply was shown, and never spoken.
        self.is_voice_lost = False
        # The latest failure of the first TTS, None after a success.
        self._first_tts_failure: AnchorError | None = None
        self._is_late_reported = False

    def add_text(self, delta: str, language: str = "") -> None:
        """Append generated text, in the reply's language or another."""
        language = language or self._settings.language
        if language != self._languages[-1][1]:
            self._languages.append((len(self.text), language))
        self.text += delta
        self._text_due.set()

    def end_text(self) -> None:
        """All text has been generated."""
        self._text_complete = True
        self._text_due.set()

    def on_playback_progress(self) -> None:
        """The playback position moved: flush text to TTS if more is due."""
        if self._pacer.has_due_text(self.text, self._playout.unheard_ms, self._now_s() - self._last_event_s):
            self._text_due.set()

    async def run(self) -> None:
        """Synthesise until all text is spoken, or no TTS is left."""
        if not self._tts_chain:
            self.is_text_only = True
            self._playout.end_audio()
            return
        failure = await self._synthesise(self._tts_chain[0], self._settings.voice, _TTS_TIMEOUT_S)
        if failure is not None:
            failure = await self._fail_over(failure)
        if failure is not None:
            failure = await self._show_captions(failure)
        if failure is None:
            self.duration_ms = round(self._playout.synthesised_ms)
        else:
            self.is_voice_lost = True
        self._playout.end_audio()

    async def _show_captions(self, failure: AnchorError) -> AnchorError | None:
        """Go on mute, and let a first TTS that was away speak the rest when it returns; return the last failure."""
        self._waterfall.trace.record_failure(failure.code, "speak")
        TTS_FAILURES.labels("captions").inc()
        self._send(Error(failure.code, f"captions only: {failure.message}", failure.retryable))
        last: AnchorError | None = failure
        until_s = self._now_s() + _MAX_MUTE_S
        while isinstance(self._first_tts_failure, _AWAY) and (left_s := until_s - self._now_s()) > 0:
            await asyncio.sleep(_RETURN_INTERVAL_S)
            last = await self._synthesise(self._tts_chain[0], self._settings.voice, min(left_s, _TTS_TIMEOUT_S))
            if self._produced_audio:
                TTS_FAILURES.labels("returned").inc()
                until_s = self._now_s() + self._playout.unheard_ms / 1000 + _MAX_MUTE_S
        return last

    async def _fail_over(self, failure: AnchorError) -> AnchorError | None:
        """TTS failover: try the first TTS again, then the fallbacks; return the last failure, None after success.

        The first TTS is not tried again after `InvalidRequest`: the same request would fail again.
        """
        last: AnchorError | None = failure
        if not isinstance(failure, InvalidRequest):
            last = await self._retry_first_tts(failure)
        for tts in self._tts_chain[1:]:
            if last is None:
                break
            TTS_FAILURES.labels("another").inc()
            self._send(Error(last.code, f"continuing with the fallback TTS: {last.message}", last.retryable))
            last = await self._synthesise(tts, "", _TTS_TIMEOUT_S)
        return last

    async def _retry_first_tts(self, failure: AnchorError) -> AnchorError | None:
        """Try the first TTS once more; while it is unavailable, retry for as long as the client may be kept waiting."""
        TTS_FAILURES.labels("again").inc()
        until_s = self._now_s() + min(self._playout.unheard_ms / 1000 + _MAX_GAP_S, _MAX_RETRY_S)
        last: AnchorError | None = failure
        while (left_s := until_s - self._now_s()) > 0:
            last = await self._synthesise(self._tts_chain[0], self._settings.voice, left_s)
            if self._produced_audio or not isinstance(last, _AWAY):
                break
            await asyncio.sleep(_RETRY_INTERVAL_S)
        return last

    async def _synthesise(self, tts: TextToSpeech, voice: str, first_audio_timeout_s: float) -> AnchorError | None:
        """Speak all text that has not been sent as speech; return the failure, None after success."""
        failure = await self._speak_unsent(tts, voice, first_audio_timeout_s)
        if tts is self._tts_chain[0]:
            self._first_tts_failure = failure
        return failure

    async def _speak_unsent(self, tts: TextToSpeech, voice: str, first_audio_timeout_s: float) -> AnchorError | None:
        self._rewind_to_unsent()
        try:
            await self._speak_language(tts, voice, first_audio_timeout_s)
            while self._pacer.sent_chars < len(self.text) or not self._text_complete:
                self._begin_stream(self._pacer.sent_chars, self._playout.synthesised_ms)
                await self._speak_language(tts, voice, first_audio_timeout_s)
        except TimeoutError:
            message = f"the TTS returned nothing for {first_audio_timeout_s:.1f} s"
            failure: AnchorError = PeerFailed("tts.silent", message)
        except AnchorError as error:
            failure = error
        else:
            return None
        log.warning(
            "TTS failed", extra={"code": failure.code, "reason": failure.message, "spoke": self._produced_audio}
        )
        return failure

    async def _speak_language(self, tts: TextToSpeech, voice: str, first_audio_timeout_s: float) -> None:
        """Speak the text from the stream's start up to the next language, in a stream of its own."""
        settings = self._settings
        self._stream_language = language = self._language_at(self._stream_start[0])
        if language != settings.language:
            voice = settings.voices.get(language, "") if tts is self._tts_chain[0] else ""
        async with (
            IdleTimeout(
                first_audio_timeout_s, self._may_be_silent, late_s=_LATE_S, on_late=self._report_late
            ) as timeout,
            tts.open(voice, language, settings.style) as speech,
        ):
            await run_together(self._flush_text(speech, timeout), self._receive_speech(speech, timeout))

    def _language_at(self, char: int) -> str:
        return [name for at, name in self._languages if at <= char][-1]

    @property
    def _stream_end(self) -> int | None:
        """The character at which the stream's language ends; None while it lasts to the end of the text."""
        start = self._stream_start[0]
        if self._language_at(start) != self._stream_language:
            return start
        return next((at for at, _ in self._languages if at > start), None)

    @property
    def _stream_text_sent(self) -> bool:
        """Whether the stream got all of its text, and no more can come."""
        end = self._stream_end
        if end is None and not self._text_complete:
            return False
        return self._pacer.sent_chars == (len(self.text) if end is None else end)

    def _rewind_to_unsent(self) -> None:
        """Move synthesis back to the first unsent speech, and discard the speech and marks beyond it.

        That is the start of the unfinished phrase while none of it was sent, otherwise the last started word, which may
        be incomplete. Without word marks, the whole phrase is repeated.
        """
        char, offset_ms = self._phrase_start
        if self._playout.sent_ms > offset_ms:
            started = [mark for mark in self.marks if offset_ms <= mark.offset_ms <= self._playout.synthesised_ms]
            if started:
                char, offset_ms = started[-1].text_start, started[-1].offset_ms
        end_ms = self._playout.truncate(offset_ms)
        self.marks = [mark for mark in self.marks if mark.text_start < char]
        self._begin_stream(char, end_ms)
        self._produced_audio = False

    def _begin_stream(self, char: int, offset_ms: float) -> None:
        self._stream_start = self._phrase_start = (char, offset_ms)
        self._pacer = TextPacer(char)
        self._text_due.set()

    # Text to the TTS ------------------------------------------------------------------------------------------------

    async def _flush_text(self, speech: SpeechStream, timeout: IdleTimeout) -> None:
        """Flush text to TTS whenever some is due, until all of it in the stream's language was sent."""
        while True:
            tts_idle_s = self._now_s() - self._last_event_s
            text = self.text[: self._stream_end]
            if chunk := self._pacer.next_chunk(text, self._playout.unheard_ms, tts_idle_s):
                timeout.reset()
                await speech.send_text(chunk)
            elif self._stream_text_sent:
                break
            else:
                self._text_due.clear()
                await self._text_due.wait()
        await speech.end_text()

    def _report_late(self) -> None:
        """Tell the client, once in a reply, that a TTS which has text returns nothing, and is waited for."""
        if not self._is_late_reported:
            self._is_late_reported = True
            self._send(Error("tts.late", f"the TTS has returned nothing for {_LATE_S:g} s; waiting", retryable=True))

    def _may_be_silent(self) -> bool:
        """Whether the TTS may return nothing: it waits for text, playout is paused, or enough speech is ahead."""
        waits_for_text = not self._text_complete and self._pacer.sent_chars == len(self.text)
        unplayed_ms = max(self._playout.unheard_ms, (self._played_at_s - self._now_s()) * 1000)
        return waits_for_text or self._playout.is_paused or unplayed_ms > MIN_AHEAD_MS

    # Speech from the TTS --------------------------------------------------------------------------------------------

    async def _receive_speech(self, speech: SpeechStream, timeout: IdleTimeout) -> None:
        async with aclosing(speech.speech()) as items:
            async for item in items:
                self._last_event_s = self._now_s()
                timeout.reset()
                self._handle_speech(item, timeout)
                if self._playout.is_full:
                    await self._playout.wait_capacity()
        if not self._stream_text_sent:
            raise PeerFailed("tts.ended", "the TTS ended its stream before all text was spoken")

    def _handle_speech(self, item: Speech, timeout: IdleTimeout) -> None:
        char, base_ms = self._stream_start
        if isinstance(item, PhraseStarted):
            self._waterfall.record_stage("first_phrase", self._last_event_s)
            self._phrase_start = (char + item.text_start, self._playout.synthesised_ms)
            self._pacer.on_synthesised(char + item.text_start)
        elif isinstance(item, SpeechMark):
            mark = SpeechMark(char + item.text_start, char + item.text_end, round(base_ms + item.offset_ms))
            self.marks.append(mark)
            self._pacer.on_synthesised(mark.text_start)
            self._playout.add_mark(messages.SpeechMark(self._turn_id, mark.text_start, mark.text_end, mark.offset_ms))
        else:
            self._waterfall.record_stage("first_audio", self._last_event_s)
            self._produced_audio = True
            timeout.timeout_s = _TTS_TIMEOUT_S
            self._pacer.on_tts_event()
            before_ms = self._playout.synthesised_ms
            self._playout.append_audio(item.pcm)
            added_s = (self._playout.synthesised_ms - before_ms) / 1000
            self._played_at_s = max(self._played_at_s, self._last_event_s) + added_s
