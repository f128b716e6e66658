"""Runs audio of any length through filters that work on frames of 10 ms, and compensates their delay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service_kit.audio import MICROPHONE

FRAME_BYTES = MICROPHONE.bytes_for(10)


class FrameFilter(Protocol):
    """A filter of one microphone, with state from earlier frames."""

    @property
    def delay_bytes(self) -> int:
        """How far its output lags behind its input."""
        ...

    def process_frame(self, frame: bytes) -> bytes:
        """Take 10 ms of PCM16 mono 16 kHz, return 10 ms."""
        ...


class FilterChain:
    """An `AudioFilter` made of frame filters. It holds back their total delay, plus less than 10 ms to fill a frame."""

    def __init__(self, filters: Sequence[FrameFilter]) -> None:
        self._filters = tuple(filters)
        self._delay_bytes = sum(each.delay_bytes for each in filters)
        # Input that does not fill a frame yet.
        self._pending = bytearray()
        # Input whose output has not been returned yet.
        self._owed_bytes = 0
        # Start-up output of the filters that corresponds to no input.
        self._skip_bytes = self._delay_bytes

    def process(self, pcm: bytes) -> bytes:
        """Take audio of any length; return the samples that are ready, in order, each exactly once."""
        self._owed_bytes += len(pcm)
        filtered = self._push(pcm)
        self._owed_bytes -= len(filtered)
        return filtered

    def flush(self) -> bytes:
        """Return everything held back, feeding silence to push it out; the next input starts afresh."""
        if not self._owed_bytes:
            return b""
        owed_bytes, self._owed_bytes = self._owed_bytes, 0
        # One frame more than the delay completes the pending frame.
        remainder = self._push(bytes(self._delay_bytes + FRAME_BYTES))[:owed_bytes]
        self._pending.clear()
        self._skip_bytes = self._delay_bytes
        return remainder

    def _push(self, pcm: bytes) -> bytes:
        self._pending += pcm
        whole_bytes = len(self._pending) - len(self._pending) % FRAME_BYTES
        starts = range(0, whole_bytes, FRAME_BYTES)
        output = b"".join(self._process_frame(bytes(self._pending[at : at + FRAME_BYTES])) for at in starts)
        del self._pending[:whole_bytes]
        skipped = min(self._skip_bytes, len(output))
        self._skip_bytes -= skipped
        return output[skipped:]

    def _process_frame(self, frame: bytes) -> bytes:
        for frame_filter in self._filters:
            frame = frame_filter.process_frame(frame)
        return frame
