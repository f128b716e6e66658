"""The layers of CSM's backbone, or of its depth decoder, with a static cache for one sequence.

It computes what transformers' modules compute, in a third of the operations: one product for query, key and value, one
for gate and up, residuals added by the products, a cache that is written in place, and views that are made once.
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
    # Weights are transposed, as `mm` takes them.
    input_norm: Tensor
    # Shape [hidden, (heads + 2 x key heads) x head_dim].
    qkv: Tensor
    output: Tensor
    feed_norm: Tensor
    gate_up: Tensor
    down: Tensor
    # Keys, then values, shape [2 x key heads, positions, head_dim].
    cache: Tensor

    def cached(self, key_heads: int, positions: int) -> _Cached:
        """The keys and values of the first `positions`."""
        return self.cache[None, :key_heads, :positions], self.cache[None, key_heads:, :positions]


# Keys and values, each of shape [1, key heads, positions, head_dim].
_Cached = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class FixedPosition:
    """A position of a stack: its rotation, and per layer the place of its keys and values, and those up to it."""

    cos: Tensor
    sin: Tensor
    places: tuple[Tensor, ...]
    cached: tuple[_Cached, ...]


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
        # Values are rotated by nothing, which saves taking keys and values apart. For the sign see `_attention_input`.
        rotated, plain = self._heads + self._key_heads, (positions, self._key_heads, self._width)
        first, second = sin.chunk(2, dim=-1)
        sin = torch.cat([-first, second], dim=-1)
        self._cos = torch.cat([cos.expand(-1, rotated, -1), cos.new_ones(plain)], dim=1)
        self._sin = torch.cat([sin.expand(-1, rotated, -1), sin.new_zeros(plain)], dim=1)
        self._all_cached = [layer.cached(self._key_heads, positions) for layer in self._layers]

    def fixed_positions(self) -> list[FixedPosition]:
        """The stack's views at each of its positions, for `step_fixed`."""
        return [
            FixedPosition(
                self._cos[position],
                self._sin[position],
                tuple(layer.cache[:, position] for layer in self._layers),
                tuple(layer.cached(self._key_heads, position + 1) for layer in self._layers),
            )
            for position in range(self.positions)
        ]

    @staticmethod
    def _fused(layer: Any, cache: Tensor) -> _Layer:
        attention, feed_forward = layer.self_attn, layer.mlp
        parts = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
        parts += (feed_forward.gate_proj, feed_forward.up_proj, feed_forward.down_proj)
        if any(part.bias is not None for part in parts):
            raise EngineFailed("tts.model_layout", "the model's layers have biases, which CSM's have not")
        return _Layer(
            layer.input_layernorm.weight,
            _fuse(attention.q_proj, attention.k_proj, attention.v_proj).T,
            attention.o_proj.weight.T,
            layer.post_attention_layernorm.weight,
            _fuse(feed_forward.gate_proj, feed_forward.up_proj).T,
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
            # The query heads that share a key head become rows of one query, which avoids copies of the keys.
            query = rotated[: self._heads].reshape(1, self._key_heads, group * count, self._width)
            cached = layer.cached(self._key_heads, count)
            attended = F.scaled_dot_product_attention(query, *cached, visible.repeat(group, 1))
            rows = attended.view(self._heads, count, self._width).transpose(0, 1).flatten(1)
            hidden = self._layer_output(layer, hidden, rows)
        return self._normed(hidden[-1:], self._norm)

    def step_fixed(self, hidden: Tensor, at: FixedPosition) -> Tensor:
        """The normed output of one more row, shape [1, hidden], at a position that is the same in every call."""
        for layer, place, cached in zip(self._layers, at.places, at.cached, strict=True):
            rotated = self._attention_input(layer, hidden, at.cos, at.sin)[0]
            place.copy_(rotated[self._heads :])
            hidden = self._attend(layer, hidden, rotated, cached, None)
        return self._normed(hidden, self._norm)

    def step_at(self, hidden: Tensor, position: Tensor) -> Tensor:
        """The normed output of one more row, shape [1, hidden], at `position`, shape [1]."""
        cos, sin = self._cos[position], self._sin[position]
        visible = (self._positions <= position)[None]
        for layer, cached in zip(self._layers, self._all_cached, strict=True):
            rotated = self._attention_input(layer, hidden, cos, sin)[0]
            layer.cache.index_copy_(1, position, rotated[self._heads :, None])
            hidden = self._attend(layer, hidden, rotated, cached, visible)
        return self._normed(hidden, self._norm)

    def _attention_input(self, layer: _Layer, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Rotated queries and keys, and values, shape [n, heads + 2 x key heads, head_dim]."""
        product = torch.mm(self._normed(hidden, layer.input_norm), layer.qkv)
        heads = product.view(len(hidden), -1, self._width)
        # The halves change places; the first half's sign is in `sin`.
        swapped = product.view(len(hidden), -1, 2, self._width // 2).flip(2).view(heads.shape)
        return torch.addcmul(heads * cos, swapped, sin)

    def _attend(
        self, layer: _Layer, hidden: Tensor, rotated: Tensor, cached: _Cached, visible: Tensor | None
    ) -> Tensor:
        query = rotated[: self._heads].view(1, self._key_heads, -1, self._width)
        attended = F.scaled_dot_product_attention(query, *cached, visible)
        return self._layer_output(layer, hidden, attended.view(1, -1))

    def _layer_output(self, layer: _Layer, hidden: Tensor, attended: Tensor) -> Tensor:
        hidden = torch.addmm(hidden, attended, layer.output)
        gate, up = torch.mm(self._normed(hidden, layer.feed_norm), layer.gate_up).chunk(2, dim=-1)
        return torch.addmm(hidden, self._activate(gate) * up, layer.down)

    def _normed(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(hidden, weight.shape, weight, self._eps)


def _fuse(*parts: nn.Linear) -> Tensor:
    """One weight for several layers with the same input; theirs become views of it, so that it takes no more memory."""
    fused = torch.cat([part.weight.detach() for part in parts])
    for part, view in zip(parts, fused.split([len(part.weight) for part in parts]), strict=True):
        part.weight.data = view
    return fused
