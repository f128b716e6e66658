"""Recognition: what was said is understood in time, silence is nothing, and memory is given back."""

from __future__ import annotations

from dataclasses import dataclass

from anchor_cli.verification.checks import limits
from anchor_cli.verification.outcome import Check, at_least, at_most, require, skip

_SERVER_CURE = (
    "Read `docker compose logs voxtral`; the image must be built with vLLM's audio extra (`docker compose build`)."
)


@dataclass(frozen=True, slots=True)
class RecognitionFigures:
    """What stt-service and the transcription server did with the question. None: not measured."""

    transcript: str
    word_error_rate: float
    final_s: float
    partials: int
    # Of the last partial.
    partial_word_error_rate: float | None
    silence_transcript: str
    cancel_s: float | None
    # None where the server has no sleep mode.
    freed_bytes: int | None
    has_sleep_mode: bool
    woken_word_error_rate: float | None


def check_recognition(figures: RecognitionFigures) -> tuple[Check, ...]:
    """Decide on all figures of the recognition."""
    silence = figures.silence_transcript
    return (
        at_most("word errors", figures.word_error_rate, limits.MOST_QUESTION_ERRORS, "", _SERVER_CURE),
        at_most(
            "final transcript",
            figures.final_s,
            limits.MOST_FINAL_S,
            "s",
            "Lower VOXTRAL_MAX_NUM_SEQS, or set VOXTRAL_QUANTIZATION=fp8; see whether other programs use the card.",
        ),
        at_least("partial transcripts", float(figures.partials), 1, "", _SERVER_CURE),
        at_most("word errors of the last partial", figures.partial_word_error_rate, 1.0, "", _SERVER_CURE),
        require("silence", not silence, repr(silence) if silence else "nothing", "Raise STT_MIN_SPEECH_MS."),
        at_most(
            "cancelled request is gone after",
            figures.cancel_s,
            limits.MOST_CANCEL_S,
            "s",
            "Update vLLM's image to the version of compose.yaml; a request that stays takes another's place.",
        ),
        *_check_sleep(figures),
    )


def _check_sleep(figures: RecognitionFigures) -> tuple[Check, ...]:
    if not figures.has_sleep_mode:
        return (skip("sleep", "the server has no sleep mode"),)
    cure = "Start vLLM with --enable-sleep-mode and VLLM_SERVER_DEV_MODE=1, as compose.yaml does."
    freed = None if figures.freed_bytes is None else figures.freed_bytes / limits.GIB
    return (
        at_least("memory that sleeping frees", freed, limits.LEAST_FREED_BYTES / limits.GIB, "GiB", cure),
        at_most("word errors after waking", figures.woken_word_error_rate, limits.MOST_QUESTION_ERRORS, "", cure),
    )
