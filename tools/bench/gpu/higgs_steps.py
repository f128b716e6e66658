"""Times a step of higgs-audio: as the decode loop waits for it, the graph alone, and without a graph."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from anchor_cli.plan.shapes import TransformerStack
from torch.profiler import ProfilerActivity, profile
from tts_service.engines.cuda_graph import capture_graph
from tts_service.engines.higgs.model.decode_slots import DecodeSlots
from tts_service.engines.higgs.model.sampling import SamplingRule
from tts_service.engines.higgs.model.step import SpeechModel
from tts_service.engines.higgs.prompt import PhrasePrompt, Tokenize

from gpu.bandwidth import mean_ms, median_ms, synchronise
from gpu.results import StepProfile, StepTimes
from gpu.roofline import SpeechShape, cache_bytes_read

TEXT = "The harbour was quiet in the morning, and only two boats had gone out before the rain began."
_PROFILED_STEPS = 20
_TOP_KERNELS = 8


@dataclass(frozen=True, slots=True)
class Speaker:
    """The engine's slots and step, with the benchmark's weights."""

    model: SpeechModel
    slots: DecodeSlots

    @classmethod
    def of(cls, lm: Any, slots: int, context_tokens: int, encode: Tokenize) -> Speaker:
        """Build a speaker as the engine does."""
        model = SpeechModel(lm, slots, context_tokens, SamplingRule(temperature=0.3))
        return cls(model, DecodeSlots(model, capture_graph(model.step, model.device), encode))

    def begin_all(self) -> None:
        """Start an utterance in every slot."""
        for slot in range(self.slots.count):
            self.slots.prefill(slot, PhrasePrompt(TEXT, "own", (None,), slot))

    def step_all(self) -> None:
        """Run one step of all slots."""
        self.slots.step(frozenset(range(self.slots.count)))


def speech_shape(lm: Any) -> SpeechShape:
    """The shape of the part that a step reads, by the model's configuration."""
    config = lm.config
    stack = TransformerStack(
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        config.num_key_value_heads,
        config.head_dim,
        config.intermediate_size,
    )
    return SpeechShape.speaking(stack, config.num_codebooks, config.codebook_size)


def weight_bytes_touched(lm: Any) -> int:
    """Bytes of the weights that a step reads, counted in the loaded model, quantised or not."""
    parts = [lm.model.norm, lm.audio_lm_head]
    for layer in lm.model.layers:
        parts += [layer.self_attn, layer.audio_mlp, layer.audio_input_layernorm, layer.audio_post_attention_layernorm]
    held = (tensor for part in parts for tensor in (*part.parameters(), *part.buffers()))
    return sum(tensor.numel() * tensor.element_size() for tensor in held)


def measure_steps(lm: Any, weights: str, slots: int, context_tokens: int, encode: Tokenize, steps: int) -> StepTimes:
    """Time steps with `slots` active slots."""
    speaker = Speaker.of(lm, slots, context_tokens, encode)
    speaker.begin_all()
    device = speaker.model.device
    whole_ms = median_ms(speaker.step_all, device, steps)
    eager_ms = median_ms(speaker.model.step, device, steps)
    graph_ms = median_ms(capture_graph(speaker.model.step, device), device, steps) if device.type == "cuda" else None
    value_bytes = lm.audio_lm_head.weight.element_size()
    cache = cache_bytes_read(speech_shape(lm), slots, context_tokens) * value_bytes // 2
    return StepTimes(weights, slots, whole_ms, graph_ms, eager_ms, weight_bytes_touched(lm) + cache)


def profile_steps(lm: Any, slots: int, context_tokens: int, encode: Tokenize) -> StepProfile:
    """Profile a step with torch's profiler."""
    speaker = Speaker.of(lm, slots, context_tokens, encode)
    speaker.begin_all()
    device = speaker.model.device
    on_gpu = device.type == "cuda"
    # Measured without the profiler, which slows the host.
    step_ms = mean_ms(speaker.step_all, device, _PROFILED_STEPS)
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as profiler:
        for _ in range(_PROFILED_STEPS):
            speaker.step_all()
        synchronise(device)
    kernels = [
        (event.key, (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1000, event.count)
        for event in profiler.key_averages()
        # The list also has operations, whose device time is that of their kernels.
        if not on_gpu or event.device_type == torch.autograd.DeviceType.CUDA
    ]
    kernels.sort(key=lambda kernel: kernel[1], reverse=True)
    busy_ms = sum(ms for _, ms, _ in kernels) / _PROFILED_STEPS
    top = ((name, ms / _PROFILED_STEPS, count / _PROFILED_STEPS) for name, ms, count in kernels[:_TOP_KERNELS])
    return StepProfile(slots, step_ms, busy_ms, tuple(top))
