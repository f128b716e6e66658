"""A microphone stream on the realtime server: one connection per utterance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from service_kit.audio import AudioChunk

from stt_service.engine import (
    FinalTranscript,
    LanguageSource,
    PartialTranscript,
    Segment,
    Transcript,
    TranscriptionConfig,
)
from stt_service.engines.voxtral_realtime.generation import RealtimeServer, RealtimeTranscription
from stt_service.retranscribing.hallucinations import drop_hallucinations
from stt_service.retranscribing.utterance import SPLIT_SEARCH_MS, Utterance
from stt_service.retranscribing.words import detect_language
from stt_service.settings import SttSettings
from stt_service.transcript_queue import TranscriptQueue


@asynccontextmanager
async def open_realtime_stream(
    server: RealtimeServer, settings: SttSettings, config: TranscriptionConfig
) -> AsyncGenerator[RealtimeStream]:
    """Open a microphone stream; exiting closes its connection. A failed connection ends the stream with its error."""
    async with asyncio.TaskGroup() as tasks:
        stream = RealtimeStream(server, settings, config, tasks)
        try:
            yield stream
        finally:
            stream.cancel_transcription()


class RealtimeStream:
    """Recognition of one microphone. Each utterance with speech is a transcription at the server.

    A flush ends the transcription, because the server sends its last words only then. If the speaker continues, a new
    transcription starts from the beginning of the utterance, and may correct the text. If the utterance is longer than
    `voxtral_realtime_again_s`, its text stays as flushed, and the next utterance begins instead.
    """

    def __init__(
        self, server: RealtimeServer, settings: SttSettings, config: TranscriptionConfig, tasks: asyncio.TaskGroup
    ) -> None:
        self._server = server
        self._settings = settings
        self._config = config
        self._tasks = tasks
        self._queue = TranscriptQueue()
        self._segment = Segment(1)
        self._utterance = Utterance()
        self._transcription: RealtimeTranscription | None = None
        self._running: asyncio.Task[None] | None = None
        # Texts of the segment's finished utterances.
        self._finished_texts: list[str] = []
        # Text of the current utterance as flushed; None after it has grown.
        self._flushed_text: str | None = None
        # The last partial, and how much of the utterance it covered.
        self._last_partial = ""
        self._last_partial_ms = 0

    async def push_audio(self, chunk: AudioChunk, segment: Segment) -> None:
        """Send audio to the server; waits while the server is behind, and for the text of a full utterance."""
        self._segment = segment
        self._resume()
        added = self._utterance.append(chunk)
        if self._transcription is not None:
            await self._transcription.push_audio(added)
        elif self._utterance.voiced_ms >= self._settings.min_speech_ms:
            on_text = partial(self._on_text, self._utterance)
            self._transcription = RealtimeTranscription(self._server, on_text, self._settings.voxtral_realtime_first_s)
            self._running = self._tasks.create_task(self._transcription.run(), name="voxtral realtime")
            await self._transcription.push_audio(self._utterance.pcm)
        if self._is_full():
            self._start_next_utterance(await self._end_transcription())
            await self._queue.put_final(self._final(segment))

    async def flush_segment(self, segment: Segment) -> None:
        """End the transcription, and queue the final of the segment."""
        if self._flushed_text is None:
            self._flushed_text = await self._end_transcription()
        await self._queue.put_final(self._final(segment))

    async def commit_segment(self, segment: Segment) -> None:
        """Discard the segment, and cancel the transcription of audio that was not flushed."""
        self.cancel_transcription()
        self._start_next_utterance("")
        self._finished_texts = []
        self._last_partial = ""

    async def end_audio(self) -> None:
        """End the transcripts; all finals are queued already."""
        self.cancel_transcription()
        self._queue.close()

    def transcripts(self) -> AsyncIterator[Transcript]:
        """Yield partials and finals."""
        return self._queue.read()

    def cancel_transcription(self) -> None:
        """Cancel the transcription in progress, if any."""
        if self._transcription is not None and self._running is not None:
            self._running.cancel()
        self._transcription = None

    def _resume(self) -> None:
        """After a flush, continue the utterance, or start the next if it is too long to transcribe again."""
        if self._flushed_text is None:
            return
        if self._utterance.duration_ms > self._settings.voxtral_realtime_again_s * 1000:
            self._start_next_utterance(self._flushed_text)
        self._flushed_text = None

    def _start_next_utterance(self, text: str) -> None:
        """Finish the current utterance with `text` and start the next."""
        self._finished_texts.append(text)
        self._utterance = Utterance()
        self._flushed_text = None
        self._last_partial_ms = 0

    def _is_full(self) -> bool:
        """Whether the utterance has reached its maximum length, or is close to it and ends in a pause."""
        left_ms = self._settings.max_utterance_s * 1000 - self._utterance.duration_ms
        return left_ms <= 0 or (left_ms <= SPLIT_SEARCH_MS and self._utterance.ends_in_pause)

    async def _end_transcription(self) -> str:
        if self._transcription is None:
            return ""
        text = await self._transcription.end_audio(self._settings.voxtral_realtime_final_s)
        self._transcription = None
        return drop_hallucinations(text, self._config.language, self._utterance.voiced_ms)

    def _on_text(self, utterance: Utterance, text: str, transcribed_ms: int) -> None:
        if utterance is not self._utterance:
            # The text arrived after the end of its utterance.
            return
        due = transcribed_ms - self._last_partial_ms >= self._settings.partial_interval_ms
        segment_text = _joined([*self._finished_texts, text])
        if self._config.partial_transcripts and due and segment_text and segment_text != self._last_partial:
            self._last_partial, self._last_partial_ms = segment_text, transcribed_ms
            self._queue.put_partial(PartialTranscript(self._segment, segment_text, self._config.language))

    def _final(self, segment: Segment) -> FinalTranscript:
        text = _joined([*self._finished_texts, self._flushed_text or ""])
        language, source = self._language(text)
        return FinalTranscript(segment, text, language=language, language_source=source)

    def _language(self, text: str) -> tuple[str, LanguageSource]:
        if self._config.language:
            return self._config.language, LanguageSource.CONFIG
        if detected := detect_language(text):
            return detected, LanguageSource.TEXT
        return "", LanguageSource.UNKNOWN


def _joined(texts: list[str]) -> str:
    return " ".join(" ".join(texts).split())
