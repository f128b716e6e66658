"""The stream adapter: makes a `TtsEngine` for streamed text from a `PhraseEngine`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, replace
from enum import IntEnum

from opentelemetry.trace import Span, get_current_span
from service_kit.audio import SPEECH
from service_kit.engines.info import EngineInfo
from service_kit.errors import EngineFailed, InvalidRequest
from service_kit.observability import tracing

from tts_service.engine import (
    CloningPhraseEngine,
    Emit,
    PhraseEngine,
    PhraseRequest,
    PhraseStarted,
    Samples,
    Speech,
    SpeechAudio,
    SpeechMark,
    SynthesisConfig,
    Voice,
    VoiceConsent,
    Word,
)
from tts_service.metrics import AUDIO_SECONDS, CHARACTERS, FIRST_AUDIO_SECONDS, PHRASES, WATCHDOG
from tts_service.settings import TtsSettings
from tts_service.synthesis.speech_output import SpeechOutput
from tts_service.synthesis.watchdog import PhraseWatchdog
from tts_service.text.normalisation import NormalisedText, WordMarks, normalise_text
from tts_service.text.phrases import Phrase, PhraseCutter

# Text deltas queued while a phrase is spoken; when the queue is full, reading from the client waits.
_MAX_WAITING_DELTAS = 64


@dataclass(frozen=True, slots=True)
class ReplyLimits:
    """The limits of one reply; `TtsSettings` explains each."""

    max_reply_chars: int
    max_phrase_chars: int
    max_ahead_s: float
    low_speech_ms: int
    text_stall_ms: int
    engine_silent_s: float

    @classmethod
    def from_settings(cls, settings: TtsSettings) -> ReplyLimits:
        """Take the limits from the settings."""
        return cls(
            settings.max_reply_chars,
            settings.max_phrase_chars,
            settings.max_ahead_s,
            settings.low_speech_ms,
            settings.text_stall_ms,
            settings.engine_silent_s,
        )


class _WaitFor(IntEnum):
    """What ends the wait for the rest of a sentence; tried in this order."""

    # The client has little left to play: speak whole clauses.
    LOW_AUDIO = 0
    # The text has stalled: speak whole words.
    TEXT_STALL = 1
    # There is too little text to speak.
    MORE_TEXT = 2


class StreamAdapter:
    """A `TtsEngine` that cuts streamed text into phrases for a `PhraseEngine`."""

    def __init__(self, engine: PhraseEngine, limits: ReplyLimits) -> None:
        self._engine = engine
        self._limits = limits

    @property
    def phrase_engine(self) -> PhraseEngine:
        """The wrapped engine."""
        return self._engine

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        return self._engine.lifespan()

    def voices(self) -> Sequence[Voice]:
        # The voices of a routed engine have the fields of their own engines.
        followed = self._engine.info.style_fields
        return [replace(voice, style_fields=voice.style_fields or followed) for voice in self._engine.voices()]

    def open_stream(self, config: SynthesisConfig) -> PhraseReplyStream:
        return PhraseReplyStream(self._engine, config, self._limits)


class CloningStreamAdapter(StreamAdapter):
    """A `StreamAdapter` over an engine that clones voices; a `CloningEngine`."""

    def __init__(self, engine: CloningPhraseEngine, limits: ReplyLimits) -> None:
        super().__init__(engine, limits)
        self._cloning_engine = engine

    def cloning_languages(self) -> Sequence[str]:
        return self._cloning_engine.cloning_languages()

    async def add_voice(
        self,
        name: str,
        reference_wav: bytes,
        reference_transcript: str,
        language: str,
        consent: VoiceConsent | None = None,
    ) -> Voice:
        return await self._cloning_engine.add_voice(name, reference_wav, reference_transcript, language, consent)

    async def delete_voice(self, voice_id: str) -> None:
        await self._cloning_engine.delete_voice(voice_id)


class PhraseReplyStream:
    """The stream of one reply. Phrases are synthesised one after another."""

    def __init__(self, engine: PhraseEngine, config: SynthesisConfig, limits: ReplyLimits) -> None:
        self._engine = engine
        self._config = config
        self._limits = limits
        self._rate_hz = engine.info.sample_rate_hz or 0
        self._deltas: asyncio.Queue[str | None] = asyncio.Queue(_MAX_WAITING_DELTAS)
        self._chars = 0
        self._ended = False
        self._cutter = PhraseCutter(config.language, limits.max_phrase_chars)
        self._waiting_phrases: deque[Phrase] = deque()
        self._text_is_cut = False
        self._output = SpeechOutput(self._rate_hz)
        self._phrases_synthesized = 0
        # The current speaker; None until the text names one.
        self._speaker: int | None = None
        # When playout of all sent audio ends if the client plays it immediately; on the loop's clock.
        self._playout_ends_s = 0.0
        self._first_phrase_at_s = 0.0

    async def send_text(self, text: str) -> None:
        """Add text. Raises `InvalidRequest` for text after the end, and for text over the limit."""
        if self._ended:
            raise InvalidRequest("tts.text_after_end", "text was sent after the end of the text")
        self._chars += len(text)
        if self._chars > self._limits.max_reply_chars:
            raise InvalidRequest("tts.text_too_long", f"a reply has at most {self._limits.max_reply_chars} characters")
        if text:
            await self._deltas.put(text)

    async def end_text(self) -> None:
        """Mark the end of the text. Idempotent."""
        if not self._ended:
            self._ended = True
            await self._deltas.put(None)

    async def run(self, emit: Emit) -> None:
        """Synthesise the text as it comes; pass the events to `emit`. Raises `EngineFailed` when the engine fails."""
        while (phrase := await self._next_phrase()) is not None:
            text = self._normalise(phrase)
            if text.is_speakable:
                if not self._config.paced_by_text:
                    await asyncio.sleep(max(self._unplayed_s - self._limits.max_ahead_s, 0))
                with self._phrase_span(text):
                    await self._synthesize_phrase(phrase, text, emit)

    def _normalise(self, phrase: Phrase) -> NormalisedText:
        """Normalise the phrase's text. A speaker's turn continues over phrases until the text names another speaker."""
        text = normalise_text(phrase.text)
        if self._speaker is not None:
            text = replace(text, speaker_turns=((0, self._speaker), *text.speaker_turns))
        if text.speaker_turns:
            self._speaker = text.speaker_turns[-1][1]
        return text

    def _phrase_span(self, text: NormalisedText) -> AbstractContextManager[Span]:
        attributes = {"phrase": self._phrases_synthesized, "characters": len(text.text)}
        return tracing.current(tracing.tracer().start_span("phrase", attributes=attributes))

    async def _next_phrase(self) -> Phrase | None:
        """The next phrase; None after the last. Waits for whole sentences while the client has speech left to play."""
        loop = asyncio.get_running_loop()
        waiting_since_s, wait_for = loop.time(), _WaitFor.LOW_AUDIO
        while not self._waiting_phrases and not self._text_is_cut:
            if wait_for is _WaitFor.LOW_AUDIO and not self._phrases_synthesized:
                wait_for = _WaitFor.TEXT_STALL
            try:
                async with asyncio.timeout_at(self._wait_deadline_s(wait_for, waiting_since_s)):
                    self._cut_delta(await self._deltas.get())
                waiting_since_s, wait_for = loop.time(), _WaitFor.LOW_AUDIO
            except TimeoutError:
                self._waiting_phrases += self._cutter.cut_early(stalled=wait_for is _WaitFor.TEXT_STALL)
                wait_for = _WaitFor(wait_for + 1)
        return self._waiting_phrases.popleft() if self._waiting_phrases else None

    def _cut_delta(self, delta: str | None) -> None:
        if delta is None:
            self._text_is_cut = True
            self._waiting_phrases += self._cutter.end_text()
        else:
            self._waiting_phrases += self._cutter.push_text(delta)

    def _wait_deadline_s(self, wait_for: _WaitFor, waiting_since_s: float) -> float | None:
        if wait_for is _WaitFor.MORE_TEXT or not self._cutter.has_speakable_text:
            return None
        low_s = self._playout_ends_s - self._limits.low_speech_ms / 1000
        if wait_for is _WaitFor.LOW_AUDIO:
            return max(low_s, waiting_since_s)
        return max(low_s, waiting_since_s + self._limits.text_stall_ms / 1000)

    async def _synthesize_phrase(self, phrase: Phrase, text: NormalisedText, emit: Emit) -> None:
        if self._phrases_synthesized == 0:
            self._first_phrase_at_s = asyncio.get_running_loop().time()
        await emit(PhraseStarted(phrase.start, phrase.start + len(phrase.text)))
        PHRASES.inc()
        CHARACTERS.inc(len(text.text))
        starts_ms = self._output.sent_ms
        watchdog = PhraseWatchdog(text.text, self._config.style.pace, self._rate_hz)
        words = WordMarks(text)
        # Marks are sent with the audio of their span: messages sent together cost less.
        marks: list[SpeechMark] = []

        def add_marks(spans: list[tuple[int, int]], offset_ms: int) -> None:
            marks.extend(SpeechMark(phrase.start + start, phrase.start + end, offset_ms) for start, end in spans)

        try:
            request = PhraseRequest(self._phrases_synthesized, text.text, text.speaker_turns)
            async with self._engine.synthesize(request, self._config) as speech:
                self._phrases_synthesized += 1
                while (piece := await self._next_piece(speech)) is not None:
                    if isinstance(piece, Word):
                        sample = max(piece.first_sample - watchdog.dropped_samples, 0)
                        offset_ms = starts_ms + sample * 1000 // self._rate_hz
                        add_marks(words.pop_until(piece.first_char, piece.chars), offset_ms)
                    else:
                        samples = watchdog.check_samples(piece.samples)
                        await self._send(self._output.add_samples(samples, self._unplayed_s * 1000), marks, emit)
            watchdog.finish_phrase()
            await self._send(self._output.finish_phrase(), marks, emit)
            add_marks(words.pop_remaining(), self._output.sent_ms)
            for mark in marks:
                # No mark may point beyond the end of the audio.
                await emit(replace(mark, offset_ms=min(mark.offset_ms, self._output.sent_ms)))
        finally:
            AUDIO_SECONDS.inc((self._output.sent_ms - starts_ms) / 1000)
            for check, count in watchdog.repairs.items():
                WATCHDOG.labels(check).inc(count)

    @property
    def _unplayed_s(self) -> float:
        """How much sent audio is left to play, if the client plays it immediately."""
        return self._playout_ends_s - asyncio.get_running_loop().time()

    async def _send(self, chunks: list[SpeechAudio], marks: list[SpeechMark], emit: Emit) -> None:
        for chunk in chunks:
            end_ms = chunk.offset_ms + SPEECH.ms_of(len(chunk.pcm))
            while marks and marks[0].offset_ms < end_ms:
                await emit(marks.pop(0))
            now_s = asyncio.get_running_loop().time()
            if chunk.offset_ms == 0:
                get_current_span().add_event("first audio")
                FIRST_AUDIO_SECONDS.observe(now_s - self._first_phrase_at_s)
            self._playout_ends_s = max(self._playout_ends_s, now_s) + SPEECH.ms_of(len(chunk.pcm)) / 1000
            await emit(chunk)

    async def _next_piece(self, speech: AsyncIterator[Speech]) -> Samples | Word | None:
        try:
            async with asyncio.timeout(self._limits.engine_silent_s):
                return await anext(speech, None)
        except TimeoutError as error:
            raise EngineFailed(
                "tts.engine_silent", f"the engine returned nothing for {self._limits.engine_silent_s} s"
            ) from error
