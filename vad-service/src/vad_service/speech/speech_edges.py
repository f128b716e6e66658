"""When speech starts and stops: a policy over frame probabilities, without a model, a clock or I/O."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

from vad_service.speech.events import SpeechStarted, SpeechStopped


@dataclass(frozen=True, slots=True)
class EdgeRules:
    """Thresholds of the edge policy; their meaning and defaults stand in the settings."""

    sure_probability: float
    start_probability: float
    start_frames: int
    faint_probability: float
    faint_frames: int
    stop_probability: float
    faint_stop_probability: float
    stop_silence_ms: int
    pre_roll_ms: int
    # Rising.
    turn_end_silences_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PauseReached:
    """The silence that began at `at_ms` has lasted long enough to ask, or to ask again, whether the turn is over."""

    at_ms: int
    silence_ms: int


Edge = SpeechStarted | SpeechStopped | PauseReached


class Edges:
    """The speech edges of one microphone.

    Speech starts with one sure frame, a few likely ones in a row, or a longer stretch of faint ones. Speech that
    started faintly is held to fainter thresholds, until it becomes clear.
    """

    def __init__(self, rules: EdgeRules) -> None:
        self._rules = rules
        self._speaking = False
        self._faint = False
        # Probability of the latest frames with their starts, without gaps.
        self._recent: deque[tuple[int, float]] = deque(maxlen=rules.faint_frames)
        # Frames in a row that are likely speech, and where the first of them began.
        self._likely = 0
        self._likely_from_ms = 0
        self._heard_ms: int | None = None
        # Where the last speech frame ended; None until speech was heard.
        self._speech_end_ms: int | None = None
        # How many of the silences to ask at were told of the present one.
        self._silences_told = 0
        # No pre-roll reaches back beyond the first sample, or into the utterance before.
        self._earliest_ms = 0

    def hear(self, start_ms: int, end_ms: int, probability: float) -> list[Edge]:
        """What a frame brings about. Time between the end of the last frame and `start_ms` counts as silence."""
        edges: list[Edge] = []
        if self._heard_ms is None:
            self._earliest_ms = start_ms
        elif start_ms > self._heard_ms:
            edges = self._silent_until(start_ms)
            self._recent.clear()
            self._likely = 0
        self._heard_ms = end_ms
        self._note(start_ms, probability)
        if not self._speaking and (at_ms := self._start_ms()) is not None:
            self._speaking, self._silences_told = True, 0
            self._speech_end_ms = end_ms
            pre_roll_start_ms = max(self._earliest_ms, at_ms - self._rules.pre_roll_ms)
            return [*edges, SpeechStarted(at_ms, pre_roll_start_ms)]
        if self._speaking and self._is_speech(probability):
            self._speech_end_ms = end_ms
            return edges
        return edges + self._silent_until(end_ms)

    def end(self) -> list[Edge]:
        """What it means that no more audio comes."""
        return [self._stop(self._speech_end_ms)] if self._speaking and self._speech_end_ms is not None else []

    def _note(self, start_ms: int, probability: float) -> None:
        self._recent.append((start_ms, probability))
        if probability < self._rules.start_probability:
            self._likely = 0
            return
        if self._likely == 0:
            self._likely_from_ms = start_ms
        self._likely += 1

    def _start_ms(self) -> int | None:
        """Where speech began, if the frames so far say that it did."""
        if self._is_clear():
            self._faint = False
            return self._likely_from_ms
        window_is_full = len(self._recent) == self._rules.faint_frames
        if window_is_full and self._mean() >= self._rules.faint_probability:
            self._faint = True
            floor = self._rules.faint_stop_probability
            return next(start_ms for start_ms, probability in self._recent if probability >= floor)
        return None

    def _is_clear(self) -> bool:
        return self._likely >= self._rules.start_frames or self._recent[-1][1] >= self._rules.sure_probability

    def _is_speech(self, probability: float) -> bool:
        """Whether speech goes on in the latest frame."""
        self._faint = self._faint and not self._is_clear()
        if self._faint:
            return self._mean() >= self._rules.faint_stop_probability
        return probability >= self._rules.stop_probability

    def _mean(self) -> float:
        return sum(probability for _, probability in self._recent) / len(self._recent)

    def _silent_until(self, now_ms: int) -> list[Edge]:
        edges: list[Edge] = []
        if self._speech_end_ms is None:
            return edges
        silence_ms = now_ms - self._speech_end_ms
        if self._speaking and silence_ms >= self._rules.stop_silence_ms:
            edges.append(self._stop(self._speech_end_ms))
        reached = bisect_right(self._rules.turn_end_silences_ms, silence_ms)
        if reached > self._silences_told:
            self._silences_told = reached
            edges.append(PauseReached(self._speech_end_ms, silence_ms))
        return edges

    def _stop(self, at_ms: int) -> SpeechStopped:
        self._speaking = False
        self._earliest_ms = at_ms
        self._recent.clear()
        return SpeechStopped(at_ms)
