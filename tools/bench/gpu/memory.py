"""Measures the card memory of higgs-audio by part, beside the estimate of `anchor plan`."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
import torch
from anchor_cli.plan.budget import Model, ModelChoice, ServiceMemory, estimate_memory
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.shapes import ModelShape
from tts_service.engines.higgs.model.codec import CodecDecoder
from tts_service.engines.higgs.prompt import PhrasePrompt, Tokenize, VoiceReference

from gpu.devices import memory_used_mib
from gpu.higgs_steps import TEXT, Speaker, speech_shape
from gpu.random_weights import FULL, Size, codec_files, encode_for, language_model
from gpu.results import MemoryPart

# The plan counts this many cached voice prefixes, each with 15 s of reference.
_VOICES, _REFERENCE_FRAMES = 16, 375
_CONTEXT_ROOM = 200
# The longest window of the codec: 25 frames, and 10 on either side.
_DECODED_FRAMES = 45


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model and its codec."""

    # None once it is freed.
    lm: Any
    codec: CodecDecoder
    encode: Tokenize
    # Card memory used before this process; None when the driver does not report it.
    used_before_mib: int | None


def load(size: Size, device: torch.device, used_before_mib: int | None) -> Loaded:
    """Create both on the device. Read `used_before_mib` before the first CUDA call."""
    codec = CodecDecoder(codec_files(size), device)
    return Loaded(language_model(size, device), codec, encode_for(size), used_before_mib)


def measure_memory(loaded: Loaded, size: Size, slots: int, context_tokens: int) -> list[MemoryPart]:
    """Load the slots, fill the voice cache, speak, and compare with the plan."""
    speaker = Speaker.of(loaded.lm, slots, context_tokens, loaded.encode)
    learn_voices(speaker, context_tokens)
    speaker.begin_all()
    for _ in range(3):
        speaker.step_all()
    loaded.codec.decode_frames(np.zeros((_DECODED_FRAMES, speaker.model.books.count), np.int64))
    weights = speaker.model.weights_bytes + loaded.codec.weights_bytes
    cache = speaker.model.cache_bytes + speaker.slots.prefix_bytes
    # Without CUDA, the allocator's reserve is not counted.
    workspace = max(speaker.model.state_bytes, _reserved_bytes() - weights - cache)
    planned = planned_memory(size, loaded.lm, slots, context_tokens)
    parts = [
        MemoryPart("weights and codec", weights, planned.weights.bytes),
        MemoryPart("cache of slots and voices", cache, planned.kv_cache.bytes),
        MemoryPart("graphs and scratch", workspace, planned.activations.bytes),
    ]
    context = _context_bytes(loaded)
    if context is not None:
        parts.append(MemoryPart("CUDA", context, planned.context.bytes))
    return [*parts, total_of("higgs-audio together", parts)]


def server_memory(before_mib: int | None, after_mib: int | None) -> list[MemoryPart]:
    """The card memory of a vLLM with Voxtral; empty when the driver does not report it."""
    if before_mib is None or after_mib is None:
        return []
    return [MemoryPart("Voxtral together", (after_mib - before_mib) * 2**20, _planned_voxtral().total_bytes)]


def server_share(card_bytes: int) -> float:
    """The share of the card that the plan gives Voxtral, rounded up to hundredths, at most 0.9."""
    return min(0.9, ceil(100 * _planned_voxtral().total_bytes / card_bytes) / 100)


def _planned_voxtral() -> ServiceMemory:
    catalogue = read_catalogue()
    choice = catalogue.preferred["stt"]
    return estimate_memory("stt", choice, catalogue.model(choice.model), catalogue.runtimes)


def total_of(name: str, parts: list[MemoryPart]) -> MemoryPart:
    """The sum of all parts."""
    return MemoryPart(name, sum(part.found for part in parts), sum(part.planned for part in parts))


def planned_memory(size: Size, lm: Any, slots: int, context_tokens: int) -> ServiceMemory:
    """The memory that `anchor plan` estimates for so many slots."""
    catalogue = read_catalogue()
    model = catalogue.model("higgs-v2")
    if size is not FULL:
        model = replace(model, shape=_shape_of(lm, model))
    choice = ModelChoice("higgs-v2", "bf16", slots, context_tokens)
    return estimate_memory("tts", choice, model, catalogue.runtimes)


def _shape_of(lm: Any, model: Model) -> ModelShape:
    assert model.shape is not None
    decoder = replace(speech_shape(lm).stack, feed_forwards=2)
    return replace(model.shape, decoder=decoder, vocabulary=lm.config.vocab_size)


def learn_voices(speaker: Speaker, context_tokens: int) -> None:
    """Fill the cache of voices as far as the plan counts."""
    frames = min(_REFERENCE_FRAMES, context_tokens - _CONTEXT_ROOM)
    reference = VoiceReference(TEXT * 2, np.ones((frames, speaker.model.books.count), np.int64))
    for voice in range(_VOICES):
        speaker.slots.prefill(0, PhrasePrompt(TEXT, f"voice-{voice}", (reference,), voice))


def _context_bytes(loaded: Loaded) -> int | None:
    """Card memory of this process outside torch's allocator."""
    used = memory_used_mib()
    if used is None or loaded.used_before_mib is None:
        return None
    return max(0, (used - loaded.used_before_mib) * 2**20 - _reserved_bytes())


def _reserved_bytes() -> int:
    """Card memory reserved by torch's allocator."""
    return torch.cuda.memory_reserved() if torch.cuda.is_available() else 0
