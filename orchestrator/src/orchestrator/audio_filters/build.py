"""Which hearing aid a microphone wears, by the settings."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.audio_filters.frame_filter import FramedAid, Step
from orchestrator.audio_filters.gain import LoudnessGain
from orchestrator.audio_filters.speex import SpeexSuppression
from orchestrator.conversation.model.ports import HearingAid
from orchestrator.settings import AutoGain, NoiseSuppression

# How much quieter noise gets, at most, in dB; Speex's own default is the middle one.
_SUPPRESSION_DB: dict[NoiseSuppression, int] = {"low": 8, "medium": 15, "high": 30}


def fitted(suppression: NoiseSuppression, gain: AutoGain) -> Callable[[], HearingAid | None]:
    """What makes each session's hearing aid, or None where none is wanted. Raises `Unsupported` where it cannot."""
    if suppression == gain == "off":
        return lambda: None

    def fit() -> HearingAid:
        steps: list[Step] = []
        # Gain comes first: of quiet speech, suppression takes much more away than of speech at its own level.
        if gain != "off":
            steps.append(LoudnessGain(gain))
        if suppression != "off":
            steps.append(SpeexSuppression(_SUPPRESSION_DB[suppression]))
        return FramedAid(steps)

    # A missing package is found when the service starts, not when somebody speaks.
    fit()
    return fit
