"""Builds the microphone filter that the settings select."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from orchestrator.audio_filters.filter_chain import FilterChain, FrameFilter
from orchestrator.audio_filters.frame_filters import AutomaticGain, SpeexNoiseSuppressor
from orchestrator.conversation.model.ports import AudioFilter

NoiseSuppression = Literal["off", "low", "medium", "high"]
# Target loudness in dBFS.
AutoGain = Literal["off"] | Annotated[float, Field(ge=-40, le=-6)]

# Maximum attenuation of noise in dB; `medium` is Speex's own default.
_SUPPRESSION_DB: dict[NoiseSuppression, int] = {"low": 8, "medium": 15, "high": 30}


def build_filter(suppression: NoiseSuppression, gain: AutoGain) -> Callable[[], AudioFilter | None]:
    """Return a factory that makes one filter per session, or None when all filters are off. Raises `Unsupported`."""
    if suppression == gain == "off":
        return lambda: None

    def new_filter() -> AudioFilter:
        filters: list[FrameFilter] = []
        # Gain comes first: suppression removes much more of quiet speech than of speech at its target level.
        if gain != "off":
            filters.append(AutomaticGain(gain))
        if suppression != "off":
            filters.append(SpeexNoiseSuppressor(_SUPPRESSION_DB[suppression]))
        return FilterChain(filters)

    # Build one now, so that a missing package stops the start of the service and not the first session.
    new_filter()
    return new_filter
