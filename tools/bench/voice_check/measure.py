"""Collects all figures of the voice, loading one model at a time."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gpu.bandwidth import copy_gb_s
from gpu.devices import memory_used_mib
from gpu.higgs_speech import measure_speech
from gpu.higgs_steps import Speaker, measure_steps
from gpu.memory import learn_voices
from gpu.roofline import floor_ms
from service_kit.errors import InvalidRequest
from tts_service.engines.higgs.config import HiggsConfig
from tts_service.engines.higgs.model.codec import CodecDecoder
from tts_service.engines.higgs.model.loading import load_codec, load_language_model, load_tokenizer
from tts_service.engines.higgs.model.reference import ReferenceEncoder
from tts_service.engines.higgs.prompt import Tokenize, VoiceReference
from tts_service.settings import TtsSettings
from tts_service.voices.reference_audio import decode_reference

from voice_check.numerics import compare_numerics
from voice_check.sound import likeness, log_mel_distance
from voice_check.speech import judge_seed, speak_default, speak_seeds

_EIGHT_BITS = ("int8", "fp8")
_SLOTS = (1, 2, 4)
_COPIED_BYTES = 2**31


@dataclass(frozen=True, slots=True)
class Job:
    """What to measure: folders, the recording of a voice to learn with its transcript, and the plan's numbers."""

    model: Path
    codec: Path
    recording: Path
    transcript: str
    text: str
    rows: int
    sound: Path
    slots: int
    context: int
    tiny: bool

    @property
    def device(self) -> torch.device:
        """The first card, or the processor."""
        return torch.device("cpu" if self.tiny else "cuda:0")

    @property
    def most_frames(self) -> int:
        """A limit for phrases, which random weights do not end."""
        return 30 if self.tiny else 10**6


def measure_voice(job: Job) -> dict[str, Any]:
    """All figures. Raises RuntimeError without a card, unless tiny."""
    if not job.tiny and not torch.cuda.is_available():
        raise RuntimeError(f"torch {torch.__version__} finds no CUDA device")
    used_before_mib = None if job.tiny else memory_used_mib()
    files, encode = load_codec(job.codec), load_tokenizer(job.model)
    codec = CodecDecoder(files, job.device)
    recording = decode_reference(job.recording.read_bytes(), codec.rate_hz)
    _say("encoding the recording")
    frames = ReferenceEncoder(files).encode(recording)
    reference = VoiceReference(job.transcript, frames)
    _say("loading the model")
    lm = load_language_model(job.model, job.device)
    numerics = compare_numerics(lm, encode, _context(job), job.rows)
    _say(f"graph and library compared: logits {numerics.logit_error:.2%} apart")
    _release()
    speaker = Speaker.of(lm, _slots(job), _context(job), encode)
    spoken = asyncio.run(speak_seeds(speaker, codec, reference, job.text, job.most_frames))
    if not job.tiny:
        # The tiny tokenizer has a token for each letter: the voices that the plan counts do not fit its context.
        learn_voices(speaker, _context(job))
    # Before whole sentences are decoded at once, which the engine never does.
    memory = _memory(speaker, codec, used_before_mib)
    del speaker
    sentences = [judge_seed(one, codec, job.sound) for one in spoken]
    decoded = codec.decode_frames(frames).float().cpu().numpy()
    bandwidth = copy_gb_s(job.device, 2**24 if job.tiny else _COPIED_BYTES)
    speed = list(_speeds(job, lm, "fp32" if job.tiny else "bf16", codec, encode, bandwidth))
    del lm
    unsupported: dict[str, str] = {}
    for weights in _EIGHT_BITS:
        _release()
        try:
            speed += _eight_bits(job, weights, codec, encode, bandwidth)
        except InvalidRequest as refusal:
            unsupported[weights] = str(refusal)
    _release()
    _say("speaking in the default voice")
    first, second = asyncio.run(speak_default(_config(job), job.sound))
    return {
        "device": torch.cuda.get_device_name(0) if not job.tiny else "cpu",
        "greedy_rows": numerics.rows,
        "graph_equals_eager": numerics.graph_equals_eager,
        "logit_error": numerics.logit_error,
        "log_mel_distance": log_mel_distance(recording, decoded, codec.rate_hz),
        "sentences": sentences,
        "speed": speed,
        "likeness": likeness(first, second, files),
        "memory_bytes": memory,
        "unsupported": unsupported,
    }


def _eight_bits(job: Job, weights: Any, codec: CodecDecoder, encode: Tokenize, gb_s: float) -> list[dict[str, Any]]:
    """Speeds with 8-bit weights, loaded anew for each number of slots, by which they are computed."""
    made: list[dict[str, Any]] = []
    for slots in _measured_slots(job):
        torch.compiler.reset()
        _release()
        lm = load_language_model(job.model, job.device, weights, slots)
        made.append(_speed(job, lm, weights, slots, codec, encode, gb_s))
    return made


def _speeds(
    job: Job, lm: Any, weights: str, codec: CodecDecoder, encode: Tokenize, gb_s: float
) -> Iterator[dict[str, Any]]:
    for slots in _measured_slots(job):
        yield _speed(job, lm, weights, slots, codec, encode, gb_s)


def _speed(
    job: Job, lm: Any, weights: str, slots: int, codec: CodecDecoder, encode: Tokenize, gb_s: float
) -> dict[str, Any]:
    _release()
    steps, frames, rounds = (3, 20, 1) if job.tiny else (50, 100, 3)
    step = measure_steps(lm, weights, slots, _context(job), encode, steps)
    speech = asyncio.run(measure_speech(Speaker.of(lm, slots, _context(job), encode), codec, weights, frames, rounds))
    _say(f"{weights}, {slots} slots: {step.whole_ms:.2f} ms a step, real-time factor {speech.realtime_factor:.2f}")
    return {
        "weights": weights,
        "slots": slots,
        "first_audio_ms": speech.first_audio_ms,
        "realtime_factor": speech.realtime_factor,
        "step_ms": step.whole_ms,
        "floor_ms": floor_ms(step.read_bytes, gb_s),
        "read_gb_s": step.read_bytes / step.whole_ms / 1e6,
    }


def _memory(speaker: Speaker, codec: CodecDecoder, used_before_mib: int | None) -> dict[str, int]:
    """Memory by kind, in bytes; without a card only what tensors take."""
    weights = speaker.model.weights_bytes + codec.weights_bytes
    cache = speaker.model.cache_bytes + speaker.slots.prefix_bytes
    reserved = torch.cuda.memory_reserved() if torch.cuda.is_available() else 0
    found = {
        "weights": weights,
        "kv_cache": cache,
        "workspace": max(speaker.model.state_bytes, reserved - weights - cache),
    }
    used = memory_used_mib() if used_before_mib is not None else None
    if used is not None and used_before_mib is not None:
        found["cuda_context"] = max(0, (used - used_before_mib) * 2**20 - reserved)
    return found


def _config(job: Job) -> HiggsConfig:
    settings = TtsSettings(
        engine="higgs",
        higgs_model=job.model,
        higgs_codec=job.codec,
        higgs_device=str(job.device),
        higgs_slots=_slots(job),
        higgs_context_tokens=_context(job),
    )
    return HiggsConfig.from_settings(settings)


def _measured_slots(job: Job) -> tuple[int, ...]:
    return (2,) if job.tiny else _SLOTS


def _slots(job: Job) -> int:
    return 2 if job.tiny else job.slots


def _context(job: Job) -> int:
    return 768 if job.tiny else job.context


def _release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
