"""The audio buffer of one utterance, with its voice activity and its mapping to the audio clock."""

from __future__ import annotations

import numpy as np
from service_kit.audio import MICROPHONE, AudioChunk, to_float

FRAME_MS = 20
FRAME_BYTES = MICROPHONE.bytes_for(FRAME_MS)
# A gap in the audio becomes silence of at most this length: models hallucinate words in long silence.
MAX_PAUSE_MS = 300
# A frame is voiced if it is louder than this (RMS of full scale 1.0, about -54 dB) ...
MIN_VOICED_RMS = 0.002
# ... and than this factor times the noise floor, which is the level that a tenth of the frames stay below.
VOICED_ABOVE_FLOOR = 1.5
FLOOR_PERCENTILE = 10
# Chunks are stamped in whole milliseconds: a difference up to this is rounding, not a gap.
CLOCK_SLACK_MS = 2
# A full utterance is split at its quietest frame within this much of its end.
SPLIT_SEARCH_MS = 3000
# Silence of this length is between words, not within one.
PAUSE_MS = 200


class Utterance:
    """The PCM of one utterance, with gaps shortened, and the RMS of its frames."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._rms: list[float] = []
        self._end_ms: int | None = None
        # Points where the audio clock jumps: milliseconds from the start, and the audio clock there.
        self._clock: list[tuple[float, float]] = []

    @property
    def pcm(self) -> bytes:
        """The audio, 16 kHz mono PCM16."""
        return bytes(self._pcm)

    def pcm_between(self, start_ms: float, end_ms: float) -> bytes:
        """Return the audio from `start_ms` to `end_ms`, counted from the utterance's start."""
        return bytes(self._pcm[MICROPHONE.bytes_for(start_ms) : MICROPHONE.bytes_for(end_ms)])

    def quietest_ms(self, from_ms: float, to_ms: float) -> float:
        """Return the middle of the quietest frame between two times from the utterance's start."""
        first, stop = int(from_ms) // FRAME_MS, int(to_ms) // FRAME_MS
        return (first + int(np.argmin(self._rms[first:stop])) + 0.5) * FRAME_MS

    @property
    def duration_ms(self) -> float:
        """Duration of the audio, in milliseconds."""
        return MICROPHONE.ms_of(len(self._pcm))

    @property
    def voiced_ms(self) -> int:
        """Duration of the frames that are louder than the utterance's own background; steady noise is not voiced."""
        if not self._rms:
            return 0
        return int(np.count_nonzero(np.asarray(self._rms) > self._quiet_rms)) * FRAME_MS

    @property
    def ends_in_pause(self) -> bool:
        """Whether the utterance ends in a pause longer than those within words."""
        last = self._rms[-PAUSE_MS // FRAME_MS :]
        return bool(last) and max(last) <= self._quiet_rms

    def append(self, chunk: AudioChunk) -> bytes:
        """Append audio, preceded by silence of up to `MAX_PAUSE_MS` for a gap before it; return the PCM appended."""
        missing_ms = 0 if self._end_ms is None else min(max(chunk.start_ms - self._end_ms, 0), MAX_PAUSE_MS)
        silence = bytes(MICROPHONE.bytes_for(missing_ms))
        self._add(silence)
        if abs(self.to_clock_ms(self.duration_ms) - chunk.start_ms) > CLOCK_SLACK_MS or not self._clock:
            if self._clock and self._clock[-1][0] == self.duration_ms:
                # No audio followed the last point.
                self._clock.pop()
            self._clock.append((self.duration_ms, chunk.start_ms))
        self._add(chunk.pcm)
        self._end_ms = chunk.end_ms
        return silence + chunk.pcm

    def to_clock_ms(self, ms: float) -> int:
        """Return the audio clock at `ms` from the utterance's start."""
        point_ms, clock_ms = next((point for point in reversed(self._clock) if point[0] <= ms), (ms, 0.0))
        return round(clock_ms + ms - point_ms)

    def split_at_quietest(self) -> Utterance:
        """Shorten the utterance to end at the quietest frame of its last seconds; return the rest as an utterance."""
        first = max(len(self._rms) - SPLIT_SEARCH_MS // FRAME_MS, len(self._rms) // 2)
        at = first + int(np.argmin(self._rms[first:]))
        rest = Utterance()
        rest._add(bytes(self._pcm[at * FRAME_BYTES :]))
        rest._end_ms = self._end_ms
        cut_ms = float(at * FRAME_MS)
        rest._clock = [(0.0, float(self.to_clock_ms(cut_ms)))]
        rest._clock += [(ms - cut_ms, clock_ms) for ms, clock_ms in self._clock if ms > cut_ms]
        del self._pcm[at * FRAME_BYTES :], self._rms[at:]
        return rest

    @property
    def _quiet_rms(self) -> float:
        return max(MIN_VOICED_RMS, VOICED_ABOVE_FLOOR * float(np.percentile(np.asarray(self._rms), FLOOR_PERCENTILE)))

    def _add(self, pcm: bytes) -> None:
        self._pcm += pcm
        whole = len(self._pcm) // FRAME_BYTES
        frames = to_float(bytes(self._pcm[len(self._rms) * FRAME_BYTES : whole * FRAME_BYTES]))
        levels = np.sqrt(np.mean(frames.reshape(-1, FRAME_BYTES // 2) ** 2, axis=1)) if frames.size else []
        self._rms.extend(float(level) for level in levels)
