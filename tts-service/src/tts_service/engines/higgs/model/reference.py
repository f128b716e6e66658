"""The codec's encoder: encodes reference audio to frames. Runs on the CPU."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import numpy as np
import soxr
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from service_kit.errors import EngineFailed
from torch import Tensor
from transformers import DacModel, HubertModel

from tts_service.engines.higgs.delay import Codes
from tts_service.engines.higgs.model.codec import subset_weights
from tts_service.engines.higgs.model.loading import CodecFiles

# Padding of the semantic model on either side of a recording, in samples.
_SEMANTIC_PADDING = 160


class ReferenceEncoder:
    """Encodes recordings. Needed once per voice, so it is created for each encoding and discarded."""

    def __init__(self, files: CodecFiles) -> None:
        self._config = files.config
        self._weights = files.weights
        self._acoustic = DacModel(files.config.acoustic_model_config).encoder.eval()
        self._acoustic.load_state_dict(subset_weights(files.weights, "acoustic_encoder."))
        self._semantic = HubertModel(files.config.semantic_model_config).eval()
        semantic = subset_weights(files.weights, "semantic_model.")
        # Used only for training, and missing in some copies of the weights.
        semantic.pop("masked_spec_embed", None)
        missing, unexpected = self._semantic.load_state_dict(semantic, strict=False)
        if unexpected or set(missing) - {"masked_spec_embed"}:
            raise EngineFailed("tts.model_layout", f"the codec's semantic model lacks {missing}, has {unexpected}")

    @torch.inference_mode()
    def encode(self, samples: NDArray[np.float32]) -> Codes:
        """Encode a recording at the codec's rate, shape [samples], to frames, shape [n, books]."""
        semantic = self._encode_semantic(samples)
        audio = torch.as_tensor(samples, dtype=torch.float32)[None, None]
        acoustic = self._acoustic(audio)
        if acoustic.shape[2] != semantic.shape[2]:
            padding = self._config.hop_length // 2
            acoustic = self._acoustic(F.pad(audio, (padding, padding)))
        length = min(acoustic.shape[2], semantic.shape[2])
        both = torch.cat([acoustic[..., :length], semantic[..., :length]], dim=1)[0].T
        return self._quantise(F.linear(both, self._weights["fc.weight"], self._weights["fc.bias"])).numpy()

    def _encode_semantic(self, samples: NDArray[np.float32]) -> Tensor:
        config = self._config
        if config.sample_rate != config.semantic_sample_rate:
            samples = soxr.resample(samples, config.sample_rate, config.semantic_sample_rate)
        padded = F.pad(torch.as_tensor(samples, dtype=torch.float32)[None], (_SEMANTIC_PADDING, _SEMANTIC_PADDING))
        layers = self._semantic(padded, output_hidden_states=True).hidden_states
        semantic = torch.stack(layers).mean(dim=0)[:, :: max(config.semantic_downsample_factor, 1)]
        return self._downsample_semantic(semantic.transpose(1, 2))

    def _downsample_semantic(self, hidden: Tensor) -> Tensor:
        config, weights = self._config, subset_weights(self._weights, "encoder_semantic.")
        hidden = F.conv1d(hidden, weights["conv.weight"], padding=config.kernel_size // 2)
        for block, stride in enumerate(config.strides):
            for unit, dilation in enumerate(config.block_dilations):
                name = f"conv_blocks.{block}.res_units.{unit}."
                padding = (config.unit_kernel_size - 1) // 2 * dilation
                inner = F.conv1d(F.elu(hidden), weights[name + "conv1.weight"], padding=padding, dilation=dilation)
                hidden = hidden + F.conv1d(F.elu(inner), weights[name + "conv2.weight"])
            name = f"conv_blocks.{block}.conv."
            kernel = weights[name + "weight"].shape[-1]
            hidden = F.conv1d(hidden, weights[name + "weight"], weights[name + "bias"], stride, (kernel - 1) // 2)
        return hidden

    def _quantise(self, residual: Tensor) -> Tensor:
        """Residual quantisation of embeddings, shape [n, channels], to codes, shape [n, books]."""
        codes: list[Tensor] = []
        for book in range(self._config.num_quantizers):
            weights = subset_weights(self._weights, f"quantizer.quantizers.{book}.")
            embed = weights["codebook.embed"]
            projected = F.linear(residual, weights["project_in.weight"], weights["project_in.bias"])
            nearest = (projected @ embed.T * 2 - embed.pow(2).sum(dim=1)).argmax(dim=1)
            codes.append(nearest)
            residual = residual - F.linear(embed[nearest], weights["project_out.weight"], weights["project_out.bias"])
        return torch.stack(codes, dim=1)
