"""Events of turn detection; times are milliseconds on the audio clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech started at `at_ms`; transcription should begin at `pre_roll_start_ms`."""

    at_ms: int
    pre_roll_start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The last speech frame ended at `at_ms`."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class PauseReached:
    """The silence that began at `at_ms` has reached a length at which the turn's end is predicted."""

    at_ms: int
    silence_ms: int


@dataclass(frozen=True, slots=True)
class PredictorOpinion:
    """The probability of one part of a combined predictor that the turn is over."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class TurnEndPredicted:
    """Probability that the turn is over, after `silence_ms` of the silence that began at `at_ms`."""

    at_ms: int
    silence_ms: int
    probability: float
    predictor: str
    # One per part of the predictor that has an opinion; empty for a predictor without parts.
    opinions: tuple[PredictorOpinion, ...] = ()


@dataclass(frozen=True, slots=True)
class Activity:
    """Probability of speech in the frame that ended at `at_ms`."""

    at_ms: int
    probability: float


Event = SpeechStarted | SpeechStopped | TurnEndPredicted | Activity
