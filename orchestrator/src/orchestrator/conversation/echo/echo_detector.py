"""Acoustic echo suppression: compares the client's playback (far end) with its microphone (near end)."""

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
    """Estimates the echo in one session's microphone on request; never unless `enabled`."""

    def __init__(self, clock: AudioClock, microphone: RecentAudio, enabled: bool = True) -> None:
        self._enabled = enabled
        self._clock = clock
        self._microphone = microphone
        self._echo = AcousticEcho()
        self.playback_reference = PlaybackReference()

    def estimate_echo(self, since_ms: int, until_ms: int) -> EchoEstimate | None:
        """Estimate the echo in the microphone between two times of the audio clock; None without an echo."""
        chunks = self._microphone.until(until_ms) if self._enabled else []
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


def echo_span(
    event: Event, listening_since_ms: int | None, now_ms: int, *, anchor_speaks: bool
) -> tuple[int, int] | None:
    """The span of the audio clock to search for echo when this event is handled; None for no search.

    While the anchor is silent, an utterance may be the tail of its reply, which is decided at its start and its end.
    """
    match event:
        case SpeechStarted():
            return event.at_ms if listening_since_ms is None else listening_since_ms, now_ms
        case FinalTranscript() if listening_since_ms is not None:
            return listening_since_ms, event.end_ms
        case PartialTranscript() | TimerFired() if anchor_speaks and listening_since_ms is not None:
            return listening_since_ms, now_ms
        case _:
            return None
