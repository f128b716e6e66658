"""A microphone stream on a model that transcribes whole clips."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from service_kit.audio import AudioChunk
from service_kit.errors import AnchorError

from stt_service.engine import (
    FinalTranscript,
    LanguageSource,
    PartialTranscript,
    Segment,
    Transcript,
    TranscriptionConfig,
    Word,
)
from stt_service.retranscribing.hallucinations import drop_hallucinations
from stt_service.retranscribing.recogniser import ClipRecogniser, ClipTranscript
from stt_service.retranscribing.transcription_slots import TranscriptionSlots
from stt_service.retranscribing.utterance import Utterance
from stt_service.retranscribing.words import detect_language
from stt_service.settings import SttSettings
from stt_service.transcript_queue import TranscriptQueue

log = logging.getLogger(__name__)

# The pause between two partials is as long as the last one took, and at least this long.
MIN_PARTIAL_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class SharedModel:
    """Shared by all microphones of an engine."""

    recogniser: ClipRecogniser
    slots: TranscriptionSlots
    settings: SttSettings


@asynccontextmanager
async def open_retranscribing_stream(
    shared: SharedModel, config: TranscriptionConfig
) -> AsyncGenerator[RetranscribingStream]:
    """Open a microphone stream; exiting cancels its partials."""
    async with asyncio.TaskGroup() as tasks:
        stream = RetranscribingStream(shared, config, tasks)
        try:
            yield stream
        finally:
            stream.cancel_partials()


class RetranscribingStream:
    """Transcribes the whole utterance for each final, and for partials in between, as often as the load allows.

    A final cancels the partial in progress. A full utterance is split at its quietest moment: its first part gets its
    definite transcript, and the rest begins the next utterance.
    """

    def __init__(self, shared: SharedModel, config: TranscriptionConfig, tasks: asyncio.TaskGroup) -> None:
        self._recogniser, self._slots, self._settings = shared.recogniser, shared.slots, shared.settings
        self._config = config
        self._tasks = tasks
        self._queue = TranscriptQueue()
        self._partials: asyncio.Task[None] | None = None
        self._utterance = Utterance()
        self._segment = Segment(1)
        # How much of the utterance the last partial or final covered.
        self._covered_ms = 0.0
        # Transcripts of the segment's finished utterances.
        self._finished: list[ClipTranscript] = []
        # Transcript of the current utterance as flushed; None after it has grown.
        self._flushed: ClipTranscript | None = None

    async def push_audio(self, chunk: AudioChunk, segment: Segment) -> None:
        """Add audio and start a partial if one is due; waits only when the utterance is full."""
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
        self._covered_ms = self._utterance.duration_ms
        if self._flushed is None:
            self._flushed = await self._transcribe(self._utterance)
        await self._queue.put_final(self._final(segment, [*self._finished, self._flushed]))

    async def commit_segment(self, segment: Segment) -> None:
        """Discard the segment, and audio that was not flushed."""
        self.cancel_partials()
        self._utterance = Utterance()
        self._flushed = None
        self._finished = []
        self._covered_ms = 0.0

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
        self._utterance = rest
        self._covered_ms = 0.0
        await self._queue.put_final(self._final(segment, self._finished))

    def _partial_is_due(self) -> bool:
        return self._utterance.duration_ms - self._covered_ms >= self._settings.partial_interval_ms and _has_speech(
            self._utterance, self._settings
        )

    async def _transcribe_partials(self) -> None:
        """Transcribe one partial after another while the utterance grows; a slower model gives fewer."""
        while self._partial_is_due():
            started_s = _now_s()
            covered_ms = self._utterance.duration_ms
            await self._transcribe_partial(self._utterance, self._segment)
            self._covered_ms = covered_ms
            await asyncio.sleep(max(_now_s() - started_s, MIN_PARTIAL_PAUSE_S))

    async def _transcribe_partial(self, utterance: Utterance, segment: Segment) -> None:
        voiced_ms = utterance.voiced_ms
        try:
            async with self._slots.partial_slot() as granted:
                if granted:
                    clip = await self._recogniser.transcribe_clip(utterance.pcm, self._config.language, final=False)
                    self._put_partial(self._without_hallucinations(clip, voiced_ms), segment)
        except AnchorError as error:
            # A missing partial does no harm. If the cause persists, the final fails with its error.
            log.warning("partial transcript failed", extra={"code": error.code, "reason": error.message})

    def _put_partial(self, clip: ClipTranscript, segment: Segment) -> None:
        text = _joined([*self._finished, clip])
        if text:
            self._queue.put_partial(PartialTranscript(segment, text, self._config.language or clip.language))

    async def _transcribe(self, utterance: Utterance) -> ClipTranscript:
        if not _has_speech(utterance, self._settings):
            return ClipTranscript("")
        async with self._slots.final_slot():
            clip = await self._recogniser.transcribe_clip(utterance.pcm, self._config.language, final=True)
        return _on_audio_clock(self._without_hallucinations(clip, utterance.voiced_ms), utterance)

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
        confidences = [clip.confidence for clip in clips if clip.confidence is not None]
        return FinalTranscript(
            segment,
            text,
            language=language,
            language_source=source,
            # The confidence of the text is that of its least certain part.
            confidence=min(confidences, default=None),
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
