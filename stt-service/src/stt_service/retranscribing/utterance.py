"""The audio of one utterance, as it grows."""

from __future__ import annotations

import numpy as np
from service_kit.audio import MICROPHONE, AudioChunk, to_float

FRAME_MS = 20
FRAME_BYTES = MICROPHONE.bytes_for(FRAME_MS)
# A pause that was not sent is heard as one, but not as long as it was: models invent words in long silence.
MAX_PAUSE_MS = 300
# A frame fainter than this (RMS of full scale 1.0, about -54 dB) is nobody speaking ...
FAINTEST_RMS = 0.002
# ... and so is one not this much above the floor, which is the level that a tenth of the frames stay below.
ABOVE_FLOOR = 1.5
FLOOR_PERCENTILE = 10
# Chunks are stamped in whole milliseconds; what differs by less is no gap.
CLOCK_SLACK_MS = 2
# How much of the end of a full utterance is searched for the pause to cut it at.
SEARCHED_MS = 3000
# Silence so long is between words, not within one.
PAUSE_MS = 200


class Utterance:
    """PCM without the gaps, and how loud it is, frame by frame."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._rms: list[float] = []
        self._end_ms: int | None = None
        # Where the audio clock was set anew: milliseconds from the beginning, and the audio clock there.
        self._clock: list[tuple[float, float]] = []

    @property
    def pcm(self) -> bytes:
        """All of it, 16 kHz mono PCM16."""
        return bytes(self._pcm)

    @property
    def ms(self) -> float:
        """How long it is."""
        return MICROPHONE.ms_of(len(self._pcm))

    @property
    def voiced_ms(self) -> int:
        """How much of it stands out from its own background; steady noise does not."""
        if not self._rms:
            return 0
        return int(np.count_nonzero(np.asarray(self._rms) > self._quiet_rms)) * FRAME_MS

    @property
    def ends_quietly(self) -> bool:
        """Whether nobody speaks at its end, for longer than within a word."""
        last = self._rms[-PAUSE_MS // FRAME_MS :]
        return bool(last) and max(last) <= self._quiet_rms

    def hear(self, chunk: AudioChunk) -> bytes:
        """Add audio, after as much silence as is missing before it, within limits; returns what was added."""
        missing_ms = 0 if self._end_ms is None else min(max(chunk.start_ms - self._end_ms, 0), MAX_PAUSE_MS)
        silence = bytes(MICROPHONE.bytes_for(missing_ms))
        self._add(silence)
        if abs(self.clock_ms(self.ms) - chunk.start_ms) > CLOCK_SLACK_MS or not self._clock:
            if self._clock and self._clock[-1][0] == self.ms:
                # Nothing was heard under the last stamp.
                self._clock.pop()
            self._clock.append((self.ms, chunk.start_ms))
        self._add(chunk.pcm)
        self._end_ms = chunk.end_ms
        return silence + chunk.pcm

    def clock_ms(self, ms: float) -> int:
        """Where `ms` from the beginning is on the audio clock."""
        began_ms, clock_ms = next((mark for mark in reversed(self._clock) if mark[0] <= ms), (ms, 0.0))
        return round(clock_ms + ms - began_ms)

    def cut(self) -> Utterance:
        """End it at the quietest frame of its last seconds; what comes after that is the utterance returned."""
        first = max(len(self._rms) - SEARCHED_MS // FRAME_MS, len(self._rms) // 2)
        at = first + int(np.argmin(self._rms[first:]))
        rest = Utterance()
        rest._add(bytes(self._pcm[at * FRAME_BYTES :]))
        rest._end_ms = self._end_ms
        cut_ms = float(at * FRAME_MS)
        rest._clock = [(0.0, float(self.clock_ms(cut_ms)))]
        rest._clock += [(ms - cut_ms, clock_ms) for ms, clock_ms in self._clock if ms > cut_ms]
        del self._pcm[at * FRAME_BYTES :], self._rms[at:]
        return rest

    @property
    def _quiet_rms(self) -> float:
        return max(FAINTEST_RMS, ABOVE_FLOOR * float(np.percentile(np.asarray(self._rms), FLOOR_PERCENTILE)))

    def _add(self, pcm: bytes) -> None:
        self._pcm += pcm
        whole = len(self._pcm) // FRAME_BYTES
        frames = to_float(bytes(self._pcm[len(self._rms) * FRAME_BYTES : whole * FRAME_BYTES]))
        levels = np.sqrt(np.mean(frames.reshape(-1, FRAME_BYTES // 2) ** 2, axis=1)) if frames.size else []
        self._rms.extend(float(level) for level in levels)
