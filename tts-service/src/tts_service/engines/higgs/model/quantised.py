"""Linear layers whose weights are kept in eight bits: half the memory, and half of what every step reads of it.

What torch offers for it by itself, as a step has but one row for every slot:

- int8: torch's own product for int8 weights (`_weight_int8pack_mm`) has one thread for each number on a GPU, so what
  is compiled here is a product that unpacks the weights while it reads them. Prompts, which have many rows, are rather
  limited by arithmetic than by memory, so their weights are unpacked first.
- fp8: `_scaled_mm`, which GPUs from Ada on compute by themselves. It wants the rows in eight bits too.
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

# Of rows, shape [n, in], weights, shape [out, in], and the weights' scales, shape [out]; the result has shape [n, out].
MatMul = Callable[[Tensor, Tensor, Tensor], Tensor]

_TYPES = {"int8": torch.int8, "fp8": torch.float8_e4m3fn}
_GREATEST = {torch.int8: 127.0, torch.float8_e4m3fn: 448.0}
# Beyond so many rows a step is limited by arithmetic, and the fused product is no gain.
_MAX_FUSED_ROWS = 16
# Compute capability from which on a GPU multiplies fp8.
_FP8_CAPABILITY = (8, 9)


class QuantisedLinear(nn.Module):
    """A linear layer without bias; each output has its own scale."""

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
    """`weight`, shape [out, in], in eight bits, and what each row of it is to be multiplied with, shape [out]."""
    whole = weight.float()
    # A row of zeros stays one.
    scale = whole.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny) / _GREATEST[dtype]
    scaled = whole / scale[:, None]
    return (scaled if dtype.is_floating_point else scaled.round()).to(dtype), scale


def unpacked_matmul(rows: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """The product in plain operations, right on every device: eight bits fit into bf16 without loss."""
    return F.linear(rows, weight.to(rows.dtype)) * scale.to(rows.dtype)


def fp8_matmul(rows: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """The product as the GPU computes it in fp8, each row scaled to what fp8 can say."""
    if not len(rows):
        return rows.new_empty((0, len(weight)))
    greatest = _GREATEST[torch.float8_e4m3fn]
    row_scale = rows.abs().amax(dim=1, keepdim=True).float().clamp(min=torch.finfo(torch.float32).tiny) / greatest
    eight_bits = (rows / row_scale).clamp(-greatest, greatest).to(torch.float8_e4m3fn)
    # Scaled afterwards: not every card takes a scale for each row and output.
    one = torch.ones((), device=rows.device)
    product = torch._scaled_mm(eight_bits, weight.T, scale_a=one, scale_b=one, out_dtype=rows.dtype)
    return (product * (row_scale * scale)).to(rows.dtype)


def _fused_matmul(rows: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    # Only ever run compiled: as plain operations, it would write a number for every weight and row.
    return ((rows.float()[:, None] * weight).sum(dim=-1) * scale).to(rows.dtype)


def int8_matmul(device: torch.device, step_rows: int) -> MatMul:
    """The product for int8 on `device`, where a step has `step_rows` rows."""
    fused = _compile_fused(device, step_rows) if device.type == "cuda" and step_rows <= _MAX_FUSED_ROWS else None
    if fused is None:
        return unpacked_matmul

    def product(rows: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        # Another number of rows would be compiled for itself, in mid-speech.
        return (fused if len(rows) == step_rows else unpacked_matmul)(rows, weight, scale)

    return product


@torch.inference_mode()
def _compile_fused(device: torch.device, step_rows: int) -> MatMul | None:
    """`_fused`, compiled; None where the machine cannot, for want of a C compiler for example."""
    fused = torch.compile(_fused_matmul, dynamic=False, fullgraph=True)
    rows = torch.zeros((step_rows, 64), device=device)
    try:
        fused(rows, torch.zeros((64, 64), dtype=torch.int8, device=device), torch.ones(64, device=device))
    except (RuntimeError, ImportError) as error:
        log.warning("int8 weights save memory, but no time", extra={"reason": repr(error)})
        return None
    return fused


def select_matmul(kind: EightBits, device: torch.device, step_rows: int) -> MatMul:
    """How weights of this kind are multiplied on `device`. Raises `InvalidRequest` where they cannot be."""
    if kind == "int8":
        return int8_matmul(device, step_rows)
    check_fp8(torch.cuda.get_device_capability(device) if device.type == "cuda" else None)
    return fp8_matmul


def check_fp8(capability: tuple[int, int] | None) -> None:
    """Raises `InvalidRequest` where fp8 cannot be had; `capability` is the GPU's, None without one."""
    if capability is None or capability < _FP8_CAPABILITY:
        found = "none is used" if capability is None else f"this one has {capability[0]}.{capability[1]}"
        raise InvalidRequest(
            "tts.weights_unsupported",
            f"fp8 wants a GPU of compute capability 8.9 or more, and {found}; set TTS_HIGGS_WEIGHTS=int8",
        )
