"""Energy VAD: detects speech by loudness alone, as the fallback while vad-service is unavailable."""

from __future__ import annotations

import numpy as np
from service_kit.audio import AudioChunk, to_float

from orchestrator.conversation.model.ports import SpeechStarted, SpeechStopped, TurnEndPredicted, VadEvent

# Loudness in dBFS. Speech is this much louder than the noise floor, and never quieter than the minimum.
_ABOVE_FLOOR_DB = 12.0
_MIN_SPEECH_DB = -45.0
_FLOOR_RISE_DB_PER_CHUNK = 0.1
_START_CHUNKS = 3
_STOP_MS = 250
_PRE_ROLL_MS = 300


class EnergyVad:
    """Speech start and stop by loudness. Pure: audio in, events out.

    Speech starts after `_START_CHUNKS` loud chunks and stops after `_STOP_MS` of silence; each stop comes with a
    turn-end prediction of 0.5.
    """

    def __init__(self, speaking_until_ms: int | None = None) -> None:
        """`speaking_until_ms`: the user speaks at the beginning, and did so until then on the audio clock."""
        self._floor_db = -60.0
        self._loud_chunks = 0
        self._speech_end_ms = speaking_until_ms

    def calibrate(self, chunk: AudioChunk) -> None:
        """Learn the noise floor from audio before the first that is pushed."""
        self._is_loud(chunk)

    def push_audio(self, chunk: AudioChunk) -> list[VadEvent]:
        """The events that this chunk causes."""
        loud = self._is_loud(chunk)
        self._loud_chunks = self._loud_chunks + 1 if loud else 0
        if self._speech_end_ms is None:
            if self._loud_chunks < _START_CHUNKS:
                return []
            self._speech_end_ms = chunk.end_ms
            at_ms = chunk.end_ms - _START_CHUNKS * (chunk.end_ms - chunk.start_ms)
            return [SpeechStarted(max(0, at_ms), max(0, at_ms - _PRE_ROLL_MS))]
        if loud:
            self._speech_end_ms = chunk.end_ms
        elif chunk.end_ms - self._speech_end_ms >= _STOP_MS:
            at_ms, self._speech_end_ms = self._speech_end_ms, None
            return [SpeechStopped(at_ms), TurnEndPredicted(at_ms, 0.5, "energy")]
        return []

    def _is_loud(self, chunk: AudioChunk) -> bool:
        samples = to_float(chunk.pcm)
        loudness_db = 10 * float(np.log10(np.mean(samples * samples) + 1e-10))
        self._floor_db = min(loudness_db, self._floor_db + _FLOOR_RISE_DB_PER_CHUNK)
        return loudness_db > max(_MIN_SPEECH_DB, self._floor_db + _ABOVE_FLOOR_DB)
