"""The codec's decoder: frames of codes to samples. The encoder is in `reference.py`."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import DacModel

from tts_service.engines.higgs.delay import Codes
from tts_service.engines.higgs.model.loading import CodecFiles
from tts_service.engines.higgs.windowing import Window


class CodecDecoder:
    """Decodes frames. Shared by all slots."""

    def __init__(self, files: CodecFiles, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.rate_hz: int = files.config.sample_rate
        self.samples_per_frame: int = files.config.hop_length
        self._decoder = _acoustic_decoder(files).to(device, dtype)
        self._tables, self._bias = (part.to(device, dtype) for part in _code_tables(files))
        self._device = device

    @property
    def weights_bytes(self) -> int:
        """Size of the decoder's weights."""
        weights = (*self._decoder.parameters(), *self._decoder.buffers(), self._tables, self._bias)
        return sum(tensor.nbytes for tensor in weights)

    @torch.inference_mode()
    def decode_window(self, window: Window) -> NDArray[np.float32]:
        """Decode the frames that `window` keeps to samples, shape [n], in [-1, 1] or slightly beyond."""
        samples = self.decode_frames(window.frames)
        start = window.skip * self.samples_per_frame
        return samples[start : start + window.keep * self.samples_per_frame].float().cpu().numpy()

    @torch.inference_mode()
    def decode_frames(self, frames: Codes) -> Tensor:
        """Decode `frames`, shape [n, books], without context on either side, to samples, shape [n]."""
        codes = torch.as_tensor(frames, device=self._device)
        book = torch.arange(codes.shape[1], device=self._device)
        hidden = self._tables[book, codes].sum(dim=1) + self._bias
        return self._decoder(hidden.T[None]).flatten()


def _acoustic_decoder(files: CodecFiles) -> Any:
    decoder = DacModel(files.config.acoustic_model_config).decoder
    # Differences from DAC's decoder: odd strides keep the length, and there is no final tanh.
    for module in decoder.modules():
        if isinstance(module, nn.ConvTranspose1d):
            module.output_padding = (module.stride[0] % 2,)
    decoder.tanh = nn.Identity()
    decoder.load_state_dict(subset_weights(files.weights, "acoustic_decoder."))
    return decoder.requires_grad_(False).eval()


def _code_tables(files: CodecFiles) -> tuple[Tensor, Tensor]:
    """The contribution of each code to the decoder's input, shape [books, codes, channels], and the common bias."""
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
