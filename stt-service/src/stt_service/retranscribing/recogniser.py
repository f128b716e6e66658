"""What a model that transcribes whole clips is to the stream that feeds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from stt_service.engine import Word


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model made of a clip."""

    text: str
    # ISO 639-1, as the model heard it; empty where it does not say.
    language: str = ""
    # 0 to 1; None where the model has none.
    confidence: float | None = None
    # Of the text, in order, in milliseconds from the clip's beginning; empty where the model has no times.
    words: tuple[Word, ...] = ()
    # How sure the model is of `language`, 0 to 1; None where it does not say.
    language_probability: float | None = None


class Recogniser(Protocol):
    """A model that transcribes a clip at a time. Cancelling a call ends its work, as soon as it can be stopped."""

    async def recognise(self, pcm: bytes, language: str, *, final: bool) -> Reading:
        """Transcribe `pcm`; `language` is ISO 639-1 or empty. Raises `AnchorError` when it cannot."""
        ...
