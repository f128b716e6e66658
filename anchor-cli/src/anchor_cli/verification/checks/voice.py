"""Voice alone: the speech model computes what its authors' does, sounds like speech, and keeps up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from anchor_cli.verification.checks import limits
from anchor_cli.verification.outcome import NOT_MEASURED, Check, Result, at_least, at_most, between, require, skip

_REPORT = "Please report run/verify-gpu.md: this is a fault of the project, not of your machine."
_LEAVE_MORE = "Leave more memory free: `anchor plan --reserve-gib 3 --write .env`; please report the memory table."
_LISTEN = "Listen to run/verify/{file}; if it is no speech, fetch the models again and run `--only files`."


class Sentence(BaseModel):
    """One spoken sentence: seed, duration, level, pauses, and what streaming changed relative to the rms."""

    seed: int
    ended: bool
    seconds: float
    level_dbfs: float
    longest_silence_s: float
    streamed_error: float
    file: str


class Speed(BaseModel):
    """Phrases in all of `slots` at once, and a step against its floor by the measured bandwidth."""

    weights: str
    slots: int
    first_audio_ms: float
    realtime_factor: float
    step_ms: float
    floor_ms: float
    read_gb_s: float


class MemoryFigure(BaseModel):
    """Memory of one kind, in bytes: measured, and planned."""

    name: str
    found_bytes: int
    planned_bytes: int


class VoiceFigures(BaseModel):
    """What `python -m voice_check` measured."""

    device: str
    greedy_rows: int
    graph_equals_eager: bool
    logit_error: float
    log_mel_distance: float
    sentences: list[Sentence]
    speed: list[Speed]
    # Of two sentences in the default voice.
    likeness: float
    memory: list[MemoryFigure]
    # Weights that this card does not compute with, and why.
    unsupported: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class _Deviation:
    name: str
    found: int
    planned: int

    @property
    def is_within(self) -> bool:
        allowed = max(limits.PLAN_TOLERANCE * self.planned, limits.PLAN_TOLERANCE_BYTES)
        return abs(self.found - self.planned) <= allowed

    def __str__(self) -> str:
        return f"{self.name} {self.found / limits.GIB:.2f} GiB, planned {self.planned / limits.GIB:.2f}"


def check_voice(figures: VoiceFigures) -> tuple[Check, ...]:
    """Decide on all figures of the voice."""
    return (
        require(
            "graph equals eager",
            figures.graph_equals_eager and figures.greedy_rows == limits.GREEDY_ROWS,
            f"{figures.greedy_rows} greedy rows {'are equal' if figures.graph_equals_eager else 'differ'}",
            _REPORT,
        ),
        at_most("logits against the library", figures.logit_error, limits.MOST_LOGIT_ERROR, "", _REPORT),
        at_most(
            "codec round trip",
            figures.log_mel_distance,
            limits.MOST_LOG_MEL_DISTANCE,
            "",
            "Fetch the codec again: `anchor pull higgs-audio-v2-tokenizer --renew`.",
        ),
        *(check for sentence in figures.sentences for check in _check_sentence(sentence)),
        *(check for speed in figures.speed for check in check_speed(speed)),
        *(skip(f"speed in {weights}", reason) for weights, reason in figures.unsupported.items()),
        at_least(
            "one default voice",
            figures.likeness,
            limits.LEAST_LIKENESS,
            "",
            "Listen to run/verify/default-*.wav; choose a learned voice if they differ (docs/voices.md).",
        ),
        check_plan([(part.name, part.found_bytes, part.planned_bytes) for part in figures.memory]),
    )


def check_speed(speed: Speed) -> tuple[Check, ...]:
    """Decide whether the voice keeps up: in real time, and near the floor that the memory's bandwidth sets."""
    name = f"{speed.weights}, {speed.slots} slots"
    return (
        at_most(
            f"step with {name}",
            speed.step_ms,
            limits.MOST_TIMES_FLOOR * speed.floor_ms,
            "ms",
            "Close other programs on the card and check its clocks (`nvidia-smi -q -d CLOCK`), then `make bench-gpu`.",
        ),
        at_most(
            f"real-time factor with {name}",
            speed.realtime_factor,
            limits.MOST_REALTIME_FACTOR,
            "",
            "Lower TTS_HIGGS_SLOTS, or set TTS_HIGGS_WEIGHTS=fp8.",
        ),
    )


def check_plan(parts: Sequence[tuple[str, int, int]]) -> Check:
    """Decide whether memory is as planned: (name, found bytes, planned bytes)."""
    deviations = [_Deviation(*part) for part in parts]
    outside = [deviation for deviation in deviations if not deviation.is_within]
    name, message = "memory beside the plan", "; ".join(map(str, outside or deviations))
    if not deviations:
        return Check(name, Result.FAIL, NOT_MEASURED, _LEAVE_MORE, has_limit=True)
    if outside:
        return Check(name, Result.FAIL, message, _LEAVE_MORE, has_limit=True)
    return Check(name, Result.PASS, message, has_limit=True)


def _check_sentence(sentence: Sentence) -> Iterable[Check]:
    cure, name = _LISTEN.format(file=sentence.file), f"seed {sentence.seed}"
    least, most = limits.LEAST_SENTENCE_S, limits.MOST_SENTENCE_S
    level = limits.LEAST_LEVEL_DBFS, limits.MOST_LEVEL_DBFS
    yield at_least(f"{name}: ends by itself", float(sentence.ended), 1, "", cure)
    yield between(f"{name}: duration", sentence.seconds, least, most, "s", cure)
    yield between(f"{name}: level", sentence.level_dbfs, *level, "dBFS", cure)
    yield at_most(f"{name}: longest silence", sentence.longest_silence_s, limits.MOST_SILENCE_S, "s", cure)
    yield at_most(f"{name}: streamed against whole", sentence.streamed_error, limits.MOST_STREAMED_ERROR, "", _REPORT)
