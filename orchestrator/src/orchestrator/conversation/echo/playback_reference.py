"""The far-end reference for echo detection: sent speech, laid out over the time at which the client played it.

Nothing here is resent; `output.resend_buffer` keeps audio for a client that reconnects.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice, zip_longest

import numpy as np
from numpy.typing import NDArray
from service_kit.audio import SPEECH

# Retention: the compared span, the longest echo delay, and the audio that clients buffer.
_RETENTION_S = 6.0
_MAX_POSITIONS = 64
# Client reports jitter in transit; a smaller deviation does not move the playback position.
_JITTER_S = 0.05
# Delay until a client acts on a pause or resume.
_CLIENT_DELAY_S = 0.04


@dataclass(frozen=True, slots=True)
class _Position:
    """The playback position, in all speech of the session, at one moment of the loop's clock."""

    at_s: float
    position_s: float
    moving: bool

    def position_at(self, now_s: float) -> float:
        return self.position_s + (now_s - self.at_s if self.moving else 0.0)


class PlaybackReference:
    """The last seconds of one session's speech, across replies; older audio is dropped."""

    def __init__(self) -> None:
        self._sent: deque[tuple[float, bytes]] = deque()
        self._sent_s = 0.0
        self._reply_start_s = 0.0
        self._positions: deque[_Position] = deque(maxlen=_MAX_POSITIONS)

    def begin_reply(self, now_s: float) -> None:
        """Record that playback of a new reply starts now."""
        self._reply_start_s = self._sent_s
        self._positions.append(_Position(now_s, self._sent_s, moving=True))

    def append(self, pcm: bytes) -> None:
        """Append sent speech, PCM16 mono 24 kHz."""
        self._sent.append((self._sent_s, pcm))
        self._sent_s += SPEECH.ms_of(len(pcm)) / 1_000
        while self._sent[0][0] < self._sent_s - _RETENTION_S:
            self._sent.popleft()

    def retract(self, length_ms: float) -> None:
        """Remove the last `length_ms` of the speech: the client did not receive it."""
        end_s = self._sent_s - length_ms / 1_000
        while self._sent and self._sent[-1][0] >= end_s:
            self._sent.pop()
        if self._sent:
            start_s, pcm = self._sent.pop()
            self._sent.append((start_s, pcm[: SPEECH.bytes_for(1_000 * (end_s - start_s))]))
        self._sent_s = end_s

    def pause(self, now_s: float) -> None:
        """Freeze the playback position: the reply is paused, or over."""
        if self._positions:
            then_s = now_s + _CLIENT_DELAY_S
            self._positions.append(_Position(then_s, self._positions[-1].position_at(then_s), moving=False))

    def update_position(self, position_ms: float, now_s: float, *, moving: bool = True) -> None:
        """Set the playback position, in milliseconds of the current reply."""
        if not self._positions:
            return
        position_s = self._reply_start_s + position_ms / 1_000
        last = self._positions[-1]
        if moving and not last.moving:
            now_s += _CLIENT_DELAY_S
        if moving is not last.moving or abs(last.position_at(now_s) - position_s) > _JITTER_S:
            self._positions.append(_Position(now_s, position_s, moving))

    def between(self, from_s: float, to_s: float) -> NDArray[np.int16]:
        """The samples that played between two moments of the loop's clock, 24 kHz mono; zeros where nothing played."""
        samples = np.zeros(round((to_s - from_s) * SPEECH.rate_hz), np.int16)
        for position, following in zip_longest(self._positions, islice(self._positions, 1, None)):
            end_s = following.at_s if following else to_s
            start_s = max(from_s, position.at_s)
            if position.moving and start_s < min(end_s, to_s):
                span = samples[round((start_s - from_s) * SPEECH.rate_hz) : round((end_s - from_s) * SPEECH.rate_hz)]
                self._fill(span, position.position_at(start_s))
        return samples

    def _fill(self, span: NDArray[np.int16], position_s: float) -> None:
        """Copy the speech from `position_s` on into `span`, as far as it has been sent."""
        for starts_s, pcm in self._sent:
            samples = np.frombuffer(pcm, "<i2")
            offset = round((starts_s - position_s) * SPEECH.rate_hz)
            if offset >= len(span):
                return
            if (skipped := max(0, -offset)) < len(samples):
                piece = samples[skipped : len(span) - offset]
                span[max(0, offset) : max(0, offset) + len(piece)] = piece
