"""One frame of CSM as one fixed sequence of operations: all of its codes, and the backbone's step to the next frame.

On a GPU the whole of it is one CUDA graph. As single calls its 2000 kernels would cost more than a frame's 80 ms.
"""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tts_service.engines.csm.layer_stack import LayerStack

_TOP_K = 50


class FrameStep:
    """The state of one phrase. All tensors keep their address, as a captured graph requires."""

    def __init__(self, model: Any, temperature: float) -> None:
        config, depth = model.config, model.depth_decoder
        self._temperature = temperature
        self._books: int = config.num_codebooks
        self._backbone = LayerStack(model.backbone_model, config.max_position_embeddings)
        # The backbone's output, then one position per codebook but the last, which only leads to the next frame.
        self._depth = LayerStack(depth.model, self._books)
        self._depth_positions = self._depth.fixed_positions()
        self._project = depth.model.inputs_embeds_projector.weight.T
        self._embeddings = depth.model.embed_tokens.weight.split(depth.model.vocab_size)
        # The first code is the backbone's; each other book has its own head. Shape [hidden, codes].
        self._heads = [model.lm_head.weight.T, *depth.codebooks_head.weight]
        self._embed_frame = model.backbone_model.embed_tokens
        device = self._project.device
        top_k = min(_TOP_K, *(head.shape[1] for head in self._heads))
        # Drawn from the exponential distribution before each step.
        self.draws = torch.ones((self._books, top_k), device=device)
        self.frame = torch.zeros(self._books, dtype=torch.long, device=device)
        self.position = torch.zeros(1, dtype=torch.long, device=device)
        # The backbone's output that the next frame is sampled from.
        self.hidden = torch.zeros((1, config.hidden_size), dtype=self._project.dtype, device=device)

    @property
    def context_tokens(self) -> int:
        """Number of positions of prompt and frames."""
        return self._backbone.positions

    @torch.inference_mode()
    def prefill(self, embedded: Tensor) -> None:
        """Start a phrase with its prompt, shape [n, hidden]."""
        self.hidden.copy_(self._backbone.prefill(embedded))
        self.position.fill_(len(embedded))

    @torch.inference_mode()
    def step(self) -> None:
        """Sample `frame` with `draws`, and feed it to the backbone."""
        # The argmax of logits / temperature - log(draws) is a sample of their softmax.
        noise = (self.draws.log() * -self._temperature).unbind()
        code = _sample_code(torch.mm(self.hidden, self._heads[0]), noise[0])
        self._depth.step_fixed(torch.mm(self.hidden, self._project), self._depth_positions[0])
        codes = [code]
        for book in range(1, self._books):
            embedded = F.embedding(code, self._embeddings[book - 1])
            hidden = self._depth.step_fixed(torch.mm(embedded, self._project), self._depth_positions[book])
            code = _sample_code(torch.mm(hidden, self._heads[book]), noise[book])
            codes.append(code)
        torch.cat(codes, out=self.frame)
        position = self.position.clamp(max=self.context_tokens - 1)
        self.hidden.copy_(self._backbone.step_at(self._embed_frame(self.frame[None, None])[0], position))
        self.position.add_(1)


def _sample_code(logits: Tensor, noise: Tensor) -> Tensor:
    """Sample one of the likeliest codes, shape [1], from `logits`, shape [1, codes]."""
    values, indices = logits[0].topk(len(noise))
    return indices.gather(0, (values + noise).argmax(dim=0, keepdim=True))
