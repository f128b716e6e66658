"""Measures memory bandwidth by copying between two buffers of the device."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch

_BATCHES = 5


def copy_gb_s(device: torch.device, size: int, copies: int = 10) -> float:
    """10^9 bytes a second, read and written, while copying `size` bytes within the device; the best of some runs."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    fastest_ms = min(mean_ms(lambda: target.copy_(source), device, copies) for _ in range(_BATCHES))
    return 2 * size / fastest_ms / 1e6


def median_ms(work: Callable[[], object], device: torch.device, times: int) -> float:
    """The mean time of `times` calls of `work` in a row; the median of some such runs."""
    work()
    return median(mean_ms(work, device, times) for _ in range(_BATCHES))


def mean_ms(work: Callable[[], object], device: torch.device, times: int) -> float:
    """The mean time of `times` calls of `work`, from the first call to the end of the last on the device."""
    synchronise(device)
    begin = time.perf_counter()
    for _ in range(times):
        work()
    synchronise(device)
    return (time.perf_counter() - begin) * 1000 / times


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
