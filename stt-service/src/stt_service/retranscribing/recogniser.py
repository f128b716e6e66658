"""The protocol of a model that transcribes whole clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from stt_service.engine import Word


@dataclass(frozen=True, slots=True)
class ClipTranscript:
    """A model's transcript of a clip."""

    text: str
    # ISO 639-1 language that the model detected; empty where it detects none.
    language: str = ""
    # 0 to 1; None where the model has none.
    confidence: float | None = None
    # The words of the text, in order, in milliseconds from the clip's start; empty where the model has no word times.
    words: tuple[Word, ...] = ()
    # Probability of `language`, 0 to 1; None where the model gives none.
    language_probability: float | None = None
    # Whether another model made it than makes the finals.
    by_other_model: bool = False
    # Another model's transcript of the clip; empty for none.
    alternative: str = ""


class ClipRecogniser(Protocol):
    """A model that transcribes one clip per call. Cancelling a call stops its work as soon as possible."""

    async def transcribe_clip(self, pcm: bytes, language: str, *, final: bool) -> ClipTranscript:
        """Transcribe `pcm`, 16 kHz mono PCM16; `language` is ISO 639-1 or empty. Raises `AnchorError` on failure."""
        ...
