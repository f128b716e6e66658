"""From frames of codes to sound: the codec's decoder alone, without what it needs to listen."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import DacModel

from tts_service.engines.higgs.model.delay import Codes
from tts_service.engines.higgs.model.loading import CodecFiles
from tts_service.engines.higgs.windowing import Window


class CodecDecoder:
    """Decodes frames; shared by all slots."""

    def __init__(self, files: CodecFiles, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.rate_hz: int = files.config.sample_rate
        self.samples_per_frame: int = files.config.hop_length
        self._decoder = _acoustic_decoder(files).to(device, dtype)
        self._tables, self._bias = (part.to(device, dtype) for part in _code_tables(files))
        self._device = device

    @property
    def weights_bytes(self) -> int:
        """What it takes."""
        weights = (*self._decoder.parameters(), *self._decoder.buffers(), self._tables, self._bias)
        return sum(tensor.nbytes for tensor in weights)

    @torch.inference_mode()
    def decode_window(self, window: Window) -> NDArray[np.float32]:
        """The samples of the frames that `window` keeps, shape [n], in [-1, 1] or somewhat beyond."""
        samples = self.decode_frames(window.frames)
        start = window.skip * self.samples_per_frame
        return samples[start : start + window.keep * self.samples_per_frame].float().cpu().numpy()

    @torch.inference_mode()
    def decode_frames(self, frames: Codes) -> Tensor:
        """The sound of `frames`, shape [n, books], as if nothing came before or after."""
        codes = torch.as_tensor(frames, device=self._device)
        book = torch.arange(codes.shape[1], device=self._device)
        hidden = self._tables[book, codes].sum(dim=1) + self._bias
        return self._decoder(hidden.T[None]).flatten()


def _acoustic_decoder(files: CodecFiles) -> Any:
    decoder = DacModel(files.config.acoustic_model_config).decoder
    # The codec's decoder differs from the DAC it is made of: odd strides keep the length, and nothing bends the end.
    for module in decoder.modules():
        if isinstance(module, nn.ConvTranspose1d):
            module.output_padding = (module.stride[0] % 2,)
    decoder.tanh = nn.Identity()
    decoder.load_state_dict(subset_weights(files.weights, "acoustic_decoder."))
    return decoder.requires_grad_(False).eval()


def _code_tables(files: CodecFiles) -> tuple[Tensor, Tensor]:
    """What each code of each book adds to the decoder's input, shape [books, codes, channels], and what all do."""
    weights = {name: weight.double() for name, weight in files.weights.items() if not name.startswith("acoustic_")}
    last, bias = weights["fc2.weight"], weights["fc2.bias"].clone()
    tables: list[Tensor] = []
    for book in range(files.config.num_quantizers):
        name = f"quantizer.quantizers.{book}."
        projected = weights[name + "codebook.embed"] @ weights[name + "project_out.weight"].T
        tables.append(projected @ last.T)
        bias += last @ weights[name + "project_out.bias"]
    return torch.stack(tables), bias


def subset_weights(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
