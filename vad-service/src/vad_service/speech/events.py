"""What turn detection tells; times are milliseconds on the audio clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Someone began to speak at `at_ms`; audio from `pre_roll_start_ms` on is worth transcribing."""

    at_ms: int
    pre_roll_start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The last speech frame ended at `at_ms`."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one part of a predictor made of a pause: the probability that the turn was over."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class TurnEndPredicted:
    """How likely the turn was over, when the silence that began at `at_ms` had lasted `silence_ms`."""

    at_ms: int
    silence_ms: int
    probability: float
    predictor: str
    # Of the predictor's parts; empty when it has none.
    opinions: tuple[Opinion, ...] = ()


@dataclass(frozen=True, slots=True)
class Activity:
    """Probability of speech in the frame that ended at `at_ms`."""

    at_ms: int
    probability: float


Event = SpeechStarted | SpeechStopped | TurnEndPredicted | Activity
