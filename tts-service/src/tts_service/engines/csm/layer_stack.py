"""The layers of CSM's backbone, or of its depth decoder, with a static cache for one sequence.

It computes what transformers' modules compute, in a third of the operations: one product for query, key and value, one
for gate and up, residuals added by the products, and a cache that is written in place.
"""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from service_kit.errors import EngineFailed
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class _Layer:
    input_norm: Tensor
    # Shape [heads + 2 x key heads, head_dim] x [hidden].
    qkv: Tensor
    # Transposed, for `addmm`.
    output: Tensor
    feed_norm: Tensor
    gate_up: Tensor
    down: Tensor
    # Keys, then values, shape [2 x key heads, positions, head_dim].
    cache: Tensor


class LayerStack:
    """A stack of layers. All tensors keep their address, as a captured graph requires."""

    def __init__(self, model: Any, positions: int) -> None:
        """`model` has `layers`, `norm` and `rotary_emb`. Its weights become views of the fused ones."""
        config = model.config
        self._heads, self._key_heads = config.num_attention_heads, config.num_key_value_heads
        self._width: int = model.layers[0].self_attn.head_dim
        self._eps: float = config.rms_norm_eps
        self._activate = model.layers[0].mlp.act_fn
        self._norm = model.norm.weight
        weight = self._norm
        shape = (2 * self._key_heads, positions, self._width)
        self._layers = [self._fused(layer, weight.new_zeros(shape)) for layer in model.layers]
        self._positions = torch.arange(positions, device=weight.device)
        cos, sin = (table[0][:, None] for table in model.rotary_emb(weight, self._positions[None]))
        # Values are rotated by nothing, which saves taking keys and values apart.
        rotated, plain = self._heads + self._key_heads, (positions, self._key_heads, self._width)
        self._cos = torch.cat([cos.expand(-1, rotated, -1), cos.new_ones(plain)], dim=1)
        self._sin = torch.cat([sin.expand(-1, rotated, -1), sin.new_zeros(plain)], dim=1)

    @staticmethod
    def _fused(layer: Any, cache: Tensor) -> _Layer:
        attention, feed_forward = layer.self_attn, layer.mlp
        parts = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
        parts += (feed_forward.gate_proj, feed_forward.up_proj, feed_forward.down_proj)
        if any(part.bias is not None for part in parts):
            raise EngineFailed("tts.model_layout", "the model's layers have biases, which CSM's have not")
        return _Layer(
            layer.input_layernorm.weight,
            _fuse(attention.q_proj, attention.k_proj, attention.v_proj),
            attention.o_proj.weight.T,
            layer.post_attention_layernorm.weight,
            _fuse(feed_forward.gate_proj, feed_forward.up_proj),
            feed_forward.down_proj.weight.T,
            cache,
        )

    @property
    def positions(self) -> int:
        """Number of positions in the cache."""
        return self._positions.numel()

    def prefill(self, hidden: Tensor) -> Tensor:
        """Fill the cache from its start with a prompt, shape [n, hidden]; return the normed output of the last row."""
        count = len(hidden)
        visible = self._positions[:count] <= self._positions[:count, None]
        group = self._heads // self._key_heads
        for layer in self._layers:
            rotated = self._attention_input(layer, hidden, self._cos[:count], self._sin[:count]).transpose(0, 1)
            layer.cache[:, :count] = rotated[self._heads :]
            keys, values = layer.cache[None, : self._key_heads, :count], layer.cache[None, self._key_heads :, :count]
            # The query heads that share a key head become rows of one query, which avoids copies of the keys.
            query = rotated[: self._heads].reshape(1, self._key_heads, group * count, self._width)
            attended = F.scaled_dot_product_attention(query, keys, values, visible.repeat(group, 1))
            rows = attended.view(self._heads, count, self._width).transpose(0, 1).flatten(1)
            hidden = self._layer_output(layer, hidden, rows)
        return self._normed(hidden[-1:], self._norm)

    def step_fixed(self, hidden: Tensor, position: int) -> Tensor:
        """The normed output of one more row, shape [1, hidden], at a position that is the same in every call."""
        cos, sin = self._cos[position], self._sin[position]
        for layer in self._layers:
            rotated = self._attention_input(layer, hidden, cos, sin)[0]
            layer.cache[:, position] = rotated[self._heads :]
            hidden = self._attend(layer, hidden, rotated, layer.cache[None, :, : position + 1], None)
        return self._normed(hidden, self._norm)

    def step_at(self, hidden: Tensor, position: Tensor) -> Tensor:
        """The normed output of one more row, shape [1, hidden], at `position`, shape [1]."""
        cos, sin = self._cos[position], self._sin[position]
        visible = (self._positions <= position)[None]
        for layer in self._layers:
            rotated = self._attention_input(layer, hidden, cos, sin)[0]
            layer.cache.index_copy_(1, position, rotated[self._heads :, None])
            hidden = self._attend(layer, hidden, rotated, layer.cache[None], visible)
        return self._normed(hidden, self._norm)

    def _attention_input(self, layer: _Layer, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Rotated queries and keys, and values, shape [n, heads + 2 x key heads, head_dim]."""
        heads = F.linear(self._normed(hidden, layer.input_norm), layer.qkv).unflatten(-1, (-1, self._width))
        first, second = heads.chunk(2, dim=-1)
        return torch.addcmul(heads * cos, torch.cat((-second, first), dim=-1), sin)

    def _attend(self, layer: _Layer, hidden: Tensor, rotated: Tensor, cached: Tensor, visible: Tensor | None) -> Tensor:
        query = rotated[: self._heads].view(1, self._key_heads, -1, self._width)
        keys, values = cached[:, : self._key_heads], cached[:, self._key_heads :]
        attended = F.scaled_dot_product_attention(query, keys, values, visible)
        return self._layer_output(layer, hidden, attended.view(1, -1))

    def _layer_output(self, layer: _Layer, hidden: Tensor, attended: Tensor) -> Tensor:
        hidden = torch.addmm(hidden, attended, layer.output)
        gate, up = F.linear(self._normed(hidden, layer.feed_norm), layer.gate_up).chunk(2, dim=-1)
        return torch.addmm(hidden, self._activate(gate) * up, layer.down)

    def _normed(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(hidden, weight.shape, weight, self._eps)


def _fuse(*parts: nn.Linear) -> Tensor:
    """One weight for several layers with the same input; theirs become views of it, so that it takes no more memory."""
    fused = torch.cat([part.weight.detach() for part in parts])
    for part, view in zip(parts, fused.split([len(part.weight) for part in parts]), strict=True):
        part.weight.data = view
    return fused
