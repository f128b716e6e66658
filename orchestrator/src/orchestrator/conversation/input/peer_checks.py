"""Checks of what voice activity and speech-to-text send: a bad message is dropped, and nothing else ends with it."""

from __future__ import annotations

import math
from dataclasses import replace

from orchestrator.conversation.model.ports import (
    FinalTranscript,
    PartialTranscript,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TurnEndPredicted,
    VadEvent,
)

# Times of events are rounded, and may lie behind the audio by a frame of the model.
_SLACK_MS = 100


def checked_event(event: VadEvent, position_ms: int) -> VadEvent | None:
    """The event, if it can be true of audio up to `position_ms` of the audio clock; None for one to drop.

    A pre-roll that begins after the speech is cut to its start.
    """
    if event.at_ms > position_ms + _SLACK_MS:
        return None
    match event:
        case SpeechStarted():
            late = event.pre_roll_start_ms > event.at_ms
            return replace(event, pre_roll_start_ms=event.at_ms) if late else event
        case SpeechStopped():
            return event
        case TurnEndPredicted():
            numbers = (event.probability, *(opinion.probability for opinion in event.opinions))
            return event if all(map(is_probability, numbers)) else None


def without_bad_numbers(transcript: Transcript) -> Transcript:
    """The transcript without confidences that are none: they must not cost the user the words."""
    confidence = _probability(transcript.confidence)
    if isinstance(transcript, PartialTranscript):
        return transcript if confidence == transcript.confidence else replace(transcript, confidence=confidence)
    words = tuple(
        word if _probability(word.confidence) == word.confidence else replace(word, confidence=None)
        for word in transcript.words
    )
    language_probability = _probability(transcript.language_probability)
    checked = FinalTranscript(
        transcript.segment_id,
        transcript.revision,
        transcript.text,
        transcript.end_ms,
        transcript.language,
        transcript.alternatives,
        confidence,
        words,
        language_probability,
    )
    return transcript if checked == transcript else checked


def _probability(value: float | None) -> float | None:
    return value if value is not None and is_probability(value) else None


def is_probability(value: float) -> bool:
    """Whether a number can be a probability."""
    return math.isfinite(value) and 0 <= value <= 1
