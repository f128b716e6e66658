"""How fast the device's memory is: two buffers and a copy."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch

_BATCHES = 5


def copy_gb_s(device: torch.device, size: int, copies: int = 10) -> float:
    """10^9 bytes a second, read and written, while `size` bytes are copied within the device; the best of some runs."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    fastest_ms = min(each_ms(lambda: target.copy_(source), device, copies) for _ in range(_BATCHES))
    return 2 * size / fastest_ms / 1e6


def median_ms(work: Callable[[], object], device: torch.device, times: int) -> float:
    """What `work` takes when it is asked for `times` times in a row, the median of some such runs."""
    work()
    return median(each_ms(work, device, times) for _ in range(_BATCHES))


def each_ms(work: Callable[[], object], device: torch.device, times: int) -> float:
    """What each of `times` pieces of work takes, from asking for the first to the end of the last on the device."""
    settle(device)
    begin = time.perf_counter()
    for _ in range(times):
        work()
    settle(device)
    return (time.perf_counter() - begin) * 1000 / times


def settle(device: torch.device) -> None:
    """Wait until the device has done all that it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
