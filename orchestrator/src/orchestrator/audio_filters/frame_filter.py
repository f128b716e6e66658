"""Audio of any length through steps that work on 10 ms at a time and answer late, without moving any of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service_kit.audio import MICROPHONE

FRAME_BYTES = MICROPHONE.bytes_for(10)


class FrameFilter(Protocol):
    """One treatment of one microphone, which remembers what it heard before."""

    @property
    def delay_bytes(self) -> int:
        """How far its answers lag behind what it is given."""
        ...

    def process_frame(self, frame: bytes) -> bytes:
        """Take 10 ms of PCM16 mono 16 kHz, return 10 ms."""
        ...


class FilterChain:
    """A `HearingAid` made of steps. It holds back what they lag behind, and less than 10 ms to fill a frame."""

    def __init__(self, steps: Sequence[FrameFilter]) -> None:
        self._steps = tuple(steps)
        self._delay_bytes = sum(step.delay_bytes for step in steps)
        self._rest = bytearray()
        # Taken and not yet returned.
        self._owed_bytes = 0
        # What the steps answer first is not an answer to anything.
        self._skip_bytes = self._delay_bytes

    def process(self, pcm: bytes) -> bytes:
        """Take audio of any length; return what is ready, each sample in its order and none twice."""
        self._owed_bytes += len(pcm)
        cleaned = self._push(pcm)
        self._owed_bytes -= len(cleaned)
        return cleaned

    def flush(self) -> bytes:
        """All that is held back; the steps hear silence in place of what has not been said yet."""
        if not self._owed_bytes:
            return b""
        owed_bytes, self._owed_bytes = self._owed_bytes, 0
        # A frame more than the lag fills the frame that was begun.
        rest = self._push(bytes(self._delay_bytes + FRAME_BYTES))[:owed_bytes]
        self._rest.clear()
        self._skip_bytes = self._delay_bytes
        return rest

    def _push(self, pcm: bytes) -> bytes:
        self._rest += pcm
        whole_bytes = len(self._rest) - len(self._rest) % FRAME_BYTES
        frames = [self._treat(bytes(self._rest[at : at + FRAME_BYTES])) for at in range(0, whole_bytes, FRAME_BYTES)]
        del self._rest[:whole_bytes]
        answers = b"".join(frames)
        skipped = min(self._skip_bytes, len(answers))
        self._skip_bytes -= skipped
        return answers[skipped:]

    def _treat(self, frame: bytes) -> bytes:
        for step in self._steps:
            frame = step.process_frame(frame)
        return frame
