"""Samples the next codes of all slots at once, on the device, without synchronising with the host."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tts_service.engines.higgs.delay import Codebooks


@dataclass(frozen=True, slots=True)
class SamplingRule:
    """Sampling parameters."""

    # For phrases without a temperature of their own.
    temperature: float
    top_k: int = 50
    top_p: float = 0.95
    # Repetition-aware sampling: a code that occurs `ras_repeats` times in the last `ras_window` rows of its book is
    # sampled again, without temperature, top-k and top-p.
    ras_window: int = 7
    ras_repeats: int = 2


def force_delay_pattern(logits: Tensor, age: Tensor, ending: Tensor, books: Codebooks) -> Tensor:
    """Mask `logits`, shape [slots, books, codes], to BOS or EOS where the delay pattern requires them.

    `age` is the number of the row to sample, `ending` counts the rows from a slot's first EOS on; shape [slots].
    """
    book = torch.arange(books.count, device=logits.device)
    code = torch.arange(logits.shape[-1], device=logits.device)
    begins = (book >= age[:, None])[..., None]
    ends = (book < ending[:, None])[..., None]
    logits = logits.masked_fill(begins & (code != books.bos), -torch.inf)
    return logits.masked_fill(ends & (code != books.eos), -torch.inf)


def warped_probabilities(logits: Tensor, rule: SamplingRule, temperature: Tensor) -> Tensor:
    """Probabilities after temperature, top-k and top-p."""
    scaled = logits / temperature
    best = scaled.topk(min(rule.top_k, scaled.shape[-1]), dim=-1).values
    shares = best.softmax(dim=-1)
    kept = shares.cumsum(dim=-1) - shares < rule.top_p
    least = best.masked_fill(~kept, torch.inf).amin(dim=-1, keepdim=True)
    return scaled.masked_fill(scaled < least, -torch.inf).softmax(dim=-1)


def sample_codes(
    logits: Tensor, temperature: Tensor, draws: Tensor, recent: Tensor, rule: SamplingRule, books: Codebooks
) -> Tensor:
    """Sample codes, shape [slots, books], from `logits`, shape [slots, books, codes].

    `temperature` has shape [slots, 1, 1]. `draws` are exponentially distributed, shape [slots, 2, books, codes]: the
    argmax of probabilities divided by them is a sample of the distribution. `recent` holds each slot's last rows,
    shape [slots, window, books].
    """
    codes = (warped_probabilities(logits, rule, temperature) / draws[:, 0]).argmax(dim=-1)
    again = (logits.softmax(dim=-1) / draws[:, 1]).argmax(dim=-1)
    sounding = (recent != books.bos) & (recent != books.eos)
    repeats = ((recent == codes[:, None]) & sounding).sum(dim=1)
    return torch.where(repeats >= rule.ras_repeats, again, codes)
