"""A second model's transcript of a final's audio: an alternative for searches, which costs no waiting."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

from service_kit.errors import AnchorError
from service_kit.tasks import background

from stt_service.retranscribing.recogniser import ClipTranscript
from stt_service.retranscribing.utterance import Utterance
from stt_service.retranscribing.words import normalise

log = logging.getLogger(__name__)

# A partial that lacks at most this much speech, half a word or two, is as good as one of all of it, and costs nothing.
COVERED_SLACK_MS = 250


@dataclass(frozen=True, slots=True)
class AlternativeModel:
    """A model that is faster than the finals', for one language, ISO 639-1, and for clips of up to `max_ms`."""

    language: str
    max_ms: float
    # A clip's transcript, of 16 kHz mono PCM16; raises `AnchorError` on failure.
    transcribe: Callable[[bytes], Awaitable[ClipTranscript]]


@dataclass(slots=True)
class AlternativeText:
    """The text of an alternative; empty while there is none."""

    text: str = ""
    # The speech that it covers.
    voiced_ms: int = 0

    def covers(self, voiced_ms: int) -> bool:
        """Whether it is the text of an utterance with so much speech."""
        return bool(self.text) and abs(voiced_ms - self.voiced_ms) <= COVERED_SLACK_MS


def alternative_beside(
    model: AlternativeModel | None, utterance: Utterance, known: AlternativeText, language: str
) -> AbstractAsyncContextManager[AlternativeText]:
    """Return a context for the final of an utterance, with the other model's text: there at its end, or given up.

    `known` is the text of the last partial, used when it covers the utterance; otherwise the model transcribes it while
    the body runs, where the `language` that is expected, empty when unknown, is the model's.
    """
    if model is None or language not in ("", model.language):
        return nullcontext(AlternativeText())
    if known.covers(utterance.voiced_ms):
        return nullcontext(known)
    if utterance.duration_ms > model.max_ms:
        return nullcontext(AlternativeText())
    return _transcribed_beside(model, utterance.pcm)


def alternatives_to(text: str, clips: Sequence[ClipTranscript]) -> tuple[str, ...]:
    """Return `text` with the other model's transcript of each of its clips that has one; none when they are equal."""
    other = " ".join(clip.alternative or clip.text for clip in clips if clip.text)
    return (other,) if normalise(other) != normalise(text) else ()


@asynccontextmanager
async def _transcribed_beside(model: AlternativeModel, pcm: bytes) -> AsyncGenerator[AlternativeText]:
    alternative = AlternativeText()
    async with background(_transcribe(model, pcm, alternative), "alternative transcript"):
        yield alternative


async def _transcribe(model: AlternativeModel, pcm: bytes, alternative: AlternativeText) -> None:
    try:
        alternative.text = (await model.transcribe(pcm)).text
    except AnchorError as error:
        log.warning("alternative transcript failed", extra={"code": error.code, "reason": error.message})
