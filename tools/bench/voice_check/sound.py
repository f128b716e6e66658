"""Figures of a sound: level, pauses, spectra, and the speaker's features."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from transformers import HubertModel
from tts_service.engines.higgs.model.codec import subset_weights

Samples = NDArray[np.float32]
_FRAME_S = 0.02
# Below the loudest frame by this much is silence.
_SILENT_DB = 40.0
_FFT, _HOP, _MELS = 1024, 256, 80
# Of a spectrum, so that silence has a logarithm.
_LEAST_MEL = 1e-4


def level_dbfs(samples: Samples) -> float:
    """Root mean square in dB below full scale."""
    return float(10 * np.log10(max(np.square(samples.astype(np.float64)).mean(), 1e-12)))


def longest_silence_s(samples: Samples, rate_hz: int) -> float:
    """The longest run of frames far below the loudest."""
    size = int(rate_hz * _FRAME_S)
    energy = np.square(samples[: len(samples) // size * size].reshape(-1, size)).mean(axis=1)
    silent = energy < energy.max(initial=1e-12) * 10 ** (-_SILENT_DB / 10)
    longest = run = 0
    for is_silent in silent:
        run = run + 1 if is_silent else 0
        longest = max(longest, run)
    return longest * _FRAME_S


def log_mel_distance(one: Samples, other: Samples, rate_hz: int) -> float:
    """Mean absolute difference of log-mel spectra, in natural logarithms, over the common length."""
    length = min(len(one), len(other))
    first, second = (_log_mel(samples[:length], rate_hz) for samples in (one, other))
    return float((first - second).abs().mean())


def _log_mel(samples: Samples, rate_hz: int) -> torch.Tensor:
    window = torch.hann_window(_FFT)
    spectrum = torch.stft(torch.from_numpy(samples.copy()), _FFT, _HOP, window=window, return_complex=True).abs()
    return (_mel_filters(rate_hz) @ spectrum).clamp(min=_LEAST_MEL).log()


def _mel_filters(rate_hz: int) -> torch.Tensor:
    """Triangles of equal width on the mel scale, shape [mels, bins]."""
    top = 2595 * np.log10(1 + rate_hz / 2 / 700)
    edges = torch.from_numpy(700 * (10 ** (np.linspace(0, top, _MELS + 2) / 2595) - 1)).float()
    bins = torch.linspace(0, rate_hz / 2, _FFT // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0)


@torch.inference_mode()
def likeness(one: Samples, other: Samples, codec: Any) -> float:
    """Cosine of the mean HuBERT features of two recordings at the codec's rate; `codec` has the weights."""
    hubert = HubertModel(codec.config.semantic_model_config).eval()
    hubert.load_state_dict(subset_weights(codec.weights, "semantic_model."), strict=False)
    rates = codec.config.sample_rate, codec.config.semantic_sample_rate
    means = [
        hubert(torch.from_numpy(soxr.resample(samples, *rates))[None]).last_hidden_state.mean(dim=1)
        for samples in (one, other)
    ]
    return float(F.cosine_similarity(*means).item())


def save_wav(path: Path, samples: Samples, rate_hz: int) -> None:
    """Write 16-bit mono."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate_hz, 0, "NONE", ""))
        file.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
