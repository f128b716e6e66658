"""The loaded model with its slots and codec. Blocking; created on the engine's thread."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from service_kit.engines.memory import MemoryKind

from tts_service.engines.cuda_graph import capture_graph
from tts_service.engines.higgs.config import HiggsConfig
from tts_service.engines.higgs.delay import Codes
from tts_service.engines.higgs.model.codec import CodecDecoder
from tts_service.engines.higgs.model.decode_slots import DecodeSlots
from tts_service.engines.higgs.model.loading import load_codec, load_language_model, load_tokenizer
from tts_service.engines.higgs.model.reference import ReferenceEncoder
from tts_service.engines.higgs.model.sampling import SamplingRule
from tts_service.engines.higgs.model.step import SpeechModel


class LoadedHiggs:
    """The model's decode slots, and the codec."""

    def __init__(self, config: HiggsConfig) -> None:
        device = self._device = torch.device(config.device)
        # The codec first: its files are small, so a wrong folder fails fast.
        self.codec = CodecDecoder(load_codec(config.codec), device)
        encode = load_tokenizer(config.model)
        lm = load_language_model(config.model, device, config.weights, config.slots)
        rule = SamplingRule(temperature=config.temperature)
        model = self._model = SpeechModel(lm, config.slots, config.context_tokens, rule)
        self.books = model.books
        self.slots = DecodeSlots(model, capture_graph(model.step, device), encode)

    @property
    def on_gpu(self) -> bool:
        """Whether the model is on a GPU."""
        return self._device.type == "cuda"

    def gpu_memory(self) -> Mapping[MemoryKind, int]:
        """GPU memory in bytes by kind; empty without a GPU."""
        return self.memory() if self.on_gpu else {}

    def memory(self) -> Mapping[MemoryKind, int]:
        """Memory in bytes by kind, on any device."""
        weights = self._model.weights_bytes + self.codec.weights_bytes
        cache = self._model.cache_bytes + self.slots.prefix_bytes
        workspace = self._model.state_bytes
        if self.on_gpu:
            # Graphs, activations, and the allocator's reserve.
            workspace = max(torch.cuda.memory_reserved(self._device) - weights - cache, workspace)
        return {MemoryKind.WEIGHTS: weights, MemoryKind.KV_CACHE: cache, MemoryKind.WORKSPACE: workspace}


def encode_reference(codec: Path, samples: NDArray[np.float32]) -> Codes:
    """Encode a recording at the rate of the codec in that folder, shape [samples], to frames, shape [n, books]."""
    return ReferenceEncoder(load_codec(codec)).encode(samples)


def release_gpu_memory() -> None:
    """Return unreferenced memory to the GPU."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
