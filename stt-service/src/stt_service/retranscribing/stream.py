"""A microphone stream on a model that transcribes whole clips."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace

from service_kit.audio import AudioChunk
from service_kit.errors import AnchorError
from service_kit.tasks import TaskGroup

from stt_service.engine import (
    FinalTranscript,
    LanguageSource,
    PartialTranscript,
    Segment,
    Transcript,
    TranscriptionConfig,
    Word,
)
from stt_service.retranscribing.alternatives import (
    AlternativeModel,
    AlternativeText,
    alternative_beside,
    alternatives_to,
)
from stt_service.retranscribing.hallucinations import collapse_stutter, drop_hallucinations, is_doubtful
from stt_service.retranscribing.recogniser import ClipRecogniser, ClipTranscript
from stt_service.retranscribing.transcription_slots import TranscriptionSlots
from stt_service.retranscribing.utterance import Utterance
from stt_service.retranscribing.words import detect_language
from stt_service.settings import SttSettings
from stt_service.transcript_queue import TranscriptQueue

log = logging.getLogger(__name__)

# The pause between two partials is as long as the last one took, and at least this long.
MIN_PARTIAL_PAUSE_S = 0.02
# A language detected with less is detected again at the next partial. Of 55 recordings of people in seven languages,
# whole, 52 have more (docs/evaluation.md: "sure").
MIN_LANGUAGE_PROBABILITY = 0.8
# When the text of the first part is kept, at least this much audio lies on either side of the cut.
PARTIAL_REST_MS = 1500


@dataclass(frozen=True, slots=True)
class SharedModel:
    """Shared by all microphones of an engine."""

    recogniser: ClipRecogniser
    slots: TranscriptionSlots
    settings: SttSettings
    # Places of the partials, where they do not take those of the finals.
    partial_slots: TranscriptionSlots | None = None
    # The shortest time between two partials of a language, empty while unknown; None for the setting.
    partial_interval_ms: Callable[[str], int] | None = None
    # Partials need at least this much speech.
    min_partial_speech_ms: int = 0
    # A partial covers at most this much audio: then the text of its first part is kept. None: no limit.
    partial_window_ms: float | None = None
    # An utterance this long ends at its next flush; None: only when it is full.
    settled_after_ms: float | None = None
    # Another model, for alternatives to the finals.
    alternative: AlternativeModel | None = None
    # Partials of less audio are taken to be in the language of the last final, where none is known.
    identified_from_ms: float = 0.0


@dataclass(slots=True)
class PartialState:
    """What the partials of the current utterance cover: the text before `begin_ms` is kept."""

    covered_ms: float = 0.0
    voiced_ms: int = 0
    begin_ms: float = 0.0
    kept: list[ClipTranscript] = field(default_factory=list[ClipTranscript])
    # As detected in this utterance with some certainty; empty until then.
    language: str = ""
    # The last partial, when all of it is by another model than the finals.
    alternative: AlternativeText = field(default_factory=AlternativeText)


@asynccontextmanager
async def open_retranscribing_stream(
    shared: SharedModel, config: TranscriptionConfig
) -> AsyncGenerator[RetranscribingStream]:
    """Open a microphone stream; exiting cancels its partials."""
    async with TaskGroup() as tasks:
        stream = RetranscribingStream(shared, config, tasks)
        try:
            yield stream
        finally:
            stream.cancel_partials()


class RetranscribingStream:
    """Transcribes the whole utterance for each final, and for partials in between, as often as the load allows.

    A final cancels the partial in progress. A full utterance is split at its quietest moment: its first part gets its
    definite transcript, and the rest begins the next utterance. A long one that was flushed ends there.
    """

    def __init__(self, shared: SharedModel, config: TranscriptionConfig, tasks: asyncio.TaskGroup) -> None:
        self._shared = shared
        self._recogniser, self._slots, self._settings = shared.recogniser, shared.slots, shared.settings
        self._config = config
        self._tasks = tasks
        self._queue = TranscriptQueue()
        self._partials: asyncio.Task[None] | None = None
        self._utterance = Utterance()
        self._segment = Segment(1)
        self._partial = PartialState()
        # Of the last final that had one.
        self._last_language = ""
        # Transcripts of the segment's finished utterances.
        self._finished: list[ClipTranscript] = []
        # Transcript of the current utterance as flushed; None after it has grown.
        self._flushed: ClipTranscript | None = None

    async def push_audio(self, chunk: AudioChunk, segment: Segment) -> None:
        """Add audio and start a partial if one is due; waits only when the utterance is full."""
        if self._flushed is not None and self._is_settled():
            self._finished.append(self._flushed)
            self._begin_utterance(Utterance())
        self._utterance.append(chunk)
        self._segment = segment
        self._flushed = None
        if self._utterance.duration_ms >= self._settings.max_utterance_s * 1000:
            await self._split_utterance(segment)
        elif (
            self._config.partial_transcripts
            and (self._partials is None or self._partials.done())
            and self._partial_is_due()
        ):
            self._partials = self._tasks.create_task(self._transcribe_partials(), name="partials")

    async def flush_segment(self, segment: Segment) -> None:
        """Transcribe the utterance, and queue the final of the segment."""
        self.cancel_partials()
        self._partial.covered_ms = self._utterance.duration_ms
        if self._flushed is None:
            self._flushed = await self._transcribe(self._utterance)
        await self._queue.put_final(self._final(segment, [*self._finished, self._flushed]))

    async def commit_segment(self, segment: Segment) -> None:
        """Discard the segment, and audio that was not flushed."""
        self.cancel_partials()
        self._begin_utterance(Utterance())
        self._finished = []

    async def end_audio(self) -> None:
        """End the transcripts; all finals are queued already."""
        self.cancel_partials()
        self._queue.close()

    def transcripts(self) -> AsyncIterator[Transcript]:
        """Yield partials and finals."""
        return self._queue.read()

    def cancel_partials(self) -> None:
        """Cancel the partial in progress, if any."""
        if self._partials is not None:
            self._partials.cancel()
            self._partials = None

    async def _split_utterance(self, segment: Segment) -> None:
        """Finish the first part of a full utterance, so that neither memory nor the wait for the last final grows."""
        self.cancel_partials()
        rest = self._utterance.split_at_quietest()
        self._finished.append(await self._transcribe(self._utterance))
        self._begin_utterance(rest)
        await self._queue.put_final(self._final(segment, self._finished))

    def _begin_utterance(self, utterance: Utterance) -> None:
        self._utterance = utterance
        self._flushed = None
        self._partial = PartialState()

    def _is_settled(self) -> bool:
        after_ms = self._shared.settled_after_ms
        return after_ms is not None and self._utterance.duration_ms >= after_ms

    def _partial_is_due(self) -> bool:
        interval_ms = self._settings.partial_interval_ms
        if self._shared.partial_interval_ms is not None:
            known = self._config.language or self._partial.language or self._last_language
            interval_ms = self._shared.partial_interval_ms(known)
        needed_ms = max(self._shared.min_partial_speech_ms, self._settings.min_speech_ms)
        fresh_ms = self._utterance.duration_ms - self._partial.covered_ms
        voiced_ms = self._utterance.voiced_ms if fresh_ms >= interval_ms else 0
        # Without fresh speech, the text would be the same.
        return fresh_ms >= interval_ms and voiced_ms >= needed_ms and voiced_ms != self._partial.voiced_ms

    async def _transcribe_partials(self) -> None:
        """Transcribe one partial after another while the utterance grows; a slower model gives fewer."""
        while self._partial_is_due():
            started_s = _now_s()
            utterance, partial = self._utterance, self._partial
            partial.covered_ms, partial.voiced_ms = utterance.duration_ms, utterance.voiced_ms
            await self._transcribe_partial(utterance, partial, self._segment)
            await asyncio.sleep(max(_now_s() - started_s, MIN_PARTIAL_PAUSE_S))

    async def _transcribe_partial(self, utterance: Utterance, partial: PartialState, segment: Segment) -> None:
        voiced_ms = utterance.voiced_ms
        try:
            async with (self._shared.partial_slots or self._slots).partial_slot() as granted:
                if granted:
                    await self._keep_first_part(utterance, partial)
                    clip = await self._transcribe_window(utterance, partial, utterance.duration_ms)
                    if all(part.by_other_model for part in (*partial.kept, clip)):
                        partial.alternative = AlternativeText(_joined([*partial.kept, clip]), voiced_ms)
                    self._put_partial(self._without_hallucinations(clip, voiced_ms), partial, segment)
        except AnchorError as error:
            # A missing partial does no harm. If the cause persists, the final fails with its error.
            log.warning("partial transcript failed", extra={"code": error.code, "reason": error.message})

    async def _keep_first_part(self, utterance: Utterance, partial: PartialState) -> None:
        """Keep the text of all but the last seconds, when there is too much audio for one partial."""
        window_ms = self._shared.partial_window_ms
        if window_ms is None or utterance.duration_ms - partial.begin_ms < window_ms:
            return
        until_ms = utterance.quietest_ms(partial.begin_ms + PARTIAL_REST_MS, utterance.duration_ms - PARTIAL_REST_MS)
        partial.kept.append(await self._transcribe_window(utterance, partial, until_ms))
        partial.begin_ms = until_ms

    async def _transcribe_window(self, utterance: Utterance, partial: PartialState, until_ms: float) -> ClipTranscript:
        language = self._config.language or partial.language
        is_short = until_ms - partial.begin_ms < self._shared.identified_from_ms
        assumed = self._last_language if not language and is_short else ""
        pcm = utterance.pcm_between(partial.begin_ms, until_ms)
        clip = await self._recogniser.transcribe_clip(pcm, language or assumed, final=False)
        probability = clip.language_probability
        if clip.text and not assumed and (probability is None or probability >= MIN_LANGUAGE_PROBABILITY):
            partial.language = clip.language
        return clip

    def _put_partial(self, clip: ClipTranscript, partial: PartialState, segment: Segment) -> None:
        text = _joined([*self._finished, *partial.kept, replace(clip, text=collapse_stutter(clip.text))])
        if text:
            language = self._config.language or clip.language
            confidence = _confidence([*partial.kept, clip])
            if confidence is not None and is_doubtful(text, language):
                confidence = 0.0
            self._queue.put_partial(PartialTranscript(segment, text, language, confidence))

    async def _transcribe(self, utterance: Utterance) -> ClipTranscript:
        if not _has_speech(utterance, self._settings):
            return ClipTranscript("")
        async with self._slots.final_slot(), self._beside_final(utterance) as alternative:
            clip = await self._recogniser.transcribe_clip(utterance.pcm, self._config.language, final=True)
            other = alternative.text
        voiced_ms = utterance.voiced_ms
        language = self._config.language or clip.language
        if self._shared.alternative is not None and language == self._shared.alternative.language:
            clip = replace(clip, alternative=drop_hallucinations(other, language, voiced_ms))
        return _on_audio_clock(self._without_hallucinations(clip, voiced_ms), utterance)

    def _beside_final(self, utterance: Utterance) -> AbstractAsyncContextManager[AlternativeText]:
        language = self._config.language or self._partial.language or self._last_language
        return alternative_beside(self._shared.alternative, utterance, self._partial.alternative, language)

    def _without_hallucinations(self, clip: ClipTranscript, voiced_ms: int) -> ClipTranscript:
        language = self._config.language or clip.language
        text = drop_hallucinations(clip.text, language, voiced_ms)
        if not text:
            return ClipTranscript("", clip.language)
        # After a removal, the words no longer match the text.
        words = clip.words if text == " ".join(clip.text.split()) else ()
        return replace(clip, text=text, words=words)

    def _final(self, segment: Segment, clips: list[ClipTranscript]) -> FinalTranscript:
        text = _joined(clips)
        language, source, probability = self._language(text, clips)
        self._last_language = language or self._last_language
        return FinalTranscript(
            segment,
            text,
            alternatives=alternatives_to(text, clips),
            language=language,
            language_source=source,
            confidence=_confidence(clips),
            words=_all_words(clips),
            language_probability=probability,
        )

    def _language(self, text: str, clips: list[ClipTranscript]) -> tuple[str, LanguageSource, float | None]:
        if self._config.language:
            return self._config.language, LanguageSource.CONFIG, None
        if detected := next((clip for clip in clips if clip.language and clip.text), None):
            return detected.language, LanguageSource.ENGINE, detected.language_probability
        if language := detect_language(text):
            return language, LanguageSource.TEXT, None
        return "", LanguageSource.UNKNOWN, None


def _has_speech(utterance: Utterance, settings: SttSettings) -> bool:
    return utterance.voiced_ms >= settings.min_speech_ms


def _confidence(clips: list[ClipTranscript]) -> float | None:
    """Return the confidence of the least certain clip that has one."""
    return min((clip.confidence for clip in clips if clip.confidence is not None), default=None)


def _joined(clips: list[ClipTranscript]) -> str:
    return " ".join(clip.text for clip in clips if clip.text)


def _on_audio_clock(clip: ClipTranscript, utterance: Utterance) -> ClipTranscript:
    """Return `clip` with its word times on the audio clock."""
    clock_ms = utterance.to_clock_ms
    words = (replace(word, start_ms=clock_ms(word.start_ms), end_ms=clock_ms(word.end_ms)) for word in clip.words)
    return replace(clip, words=tuple(words))


def _all_words(clips: list[ClipTranscript]) -> tuple[Word, ...]:
    """Return the words of all clips; none when a clip with text has none, since they would not match the text."""
    if any(clip.text and not clip.words for clip in clips):
        return ()
    return tuple(word for clip in clips for word in clip.words)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
