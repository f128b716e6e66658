"""The playout buffer: synthesised and unsent speech of one reply, in frames, with its speech marks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from service_kit.audio import SPEECH

from orchestrator.conversation.messages.server import SpeechMark


class PlayoutBuffer:
    """Frames of one reply (PCM16 mono 24 kHz), first in, first out. Offsets are milliseconds of the reply's speech."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._marks: deque[SpeechMark] = deque()
        # Length of the synthesised speech, sent or not, and of the part that was discarded.
        self.synthesised_ms = 0.0
        self.discarded_ms = 0.0

    def __bool__(self) -> bool:
        return bool(self._frames)

    @property
    def next_ms(self) -> float:
        """Length of the next frame."""
        return SPEECH.ms_of(len(self._frames[0]))

    def append(self, pcm: bytes, frame_bytes: int) -> None:
        """Append speech, split into frames of `frame_bytes`; the last one may be shorter."""
        self._frames.extend(pcm[start : start + frame_bytes] for start in range(0, len(pcm), frame_bytes))
        self.synthesised_ms += SPEECH.ms_of(len(pcm))

    def pop_frame(self) -> bytes:
        """Remove and return the next frame."""
        return self._frames.popleft()

    def prepend(self, frames: Sequence[bytes]) -> None:
        """Put back frames that have to be resent."""
        self._frames.extendleft(reversed(frames))

    def add_mark(self, mark: SpeechMark) -> None:
        """Append a mark of speech that is buffered or follows."""
        self._marks.append(mark)

    def pop_marks(self, before_ms: float) -> Iterator[SpeechMark]:
        """Remove and yield the marks with an offset below `before_ms`."""
        while self._marks and self._marks[0].offset_ms < before_ms:
            yield self._marks.popleft()

    def truncate(self, offset_ms: float) -> float:
        """Discard buffered speech from `offset_ms` on, with its marks; return the new end of the speech.

        Sent speech stays, so the end may lie beyond `offset_ms`.
        """
        while self._frames and self.synthesised_ms > offset_ms:
            pcm = self._frames.pop()
            start_ms = self.synthesised_ms - SPEECH.ms_of(len(pcm))
            kept = pcm[: SPEECH.bytes_for(max(0.0, offset_ms - start_ms))]
            self.discarded_ms += SPEECH.ms_of(len(pcm) - len(kept))
            self.synthesised_ms = start_ms + SPEECH.ms_of(len(kept))
            if kept:
                self._frames.append(kept)
        self._marks = deque(mark for mark in self._marks if mark.offset_ms < self.synthesised_ms)
        return self.synthesised_ms
