"""The cost of CSM's frame before any arithmetic: real layer counts, tiny widths. A GPU replays it as one graph."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import csm_weights
import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import CsmConfig, CsmForConditionalGeneration, DynamicCache
from tts_service.engines.csm.frame_step import FrameStep

# A graph starts a kernel in about 2 us, so that these take 5 ms of a frame's 80.
MAX_KERNELS = 2500
# Of the processor time of transformers' modules, which do 11,000 operations in a frame.
MAX_SHARE = 0.5
VIEWS = {"view", "slice", "select", "chunk", "split", "unsqueeze", "unbind", "detach", "alias"}


@pytest.fixture(scope="module")
def model() -> Any:
    """CSM-1B's numbers of layers and codebooks, with few channels."""
    config = csm_weights.config().to_dict()
    config |= {"num_hidden_layers": 16, "num_codebooks": 32}
    config["depth_decoder_config"] |= {"num_hidden_layers": 4, "num_codebooks": 32, "max_position_embeddings": 33}
    config["codec_config"] |= {"num_quantizers": 32}
    torch.manual_seed(1)
    return CsmForConditionalGeneration(CsmConfig(**config)).requires_grad_(False).eval()


@pytest.fixture(scope="module")
def step(model: Any) -> FrameStep:
    made = FrameStep(model, 0.9)
    with torch.inference_mode():
        made.prefill(torch.randn(20, model.config.hidden_size))
        made.step()
    return made


def test_a_frame_has_few_enough_kernels(step: FrameStep) -> None:
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        step.step()
    # What a GPU does in one kernel may be several operations of a CPU, each below the one that was called.
    events = [event for event in recorded.events() if event.name.startswith("aten::")]
    called = Counter(
        event.name.removeprefix("aten::")
        for event in events
        if event.cpu_parent is None or not event.cpu_parent.name.startswith("aten::")
    )
    kernels = sum(count for name, count in called.items() if name not in VIEWS)
    # Every code is sampled in every layer's step; fewer would not be a frame.
    assert called["scaled_dot_product_attention"] == 32 * 4 + 16
    assert kernels < MAX_KERNELS, called


def processor_ms(work: Callable[[], object], times: int) -> float:
    """The least processor time of one call, of this thread alone: other processes do not count."""
    found = []
    for _ in range(times):
        begun_s = time.thread_time()
        work()
        found.append(1000 * (time.thread_time() - begun_s))
    return min(found)


@torch.inference_mode()
def library_frame(model: Any, hidden: torch.Tensor, cache: Any) -> None:
    """A frame by transformers' modules: all codes, and the backbone's step."""
    code = model.lm_head(hidden).argmax(dim=-1)
    frame, depth_cache = [code], DynamicCache(config=model.config.depth_decoder_config)
    ids = torch.stack([torch.zeros_like(code), code], dim=1)
    for _ in range(31):
        first = {"backbone_last_hidden_state": hidden} if len(frame) == 1 else {}
        output = model.depth_decoder(
            input_ids=ids, past_key_values=depth_cache, use_cache=True, logits_to_keep=1, **first
        )
        code = output.logits[:, -1].argmax(dim=-1)
        frame.append(code)
        ids = code[:, None]
    embedded = model.backbone_model.embed_tokens(torch.stack(frame, dim=1)[:, None])
    model.backbone_model(inputs_embeds=embedded, past_key_values=cache, use_cache=True)


def test_a_frame_takes_half_the_time_of_the_librarys_modules(model: Any, step: FrameStep) -> None:
    cache = DynamicCache(config=model.config)
    theirs_ms = processor_ms(lambda: library_frame(model, step.hidden, cache), 3)
    ours_ms = processor_ms(step.step, 10)
    assert ours_ms < MAX_SHARE * theirs_ms, f"{ours_ms:.1f} ms, by the library's modules {theirs_ms:.1f} ms"
