"""The anchor's ear for its own voice: what its client played, held against what the microphone hears."""

from __future__ import annotations

import numpy as np
from service_kit.audio import MICROPHONE

from orchestrator.conversation.echo.acoustic_echo import EARLIEST_MS, LATEST_MS, AcousticEcho, EchoEstimate
from orchestrator.conversation.echo.playback_reference import PlaybackReference
from orchestrator.conversation.echo.recent_audio import RecentAudio
from orchestrator.conversation.model.audio_clock import AudioClock
from orchestrator.conversation.model.events import Event, TimerFired
from orchestrator.conversation.model.ports import FinalTranscript, PartialTranscript, SpeechStarted


class EchoDetector:
    """Compares when it is asked to, unless it is switched off, and costs nothing until then."""

    def __init__(self, clock: AudioClock, microphone: RecentAudio, is_on: bool = True) -> None:
        self._is_on = is_on
        self._clock = clock
        self._microphone = microphone
        self._echo = AcousticEcho()
        self.playback_reference = PlaybackReference()

    def estimate_echo(self, since_ms: int, until_ms: int) -> EchoEstimate | None:
        """What the microphone holds of the anchor's voice between two moments of the audio clock; None for nothing."""
        chunks = self._microphone.until(until_ms) if self._is_on else []
        if not chunks:
            return None
        near_end = np.frombuffer(b"".join(chunk.pcm for chunk in chunks), "<i2")
        start_ms = chunks[-1].end_ms - round(MICROPHONE.ms_of(near_end.nbytes))
        from_s = self._clock.loop_s(start_ms - LATEST_MS)
        to_s = self._clock.loop_s(chunks[-1].end_ms - EARLIEST_MS)
        far_end = self.playback_reference.between(from_s, to_s)
        if not far_end.any():
            return None
        return self._echo.estimate(near_end, far_end, max(0, chunks[-1].end_ms - since_ms))


def echo_span(event: Event, listening_since_ms: int | None, now_ms: int) -> tuple[int, int] | None:
    """From when to when on the audio clock an event makes one listen for the anchor's voice; None for not at all."""
    if isinstance(event, SpeechStarted) and listening_since_ms is None:
        return event.at_ms, now_ms
    if listening_since_ms is None or not isinstance(
        event, SpeechStarted | PartialTranscript | FinalTranscript | TimerFired
    ):
        return None
    return listening_since_ms, event.end_ms if isinstance(event, FinalTranscript) else now_ms
