"""Everything of higgs that needs torch, put together. Blocking; built on the engine's thread."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from tts_service.engines.higgs.codec import CodecDecoder
from tts_service.engines.higgs.delay import Codes
from tts_service.engines.higgs.loading import load_codec, load_encode, load_language_model
from tts_service.engines.higgs.reference import ReferenceEncoder
from tts_service.engines.higgs.sampling import SamplingRule
from tts_service.engines.higgs.slots import Slots
from tts_service.engines.higgs.step import SpeechModel, runner

if TYPE_CHECKING:
    from tts_service.engines.higgs.engine import HiggsChoice


class LoadedHiggs:
    """The model in its slots, and the codec."""

    def __init__(self, choice: HiggsChoice) -> None:
        device = torch.device(choice.device)
        self._codec_folder = choice.codec
        # The codec first: its files are small, so a wrong folder is told at once.
        self.codec = CodecDecoder(load_codec(choice.codec), device)
        encode = load_encode(choice.model)
        lm = load_language_model(choice.model, device, choice.weights, choice.slots)
        rule = SamplingRule(temperature=choice.temperature)
        model = SpeechModel(lm, choice.slots, choice.context_tokens, rule)
        self.books = model.books
        self.slots = Slots(model, runner(model.step, device), encode)

    def encode_reference(self, samples: NDArray[np.float32]) -> Codes:
        """Frames, shape [n, books], of a recording at the codec's rate."""
        return ReferenceEncoder(load_codec(self._codec_folder)).encode(samples)
