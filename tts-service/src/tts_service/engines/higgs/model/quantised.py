"""Linear layers with 8-bit weights: half the memory of bf16, and half of the memory traffic of each step.

A step has only one row per slot, so its matrix products are limited by memory bandwidth:

- int8: torch's own product (`_weight_int8pack_mm`) uses one thread per output on a GPU, so this module compiles a
  product that unpacks the weights while reading them. Prompts have many rows and are limited by arithmetic, so their
  weights are unpacked first.
- fp8: `_scaled_mm`, in hardware on GPUs from Ada on. It needs the rows in fp8 too.
"""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from service_kit.errors import InvalidRequest
from torch import Tensor, nn

log = logging.getLogger(__name__)

EightBits = Literal["int8", "fp8"]

# Arguments: rows, shape [n, in]; weights, shape [out, in]; the weights' scales, shape [out]. Result: shape [n, out].
MatMul = Callable[[Tensor, Tensor, Tensor], Tensor]

_TYPES = {"int8": torch.int8, "fp8": torch.float8_e4m3fn}
_GREATEST = {torch.int8: 127.0, torch.float8_e4m3fn: 448.0}
# With more rows a step is limited by arithmetic, and the fused product has no advantage.
_MAX_FUSED_ROWS = 16
# Minimum compute capability for fp8 products.
_FP8_CAPABILITY = (8, 9)


class QuantisedLinear(nn.Module):
    """A linear layer without bias and with one scale per output."""

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, kind: EightBits, matmul: MatMul) -> None:
        super().__init__()
        eight_bits, scale = quantise_weight(weight, _TYPES[kind])
        self.register_buffer("weight", eight_bits)
        self.register_buffer("scale", scale)
        self._matmul = matmul

    def forward(self, rows: Tensor) -> Tensor:
        return self._matmul(rows, self.weight, self.scale)


def quantise_weight(weight: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Quantise `weight`, shape [out, in], to 8 bits; return it with the scale of each row, shape [out]."""
    whole = weight.float()
    # Avoids a division by zero for a row of zeros.
    scale = whole.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / _GREATEST[dtype]
    scaled = whole / scale[:, None]
    return (scaled if dtype.is_floating_point else scaled.round()).to(dtype), scale


def unpacked_matmul(rows: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """The product in plain operations, for every device: bf16 represents 8-bit values exactly."""
    return F.linear(rows, weight.to(rows.dtype)) * scale.to(rows.dtype)


def fp8_matmul(rows: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """The product in fp8 on the GPU; each row is scaled to the range of fp8."""
    if not len(rows):
        return rows.new_empty((0, len(weight)))
    greatest = _GREATEST[torch.float8_e4m3fn]
    row_scale = rows.abs().amax(dim=1, keepdim=True).float().clamp(min=torch.finfo(torch.float32).tiny) / greatest
    eight_bits = (rows / row_scale).clamp(-greatest, greatest).to(torch.float8_e4m3fn)
    # Scaled afterwards: not every GPU supports a scale per row and output.
    one = torch.ones((), device=rows.device)
    product = torch._scaled_mm(eight_bits, weight.T, scale_a=one, scale_b=one, out_dtype=rows.dtype)
    return (product * (row_scale * scale)).to(rows.dtype)


def _fused_matmul(rows: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    # Only used compiled: as plain operations, it would store one value per weight and row. The outputs come first, so
    # that the compiler's outer loop runs over them and each weight is read once for all rows.
    products = (weight[:, None] * rows.float()).sum(dim=-1) * scale[:, None]
    return products.T.to(rows.dtype)


def int8_matmul(device: torch.device, step_rows: int) -> MatMul:
    """The int8 product for `device`, where a step has `step_rows` rows."""
    fused = _compile_fused(device, step_rows) if device.type == "cuda" and step_rows <= _MAX_FUSED_ROWS else None
    if fused is None:
        return unpacked_matmul

    def product(rows: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        # Another number of rows would trigger a compilation in the middle of a reply.
        return (fused if len(rows) == step_rows else unpacked_matmul)(rows, weight, scale)

    return product


@torch.inference_mode()
def _compile_fused(device: torch.device, step_rows: int) -> MatMul | None:
    """Compile `_fused_matmul`; None where that fails, for example without a C compiler."""
    fused = torch.compile(_fused_matmul, dynamic=False, fullgraph=True)
    rows = torch.zeros((step_rows, 64), device=device)
    try:
        fused(rows, torch.zeros((64, 64), dtype=torch.int8, device=device), torch.ones(64, device=device))
    except (RuntimeError, ImportError) as error:
        log.warning("int8 product not compiled", extra={"reason": repr(error), "effect": "saves memory, not time"})
        return None
    return fused


def select_matmul(kind: EightBits, device: torch.device, step_rows: int) -> MatMul:
    """Select the product for weights of this kind on `device`. Raises `InvalidRequest` if it is not supported."""
    if kind == "int8":
        return int8_matmul(device, step_rows)
    check_fp8(torch.cuda.get_device_capability(device) if device.type == "cuda" else None)
    return fp8_matmul


def check_fp8(capability: tuple[int, int] | None) -> None:
    """Raises `InvalidRequest` where fp8 is not supported; `capability` is the GPU's, None without a GPU."""
    if capability is None or capability < _FP8_CAPABILITY:
        found = "the device is not a GPU" if capability is None else f"this one has {capability[0]}.{capability[1]}"
        raise InvalidRequest(
            "tts.weights_unsupported",
            f"fp8 needs a GPU of compute capability 8.9 or more, and {found}; set TTS_HIGGS_WEIGHTS=int8",
        )
