"""Everything of CSM that needs torch, put together. Blocking; built on the engine's thread."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tts_service.engines.csm.frames import FrameModel
from tts_service.engines.csm.loading import load_model, load_tokenizer

if TYPE_CHECKING:
    from tts_service.engines.csm.engine import CsmChoice


class LoadedCsm:
    """The model, and the measures of its codec."""

    def __init__(self, choice: CsmChoice) -> None:
        # The tokenizer first: its file is small, so a wrong folder is told at once.
        tokenizer = load_tokenizer(choice.model)
        model = load_model(choice.model, torch.device(choice.device))
        codec = model.config.codec_config
        self.rate_hz: int = codec.sampling_rate
        self.frame_ms: float = 1000 / codec.frame_rate
        self.books: int = model.config.num_codebooks
        self.codes: int = codec.codebook_size
        self.frames = FrameModel(model, tokenizer, choice.temperature)
