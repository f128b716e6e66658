"""Chunks of any size, with gaps, made into frames that know their place on the audio clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from service_kit.audio import SAMPLE_BYTES, AudioChunk, to_float
from service_kit.errors import InvalidRequest

from vad_service.engine import FRAME_MS, FRAME_SAMPLES, SAMPLES_PER_MS, Frame

# Clients place chunks in whole milliseconds; what is off by no more is rounding, not a gap or an overlap.
_ROUNDING_SAMPLES = SAMPLES_PER_MS
_GAP_SAMPLES = FRAME_MS * SAMPLES_PER_MS
# The contract counts milliseconds in 32 bits: seven weeks.
_CLOCK_ENDS_MS = 2**32 - 1 - FRAME_MS


@dataclass(frozen=True, slots=True)
class PlacedFrame:
    """A frame, and where it ends on the audio clock; `after_gap` when what came before it was not recorded."""

    samples: Frame
    start_ms: int
    end_ms: int
    after_gap: bool


class Framing:
    """The place one microphone has reached, and the samples that do not fill a frame yet.

    A gap of up to a frame is filled with silence. At a longer one the frame begun is filled up and the next begins
    where audio goes on.
    """

    def __init__(self) -> None:
        self._rest: NDArray[np.float32] = np.empty(0, np.float32)
        # Of the first sample after the rest; None before the first chunk.
        self._next_sample: int | None = None
        self._after_gap = False

    def frames(self, chunk: AudioChunk) -> Iterator[PlacedFrame]:
        """The frames that `chunk` completes. Raises `InvalidRequest` for half a sample, or audio out of order.

        The chunk counts as heard only as the iterator is consumed to its end.
        """
        if len(chunk.pcm) % SAMPLE_BYTES:
            raise InvalidRequest("vad.odd_audio", f"{len(chunk.pcm)} bytes are not whole 16-bit samples")
        if chunk.end_ms > _CLOCK_ENDS_MS:
            raise InvalidRequest("vad.clock_overflow", f"audio at {chunk.start_ms} ms leaves the audio clock")
        start = chunk.start_ms * SAMPLES_PER_MS
        missing = 0 if self._next_sample is None else start - self._next_sample
        if missing < -_ROUNDING_SAMPLES:
            raise InvalidRequest(
                "vad.audio_overlaps",
                f"audio at {chunk.start_ms} ms was heard already, up to {self._next_sample_ms} ms",
            )
        if missing > _GAP_SAMPLES:
            yield from self.finish()
            self._after_gap = True
            self._next_sample = start
        elif missing > _ROUNDING_SAMPLES:
            yield from self._append(np.zeros(missing, np.float32))
        if self._next_sample is None:
            self._next_sample = start
        yield from self._append(to_float(chunk.pcm))

    def finish(self) -> Iterator[PlacedFrame]:
        """The frame begun, if any, filled up with silence; its end is where its audio ends."""
        if self._next_sample is not None and len(self._rest):
            end_ms = self._next_sample_ms
            filling = np.zeros(FRAME_SAMPLES - len(self._rest), np.float32)
            samples = np.concatenate([self._rest, filling])
            start_ms = (self._next_sample - len(self._rest)) // SAMPLES_PER_MS
            self._rest = np.empty(0, np.float32)
            yield PlacedFrame(samples, start_ms, end_ms, self._take_after_gap())

    @property
    def _next_sample_ms(self) -> int:
        return (self._next_sample or 0) // SAMPLES_PER_MS

    def _append(self, samples: NDArray[np.float32]) -> Iterator[PlacedFrame]:
        first = (self._next_sample or 0) - len(self._rest)
        joined = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        whole = len(joined) // FRAME_SAMPLES * FRAME_SAMPLES
        self._rest = joined[whole:]
        self._next_sample = first + len(joined)
        for offset in range(0, whole, FRAME_SAMPLES):
            start = first + offset
            yield PlacedFrame(
                joined[offset : offset + FRAME_SAMPLES],
                start // SAMPLES_PER_MS,
                (start + FRAME_SAMPLES) // SAMPLES_PER_MS,
                self._take_after_gap(),
            )

    def _take_after_gap(self) -> bool:
        after_gap, self._after_gap = self._after_gap, False
        return after_gap
