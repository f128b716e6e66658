"""How busy the machine is, by what its users wait for: transcripts, and the loop that sends their audio."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from statistics import fmean

from service_kit.audio import AudioChunk
from service_kit.errors import AtCapacity

from orchestrator.conversation.model.ports import (
    FinalTranscript,
    SpeechToText,
    SpeechToTextStream,
    Transcript,
    TranscriptionProgress,
)

# What counts as a load of 1: a transcript that takes so long after the end of speech leaves the other stages too little
# of the latency budget of 2 s; a loop that is so late sends audio with gaps.
_TRANSCRIPT_S = 1.0
_LOOP_LAG_S = 0.2
# Samples that are older do not count any more.
_WINDOW_S = 3.0
_MAX_SAMPLES = 1_000


class LoadMeter:
    """The load of the last seconds; 1 is the most with which turns are answered in time."""

    def __init__(self) -> None:
        # Time of the sample, and its value relative to 1.
        self._transcripts: deque[tuple[float, float]] = deque(maxlen=_MAX_SAMPLES)
        self._lags: deque[tuple[float, float]] = deque(maxlen=_MAX_SAMPLES)
        # Since when transcripts are waited for.
        self._pending: dict[object, float] = {}

    def on_flush(self, stream: object, now_s: float) -> None:
        """A transcript was asked for on a stream."""
        self._pending[stream] = now_s

    def on_final(self, stream: object, now_s: float) -> None:
        """The transcript came."""
        if (flushed_s := self._pending.pop(stream, None)) is not None:
            self._transcripts.append((now_s, (now_s - flushed_s) / _TRANSCRIPT_S))

    def forget(self, stream: object) -> None:
        """The transcript is not waited for any more."""
        self._pending.pop(stream, None)

    def on_lag(self, lag_s: float, now_s: float) -> None:
        """The event loop ran a timer late by so much."""
        self._lags.append((now_s, lag_s / _LOOP_LAG_S))

    def load(self, now_s: float) -> float:
        """The load now."""
        for samples in (self._transcripts, self._lags):
            while samples and samples[0][0] < now_s - _WINDOW_S:
                samples.popleft()
        waits = [wait for _, wait in self._transcripts]
        # One that is late already counts before it comes.
        waits += [wait for since_s in self._pending.values() if (wait := (now_s - since_s) / _TRANSCRIPT_S) > 1]
        return max(fmean(waits or (0.0,)), fmean([lag for _, lag in self._lags] or (0.0,)))


class MeteredStt:
    """Speech to text whose waits are measured; streams are reopened when `wants_partials` has changed."""

    def __init__(
        self, stt: SpeechToText, meter: LoadMeter, now_s: Callable[[], float], wants_partials: Callable[[], bool]
    ) -> None:
        """`stt` reads `wants_partials` when it opens a stream."""
        self._stt = stt
        self._meter = meter
        self._now_s = now_s
        self._wants_partials = wants_partials

    @asynccontextmanager
    async def open(self, language: str) -> AsyncGenerator[SpeechToTextStream]:
        """Start recognition; leaving the context ends it."""
        partials = self._wants_partials()
        async with self._stt.open(language) as stream:
            metered = _MeteredStream(stream, self._meter, self._now_s, lambda: self._wants_partials() != partials)
            try:
                yield metered
            finally:
                self._meter.forget(metered)


class _MeteredStream:
    def __init__(
        self, stream: SpeechToTextStream, meter: LoadMeter, now_s: Callable[[], float], is_outdated: Callable[[], bool]
    ) -> None:
        self._stream = stream
        self._meter = meter
        self._now_s = now_s
        self._is_outdated = is_outdated
        self._segment_is_empty = True

    async def push_audio(self, chunk: AudioChunk) -> None:
        if self._segment_is_empty and self._is_outdated():
            # Between two segments, nothing is transcribed twice by reopening.
            raise AtCapacity("stt.idle", "the stream is reopened with other partial transcripts")
        self._segment_is_empty = False
        await self._stream.push_audio(chunk)

    async def flush_segment(self, segment_id: int) -> None:
        self._meter.on_flush(self, self._now_s())
        await self._stream.flush_segment(segment_id)

    async def commit_segment(self, segment_id: int) -> None:
        self._segment_is_empty = True
        self._meter.forget(self)
        await self._stream.commit_segment(segment_id)

    async def transcripts(self) -> AsyncGenerator[Transcript | TranscriptionProgress]:
        async with aclosing(self._stream.transcripts()) as transcripts:
            async for item in transcripts:
                if isinstance(item, FinalTranscript):
                    self._meter.on_final(self, self._now_s())
                yield item
