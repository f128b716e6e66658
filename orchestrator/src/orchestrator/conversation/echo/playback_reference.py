"""What has sounded when: the speech that was sent, laid out over the time in which the client played it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice, zip_longest

import numpy as np
from numpy.typing import NDArray
from service_kit.audio import SPEECH

# How far back it is known: what is compared, what an echo may be late by, and what clients have in hand.
_KEPT_S = 6.0
_PLACES = 64
# Reports jitter on their way; one that is off by less does not move the ear.
_JITTER_S = 0.05
# A client does what it is told this much later.
_OBEYS_AFTER_S = 0.04


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in all speech ever sent the ear was at a moment of the loop's clock, and whether it moved on from there."""

    at_s: float
    position_s: float
    moving: bool

    def position_at(self, now_s: float) -> float:
        return self.position_s + (now_s - self.at_s if self.moving else 0.0)


class PlaybackReference:
    """One session's speech, reply after reply. Keeps the last seconds; the oldest is forgotten."""

    def __init__(self) -> None:
        self._sent: deque[tuple[float, bytes]] = deque()
        self._sent_s = 0.0
        self._began_s = 0.0
        self._places: deque[_Place] = deque(maxlen=_PLACES)

    def begin(self, now_s: float) -> None:
        """A reply begins to sound."""
        self._began_s = self._sent_s
        self._places.append(_Place(now_s, self._sent_s, moving=True))

    def send(self, pcm: bytes) -> None:
        """More of it leaves."""
        self._sent.append((self._sent_s, pcm))
        self._sent_s += SPEECH.ms_of(len(pcm)) / 1_000
        while self._sent[0][0] < self._sent_s - _KEPT_S:
            self._sent.popleft()

    def unacknowledged(self, length_ms: float) -> list[bytes]:
        """Give up the last of what was sent, oldest first, as far as it is kept: it did not arrive."""
        taken: list[bytes] = []
        missing = min(SPEECH.bytes_for(length_ms), sum(len(pcm) for _, pcm in self._sent))
        while missing > 0:
            self._sent_s, pcm = self._sent.pop()
            if (kept := len(pcm) - missing) > 0:
                self._sent.append((self._sent_s, pcm[:kept]))
                self._sent_s += SPEECH.ms_of(kept) / 1_000
                pcm = pcm[kept:]
            missing -= len(pcm)
            taken.append(pcm)
        return taken[::-1]

    def hold(self, now_s: float) -> None:
        """The ear stays where it is: the reply is held, or over."""
        if self._places:
            then_s = now_s + _OBEYS_AFTER_S
            self._places.append(_Place(then_s, self._places[-1].position_at(then_s), moving=False))

    def play(self, position_ms: float, now_s: float, *, moving: bool = True) -> None:
        """The ear has come so far in the reply."""
        if not self._places:
            return
        position_s = self._began_s + position_ms / 1_000
        last = self._places[-1]
        if moving and not last.moving:
            now_s += _OBEYS_AFTER_S
        if moving is not last.moving or abs(last.position_at(now_s) - position_s) > _JITTER_S:
            self._places.append(_Place(now_s, position_s, moving))

    def between(self, from_s: float, to_s: float) -> NDArray[np.int16]:
        """What sounded from one moment to another, 24 kHz; silence where nothing did."""
        sound = np.zeros(round((to_s - from_s) * SPEECH.rate_hz), np.int16)
        for place, following in zip_longest(self._places, islice(self._places, 1, None)):
            end_s = following.at_s if following else to_s
            start_s = max(from_s, place.at_s)
            if place.moving and start_s < min(end_s, to_s):
                span = sound[round((start_s - from_s) * SPEECH.rate_hz) : round((end_s - from_s) * SPEECH.rate_hz)]
                self._fill(span, place.position_at(start_s))
        return sound

    def _fill(self, span: NDArray[np.int16], position_s: float) -> None:
        """Put the speech from a position on into `span`, as far as it has been sent."""
        for starts_s, pcm in self._sent:
            samples = np.frombuffer(pcm, "<i2")
            offset = round((starts_s - position_s) * SPEECH.rate_hz)
            if offset >= len(span):
                return
            if (skipped := max(0, -offset)) < len(samples):
                piece = samples[skipped : len(span) - offset]
                span[max(0, offset) : max(0, offset) + len(piece)] = piece
