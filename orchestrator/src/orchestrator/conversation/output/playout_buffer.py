"""Held speech: what of a reply was made and has not been sent, in frames, with its marks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from service_kit.audio import SPEECH

from orchestrator.conversation.messages.server import SpeechMark


class PlayoutBuffer:
    """Frames of one reply, first in, first out; at its end what proves unusable is cut off again."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._marks: deque[SpeechMark] = deque()
        # Where in the reply what was made ends, sent or not; and how much of it was thrown away.
        self.made_ms = 0.0
        self.discarded_ms = 0.0

    def __bool__(self) -> bool:
        return bool(self._frames)

    @property
    def next_ms(self) -> float:
        """Length of the frame that leaves next."""
        return SPEECH.ms_of(len(self._frames[0]))

    def append(self, pcm: bytes, frame_bytes: int) -> None:
        """Take speech that follows, and hold it in frames of this size."""
        self._frames.extend(pcm[start : start + frame_bytes] for start in range(0, len(pcm), frame_bytes))
        self.made_ms += SPEECH.ms_of(len(pcm))

    def pop_frame(self) -> bytes:
        """The frame that leaves now."""
        return self._frames.popleft()

    def prepend(self, frames: Sequence[bytes]) -> None:
        """What was taken last has to leave once more."""
        self._frames.extendleft(reversed(frames))

    def add_mark(self, mark: SpeechMark) -> None:
        """Take a mark that belongs to what is held, or will be."""
        self._marks.append(mark)

    def pop_marks(self, before_ms: float) -> Iterator[SpeechMark]:
        """The marks of what begins before that, each once."""
        while self._marks and self._marks[0].offset_ms < before_ms:
            yield self._marks.popleft()

    def truncate(self, offset_ms: float) -> float:
        """Discard what is held from `offset_ms` of the reply on; return where the rest ends."""
        while self._frames and self.made_ms > offset_ms:
            pcm = self._frames.pop()
            begins_ms = self.made_ms - SPEECH.ms_of(len(pcm))
            kept = pcm[: SPEECH.bytes_for(max(0.0, offset_ms - begins_ms))]
            self.discarded_ms += SPEECH.ms_of(len(pcm) - len(kept))
            self.made_ms = begins_ms + SPEECH.ms_of(len(kept))
            if kept:
                self._frames.append(kept)
        self._marks = deque(mark for mark in self._marks if mark.offset_ms < self.made_ms)
        return self.made_ms
