"""Detects the start and stop of speech from frame probabilities; no model, no clock, no I/O."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

from vad_service.events import PauseReached, SpeechStarted, SpeechStopped
from vad_service.settings import EdgeThresholds

SpeechEdge = SpeechStarted | SpeechStopped | PauseReached


class SpeechEdgeDetector:
    """Detects the speech edges of one microphone.

    Speech starts with one sure frame, a few likely ones in a row, or a longer run of faint ones. Speech that started
    faintly keeps the lower, faint thresholds until it becomes clear. Speech stops with one frame of sure silence, or
    after a few of doubtful silence.
    """

    def __init__(self, thresholds: EdgeThresholds) -> None:
        self._thresholds = thresholds
        self._speaking = False
        self._faint = False
        # Start and probability of the latest frames; cleared at a gap.
        self._recent: deque[tuple[int, float]] = deque(maxlen=thresholds.faint_frames)
        # Length of the current run of likely frames, and where its first frame began.
        self._likely = 0
        self._likely_from_ms = 0
        self._audio_end_ms: int | None = None
        # Where the last speech frame ended; None before the first.
        self._speech_end_ms: int | None = None
        # How many of `turn_end_silences_ms` were reported for the current silence.
        self._pauses_reported = 0
        # Pre-roll starts no earlier: the first sample, or the end of the previous utterance.
        self._min_pre_roll_ms = 0

    def push_frame(self, start_ms: int, end_ms: int, probability: float) -> list[SpeechEdge]:
        """Return the edges that a frame causes. A gap between the previous frame and `start_ms` counts as silence."""
        edges: list[SpeechEdge] = []
        if self._audio_end_ms is None:
            self._min_pre_roll_ms = start_ms
        elif start_ms > self._audio_end_ms:
            edges = self._silence_until(start_ms)
            self._recent.clear()
            self._likely = 0
        self._audio_end_ms = end_ms
        self._record(start_ms, probability)
        if not self._speaking and (at_ms := self._speech_start_ms()) is not None:
            self._speaking, self._pauses_reported = True, 0
            self._speech_end_ms = end_ms
            pre_roll_start_ms = max(self._min_pre_roll_ms, at_ms - self._thresholds.pre_roll_ms)
            return [*edges, SpeechStarted(at_ms, pre_roll_start_ms)]
        if self._speaking and self._is_speech(probability):
            self._speech_end_ms = end_ms
            return edges
        is_sure = probability < self._thresholds.sure_silence_probability
        return edges + self._silence_until(end_ms, is_sure=is_sure)

    def end_audio(self) -> list[SpeechEdge]:
        """Return the edges that the end of the audio causes."""
        return [self._stop(self._speech_end_ms)] if self._speaking and self._speech_end_ms is not None else []

    def _record(self, start_ms: int, probability: float) -> None:
        self._recent.append((start_ms, probability))
        if probability < self._thresholds.start_probability:
            self._likely = 0
            return
        if self._likely == 0:
            self._likely_from_ms = start_ms
        self._likely += 1

    def _speech_start_ms(self) -> int | None:
        """Return where speech began; None if the recent frames are not speech."""
        if self._is_clear():
            self._faint = False
            return self._likely_from_ms
        window_is_full = len(self._recent) == self._thresholds.faint_frames
        if window_is_full and self._mean() >= self._thresholds.faint_probability:
            self._faint = True
            floor = self._thresholds.faint_stop_probability
            return next(start_ms for start_ms, probability in self._recent if probability >= floor)
        return None

    def _is_clear(self) -> bool:
        return self._likely >= self._thresholds.start_frames or self._recent[-1][1] >= self._thresholds.sure_probability

    def _is_speech(self, probability: float) -> bool:
        """Return whether speech continues in the latest frame."""
        self._faint = self._faint and not self._is_clear()
        if self._faint:
            return self._mean() >= self._thresholds.faint_stop_probability
        return probability >= self._thresholds.stop_probability

    def _mean(self) -> float:
        return sum(probability for _, probability in self._recent) / len(self._recent)

    def _silence_until(self, now_ms: int, *, is_sure: bool = False) -> list[SpeechEdge]:
        edges: list[SpeechEdge] = []
        if self._speech_end_ms is None:
            return edges
        silence_ms = now_ms - self._speech_end_ms
        if self._speaking and (is_sure or silence_ms >= self._thresholds.stop_silence_ms):
            edges.append(self._stop(self._speech_end_ms))
        reached = bisect_right(self._thresholds.turn_end_silences_ms, silence_ms)
        if reached > self._pauses_reported:
            self._pauses_reported = reached
            edges.append(PauseReached(self._speech_end_ms, silence_ms))
        return edges

    def _stop(self, at_ms: int) -> SpeechStopped:
        self._speaking = False
        self._min_pre_roll_ms = at_ms
        self._recent.clear()
        return SpeechStopped(at_ms)
