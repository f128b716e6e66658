"""Compares the engine's step with itself as a graph, and with the authors' library."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from gpu.higgs_steps import TEXT, capture_graph
from torch import Tensor
from tts_service.engines.higgs.model.sampling import SamplingRule
from tts_service.engines.higgs.model.step import SpeechModel
from tts_service.engines.higgs.prompt import Tokenize, build_voice_prefix, tokenize_phrase

# Greedy, and without sampling again: draws of 1 leave the highest probability.
_GREEDY = SamplingRule(temperature=1.0, ras_repeats=10**6)
_COMPARED_STEPS = 20


@dataclass(frozen=True, slots=True)
class Numerics:
    """Whether the graph's rows are the eager rows, how many, and the relative error of the logits."""

    rows: int
    graph_equals_eager: bool
    logit_error: float


def compare_numerics(lm: Any, encode: Tokenize, context_tokens: int, rows: int) -> Numerics:
    """Compare `rows` greedy rows, and the logits of some steps."""
    eager, graph = (_greedy_rows(lm, encode, context_tokens, rows, as_graph) for as_graph in (False, True))
    return Numerics(len(eager), torch.equal(eager, graph), _logit_error(lm, encode, context_tokens))


def _greedy_rows(lm: Any, encode: Tokenize, context_tokens: int, rows: int, as_graph: bool) -> Tensor:
    model = SpeechModel(lm, 1, context_tokens, _GREEDY)
    step = capture_graph(model.step, model.device) if as_graph else model.step
    _begin(model, _prompt(model, encode))
    made: list[Tensor] = []
    for _ in range(rows):
        step()
        made.append(model.row[0].clone())
    return torch.stack(made)


@torch.inference_mode()
def _logit_error(lm: Any, encode: Tokenize, context_tokens: int) -> float:
    """Root mean square of the difference to the library's logits, relative to theirs; fed with the library's rows."""
    model = SpeechModel(lm, 1, context_tokens, _GREEDY)
    prompt = _prompt(model, encode)
    seen: list[Tensor] = []
    hook = lm.audio_lm_head.register_forward_hook(
        lambda _module, _inputs, output: seen.append(output.reshape(-1, output.shape[-1])[-1].float())
    )
    try:
        ids = torch.tensor([prompt], device=model.device)
        rows = lm.generate(input_ids=ids, max_new_tokens=_COMPARED_STEPS, do_sample=False)[0]
        # The first logits are those after the prompt; the engine knows that row.
        theirs, count = torch.stack(seen[1:]), len(seen)
        _begin(model, prompt)
        for row in rows[: count - 1]:
            model.row[0] = row.to(model.device)
            model.step()
        ours = torch.stack(seen[count:])
    finally:
        hook.remove()
    return float(((ours - theirs).pow(2).mean() / theirs.pow(2).mean()).sqrt())


def _prompt(model: SpeechModel, encode: Tokenize) -> tuple[int, ...]:
    """A phrase without a voice's reference, as tokens."""
    prefix = build_voice_prefix(encode, (None,), model.books)
    return tuple(int(token) for piece in prefix for token in piece) + tokenize_phrase(encode, TEXT)


def _begin(model: SpeechModel, prompt: tuple[int, ...]) -> None:
    model.start_slot(0, model.prefill(0, [prompt], 0))
    model.active[0] = 1
    model.draws.fill_(1.0)
