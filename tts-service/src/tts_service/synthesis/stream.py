"""Makes an engine for streamed text of one that speaks phrases."""

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
    Word,
)
from tts_service.metrics import AUDIO_SECONDS, CHARACTERS, FIRST_AUDIO_SECONDS, PHRASES, WATCHDOG
from tts_service.settings import TtsSettings
from tts_service.synthesis.speech_output import SpeechOutput
from tts_service.synthesis.watchdog import PhraseWatchdog
from tts_service.text.normalisation import NormalisedText, WordMarks, normalise_text
from tts_service.text.phrases import Phrase, PhraseCutter

# Text deltas that wait while a phrase is spoken; when full, reading from the client waits.
_MAX_WAITING_DELTAS = 64


@dataclass(frozen=True, slots=True)
class ReplyLimits:
    """The bounds of a reply; see `TtsSettings` for their meaning."""

    max_reply_chars: int
    max_phrase_chars: int
    max_ahead_s: float
    low_speech_ms: int
    text_stall_ms: int
    engine_silent_s: float

    @classmethod
    def from_settings(cls, settings: TtsSettings) -> ReplyLimits:
        """The bounds that the settings name."""
        return cls(
            settings.max_reply_chars,
            settings.max_phrase_chars,
            settings.max_ahead_s,
            settings.low_speech_ms,
            settings.text_stall_ms,
            settings.engine_silent_s,
        )


class _WaitFor(IntEnum):
    """What waiting for the rest of a sentence rests upon, in the order in which it fails."""

    # Until little is left, then whole clauses are spoken.
    LOW_AUDIO = 0
    # Until it stalls, then whole words are spoken.
    TEXT_STALL = 1
    # What stands there is too little to be spoken.
    MORE_TEXT = 2


class StreamAdapter:
    """A `TtsEngine` that cuts streamed text into phrases for a `PhraseEngine`."""

    def __init__(self, engine: PhraseEngine, limits: ReplyLimits) -> None:
        self._engine = engine
        self._limits = limits

    @property
    def phrase_engine(self) -> PhraseEngine:
        """The engine behind it."""
        return self._engine

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        return self._engine.lifespan()

    def voices(self) -> Sequence[Voice]:
        return self._engine.voices()

    def open_stream(self, config: SynthesisConfig) -> PhraseReplyStream:
        return PhraseReplyStream(self._engine, config, self._limits)


class CloningStreamAdapter(StreamAdapter):
    """`PhraseSpeech` that can learn voices."""

    def __init__(self, engine: CloningPhraseEngine, limits: ReplyLimits) -> None:
        super().__init__(engine, limits)
        self._cloning_engine = engine

    async def add_voice(self, name: str, reference_wav: bytes, reference_transcript: str, language: str) -> Voice:
        return await self._cloning_engine.add_voice(name, reference_wav, reference_transcript, language)

    async def delete_voice(self, voice_id: str) -> None:
        await self._cloning_engine.delete_voice(voice_id)


class PhraseReplyStream:
    """One reply, spoken phrase by phrase, each when the one before has gone to the listener."""

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
        # Whose turn it is, None while nobody was named.
        self._speaker: int | None = None
        # When the listener has heard all that was sent, if played at once; on the loop's clock.
        self._playout_ends_s = 0.0
        self._first_phrase_at_s = 0.0

    async def send_text(self, text: str) -> None:
        """Add text. Raises `InvalidRequest` for text after the end, and for too much of it."""
        if self._ended:
            raise InvalidRequest("tts.text_after_end", "text came after the end of the text")
        self._chars += len(text)
        if self._chars > self._limits.max_reply_chars:
            raise InvalidRequest("tts.text_too_long", f"a reply has at most {self._limits.max_reply_chars} characters")
        if text:
            await self._deltas.put(text)

    async def end_text(self) -> None:
        """Say that all text was written; saying it twice does no harm."""
        if not self._ended:
            self._ended = True
            await self._deltas.put(None)

    async def run(self, emit: Emit) -> None:
        """Speak the text into `emit` as it comes. Raises `EngineFailed` when the engine does not do its part."""
        while (phrase := await self._next_phrase()) is not None:
            spoken = self._normalise(phrase)
            if spoken.is_speakable:
                await asyncio.sleep(max(self._unplayed_s - self._limits.max_ahead_s, 0))
                with self._phrase_span(spoken):
                    await self._synthesize_phrase(phrase, spoken, emit)

    def _normalise(self, phrase: Phrase) -> NormalisedText:
        """The phrase as it is spoken: a speaker's turn lasts over phrases, until another one is named."""
        spoken = normalise_text(phrase.text)
        if self._speaker is not None:
            spoken = replace(spoken, speaker_turns=((0, self._speaker), *spoken.speaker_turns))
        if spoken.speaker_turns:
            self._speaker = spoken.speaker_turns[-1][1]
        return spoken

    def _phrase_span(self, spoken: NormalisedText) -> AbstractContextManager[Span]:
        attributes = {"phrase": self._phrases_synthesized, "characters": len(spoken.text)}
        return tracing.current(tracing.tracer().start_span("phrase", attributes=attributes))

    async def _next_phrase(self) -> Phrase | None:
        """The next phrase, None after the last. Waits for whole sentences while the listener has something to hear."""
        loop = asyncio.get_running_loop()
        waiting_since_s, patience = loop.time(), _WaitFor.LOW_AUDIO
        while not self._waiting_phrases and not self._text_is_cut:
            if patience is _WaitFor.LOW_AUDIO and not self._phrases_synthesized:
                patience = _WaitFor.TEXT_STALL
            try:
                async with asyncio.timeout_at(self._wait_deadline_s(patience, waiting_since_s)):
                    self._cut_delta(await self._deltas.get())
                waiting_since_s, patience = loop.time(), _WaitFor.LOW_AUDIO
            except TimeoutError:
                self._waiting_phrases += self._cutter.cut_early(stalled=patience is _WaitFor.TEXT_STALL)
                patience = _WaitFor(patience + 1)
        return self._waiting_phrases.popleft() if self._waiting_phrases else None

    def _cut_delta(self, delta: str | None) -> None:
        if delta is None:
            self._text_is_cut = True
            self._waiting_phrases += self._cutter.end_text()
        else:
            self._waiting_phrases += self._cutter.push_text(delta)

    def _wait_deadline_s(self, patience: _WaitFor, waiting_since_s: float) -> float | None:
        if patience is _WaitFor.MORE_TEXT or not self._cutter.has_speakable_text:
            return None
        low_s = self._playout_ends_s - self._limits.low_speech_ms / 1000
        if patience is _WaitFor.LOW_AUDIO:
            return max(low_s, waiting_since_s)
        return max(low_s, waiting_since_s + self._limits.text_stall_ms / 1000)

    async def _synthesize_phrase(self, phrase: Phrase, spoken: NormalisedText, emit: Emit) -> None:
        if self._phrases_synthesized == 0:
            self._first_phrase_at_s = asyncio.get_running_loop().time()
        await emit(PhraseStarted(phrase.start, phrase.start + len(phrase.text)))
        PHRASES.inc()
        CHARACTERS.inc(len(spoken.text))
        starts_ms = self._output.sent_ms
        watchdog = PhraseWatchdog(spoken.text, self._config.style.pace, self._rate_hz)
        words = WordMarks(spoken)
        # Marks leave with the speech they are about: messages that go together cost less.
        marks: list[SpeechMark] = []

        def mark(places: list[tuple[int, int]], offset_ms: int) -> None:
            marks.extend(SpeechMark(phrase.start + start, phrase.start + end, offset_ms) for start, end in places)

        try:
            asked = PhraseRequest(self._phrases_synthesized, spoken.text, spoken.speaker_turns)
            async with self._engine.synthesize(asked, self._config) as speech:
                self._phrases_synthesized += 1
                while (piece := await self._next_piece(speech)) is not None:
                    if isinstance(piece, Word):
                        sample = max(piece.first_sample - watchdog.dropped_samples, 0)
                        place_ms = starts_ms + sample * 1000 // self._rate_hz
                        mark(words.pop_until(piece.first_char, piece.chars), place_ms)
                    else:
                        samples = watchdog.check_samples(piece.samples)
                        await self._send(self._output.add_samples(samples, self._unplayed_s * 1000), marks, emit)
            watchdog.finish_phrase()
            await self._send(self._output.finish_phrase(), marks, emit)
            mark(words.pop_remaining(), self._output.sent_ms)
            for left in marks:
                # A place beyond the speech is no place.
                await emit(replace(left, offset_ms=min(left.offset_ms, self._output.sent_ms)))
        finally:
            AUDIO_SECONDS.inc((self._output.sent_ms - starts_ms) / 1000)
            for check, count in watchdog.repairs.items():
                WATCHDOG.labels(check).inc(count)

    @property
    def _unplayed_s(self) -> float:
        """How long the listener has something to hear, if played at once."""
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
                "tts.engine_silent", f"the engine gave nothing for {self._limits.engine_silent_s} s"
            ) from error
