"""Cuts audio chunks of any size, with gaps, into frames with their position on the audio clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from service_kit.audio import SAMPLE_BYTES, AudioChunk, to_float
from service_kit.errors import InvalidRequest

from vad_service.engine import FRAME_MS, FRAME_SAMPLES, SAMPLES_PER_MS, Frame

# Clients stamp chunks in whole milliseconds: a smaller difference is rounding, not a gap or an overlap.
_ROUNDING_SAMPLES = SAMPLES_PER_MS
_GAP_SAMPLES = FRAME_MS * SAMPLES_PER_MS
# The proto carries milliseconds in 32 bits: seven weeks.
_MAX_CLOCK_MS = 2**32 - 1 - FRAME_MS


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A frame and its span on the audio clock; `after_gap` when it follows a gap in the audio."""

    samples: Frame
    start_ms: int
    end_ms: int
    after_gap: bool


class Framer:
    """Frames the audio of one microphone.

    A gap of up to one frame is filled with silence. At a longer gap, silence completes the current frame, and the next
    frame begins where the audio continues.
    """

    def __init__(self) -> None:
        # The samples of the incomplete frame.
        self._pending: NDArray[np.float32] = np.empty(0, np.float32)
        # Position of the sample after `_pending`; None before the first chunk.
        self._next_sample: int | None = None
        self._after_gap = False

    def push_audio(self, chunk: AudioChunk) -> Iterator[TimedFrame]:
        """Yield the frames that `chunk` completes.

        Raises `InvalidRequest` for half a sample, for audio that overlaps earlier audio, and for audio beyond the
        clock's range. The chunk is added only when the iterator is consumed to its end.
        """
        if len(chunk.pcm) % SAMPLE_BYTES:
            raise InvalidRequest("vad.odd_audio", f"{len(chunk.pcm)} bytes are not whole 16-bit samples")
        if chunk.end_ms > _MAX_CLOCK_MS:
            raise InvalidRequest("vad.clock_overflow", f"audio at {chunk.start_ms} ms exceeds the audio clock's range")
        start = chunk.start_ms * SAMPLES_PER_MS
        missing = 0 if self._next_sample is None else start - self._next_sample
        if missing < -_ROUNDING_SAMPLES:
            raise InvalidRequest(
                "vad.audio_overlaps",
                f"audio at {chunk.start_ms} ms overlaps earlier audio, which ends at {self._next_sample_ms} ms",
            )
        if missing > _GAP_SAMPLES:
            yield from self.flush()
            self._after_gap = True
            self._next_sample = start
        elif missing > _ROUNDING_SAMPLES:
            yield from self._append(np.zeros(missing, np.float32))
        if self._next_sample is None:
            self._next_sample = start
        yield from self._append(to_float(chunk.pcm))

    def flush(self) -> Iterator[TimedFrame]:
        """Yield the incomplete frame, if any, padded with silence; its `end_ms` is where its audio ends."""
        if self._next_sample is not None and len(self._pending):
            end_ms = self._next_sample_ms
            padding = np.zeros(FRAME_SAMPLES - len(self._pending), np.float32)
            samples = np.concatenate([self._pending, padding])
            start_ms = (self._next_sample - len(self._pending)) // SAMPLES_PER_MS
            self._pending = np.empty(0, np.float32)
            yield TimedFrame(samples, start_ms, end_ms, self._pop_after_gap())

    @property
    def _next_sample_ms(self) -> int:
        return (self._next_sample or 0) // SAMPLES_PER_MS

    def _append(self, samples: NDArray[np.float32]) -> Iterator[TimedFrame]:
        first = (self._next_sample or 0) - len(self._pending)
        joined = np.concatenate([self._pending, samples]) if len(self._pending) else samples
        whole = len(joined) // FRAME_SAMPLES * FRAME_SAMPLES
        self._pending = joined[whole:]
        self._next_sample = first + len(joined)
        for offset in range(0, whole, FRAME_SAMPLES):
            start = first + offset
            yield TimedFrame(
                joined[offset : offset + FRAME_SAMPLES],
                start // SAMPLES_PER_MS,
                (start + FRAME_SAMPLES) // SAMPLES_PER_MS,
                self._pop_after_gap(),
            )

    def _pop_after_gap(self) -> bool:
        after_gap, self._after_gap = self._after_gap, False
        return after_gap
