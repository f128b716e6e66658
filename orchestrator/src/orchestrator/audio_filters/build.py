"""Which hearing audio_filter a microphone wears, by the settings."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.audio_filters.frame_filter import FilterChain, FrameFilter
from orchestrator.audio_filters.gain import AutomaticGain
from orchestrator.audio_filters.speex import SpeexNoiseSuppressor
from orchestrator.conversation.model.ports import AudioFilter
from orchestrator.settings import AutoGain, NoiseSuppression

# How much quieter noise gets, at most, in dB; Speex's own default is the middle one.
_SUPPRESSION_DB: dict[NoiseSuppression, int] = {"low": 8, "medium": 15, "high": 30}


def build_filter(suppression: NoiseSuppression, gain: AutoGain) -> Callable[[], AudioFilter | None]:
    """Return a factory of one filter per session, or of None when all are off. Raises `Unsupported`."""
    if suppression == gain == "off":
        return lambda: None

    def fit() -> AudioFilter:
        steps: list[FrameFilter] = []
        # Gain comes first: of quiet speech, suppression takes much more away than of speech at its own level.
        if gain != "off":
            steps.append(AutomaticGain(gain))
        if suppression != "off":
            steps.append(SpeexNoiseSuppressor(_SUPPRESSION_DB[suppression]))
        return FilterChain(steps)

    # A missing package is found when the service starts, not when somebody speaks.
    fit()
    return fit
