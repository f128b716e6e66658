"""Captures a model's step in a CUDA graph, which saves the cost of launching its kernels one by one."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable

import torch

_WARM_UP_STEPS = 3


def capture_graph(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Capture `step`, whose tensors keep their addresses, in a CUDA graph; on a CPU return `step` itself."""
    if device.type != "cuda":
        return step
    # Streams and graphs belong to the current device, which is the first one unless it is set.
    with torch.cuda.device(device):
        return _capture(step)


def _capture(step: Callable[[], None]) -> Callable[[], None]:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP_STEPS):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay
