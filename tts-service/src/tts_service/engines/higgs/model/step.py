"""One decode step of the model for all slots, one row of codes each; on a GPU captured in a CUDA graph."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tts_service.engines.higgs.delay import Codebooks
from tts_service.engines.higgs.model.sampling import SamplingRule, force_delay_pattern, sample_codes
from tts_service.engines.higgs.prompt import PromptPiece

# Keys and values of a prompt's start, each of shape [layers, heads, tokens, head_dim].
KvPrefix = tuple[Tensor, Tensor]


class SpeechModel:
    """The language model with a static cache, and the state of `slots` phrases decoded side by side.

    All tensors keep their address, as a captured graph requires.
    """

    def __init__(self, lm: Any, slots: int, context_tokens: int, rule: SamplingRule) -> None:
        config, weight = lm.config, lm.audio_lm_head.weight
        self._lm = lm
        self._rule = rule
        self.device = weight.device
        self.books = Codebooks(config.num_codebooks, config.audio_stream_bos_id, config.audio_stream_eos_id)
        self.context_tokens = context_tokens
        shape = (config.num_hidden_layers, slots, config.num_key_value_heads, context_tokens, config.head_dim)
        self._keys = torch.zeros(shape, dtype=weight.dtype, device=self.device)
        self._values = torch.zeros_like(self._keys)
        places = torch.arange(context_tokens, device=self.device)
        self._positions = places
        self._cos, self._sin = (table[0] for table in lm.model.rotary_emb(weight, places[None]))
        self._slot_indices = torch.arange(slots, device=self.device)
        books, codes = config.num_codebooks, config.codebook_size
        self.row = torch.full((slots, books), self.books.bos, device=self.device)
        self.position = torch.zeros(slots, dtype=torch.long, device=self.device)
        self.active = torch.zeros(slots, dtype=torch.long, device=self.device)
        self.age = torch.ones(slots, dtype=torch.long, device=self.device)
        self.ending = torch.zeros(slots, dtype=torch.long, device=self.device)
        self.recent = torch.full((slots, rule.ras_window, books), self.books.bos, device=self.device)
        self.temperature = torch.full((slots, 1, 1), rule.temperature, device=self.device)
        self.draws = torch.ones((slots, 2, books, codes), device=self.device)

    @property
    def slots(self) -> int:
        """Number of slots."""
        return self._slot_indices.numel()

    @property
    def weights_bytes(self) -> int:
        """Size of the language model's weights."""
        return sum(tensor.nbytes for tensor in (*self._lm.parameters(), *self._lm.buffers()))

    @property
    def cache_bytes(self) -> int:
        """Size of the keys and values of all slots."""
        return self._keys.nbytes + self._values.nbytes

    @property
    def state_bytes(self) -> int:
        """Size of the slots' other state."""
        total = sum(tensor.nbytes for tensor in vars(self).values() if isinstance(tensor, Tensor))
        return total - self.cache_bytes

    @torch.inference_mode()
    def step(self) -> None:
        """Feed each slot's last row, and sample its next row with `draws`."""
        position = self.position.clamp(max=self.context_tokens - 1)
        hidden = self._lm.model.embed_audio_tokens(self.row)
        cos, sin = self._cos[position][:, None], self._sin[position][:, None]
        visible = (self._positions <= position[:, None])[:, None, None]
        for number, layer in enumerate(self._lm.model.layers):
            attention = layer.self_attn
            query, key, value = _heads(attention, layer.audio_input_layernorm(hidden))
            query, key = _rotate(query, cos, sin), _rotate(key, cos, sin)
            keys, values = self._keys[number], self._values[number]
            keys[self._slot_indices, :, position] = key
            values[self._slot_indices, :, position] = value
            # The query heads that share a key head become rows of one query, which avoids copies of the keys.
            grouped = query.unflatten(1, (keys.shape[1], -1))
            attended = F.scaled_dot_product_attention(grouped, keys, values, visible, scale=attention.scaling)
            hidden = hidden + attention.o_proj(attended.flatten(1))
            hidden = hidden + layer.audio_mlp(layer.audio_post_attention_layernorm(hidden))
        logits = self._lm.audio_lm_head(self._lm.model.norm(hidden)).float()
        self._advance(logits.unflatten(-1, (self.books.count, -1)))

    def _advance(self, logits: Tensor) -> None:
        logits = force_delay_pattern(logits, self.age, self.ending, self.books)
        codes = sample_codes(logits, self.temperature, self.draws, self.recent, self._rule, self.books)
        has_ended = (self.ending > 0) | (codes == self.books.eos).any(dim=-1)
        self.ending.copy_((self.ending + 1) * has_ended * self.active)
        # An inactive slot keeps its state: it may be prefilled and wait for its first step.
        is_active = self.active[:, None] > 0
        recent = torch.cat([self.recent[:, 1:], codes[:, None]], dim=1)
        self.recent.copy_(torch.where(is_active[..., None], recent, self.recent))
        self.row.copy_(torch.where(is_active, codes, self.row))
        self.position.add_(self.active)
        self.age.add_(self.active)

    @torch.inference_mode()
    def prefill(self, slot: int, pieces: list[PromptPiece], start: int) -> int:
        """Fill the slot's cache with a prompt from position `start` on; return the position after it."""
        is_audio = torch.tensor([not isinstance(piece, tuple) for piece in pieces for _ in piece], device=self.device)
        hidden = torch.cat([self._embed(piece) for piece in pieces])
        stop = start + len(hidden)
        cos, sin = self._cos[start:stop, None], self._sin[start:stop, None]
        visible = self._positions[:stop] <= self._positions[start:stop, None]
        text_rows, audio_rows = (~is_audio).nonzero()[:, 0], is_audio.nonzero()[:, 0]
        for number, layer in enumerate(self._lm.model.layers):
            attention = layer.self_attn
            normed = _apply_by_kind(hidden, text_rows, audio_rows, layer.input_layernorm, layer.audio_input_layernorm)
            query, key, value = _heads(attention, normed)
            keys, values = self._keys[number, slot], self._values[number, slot]
            keys[:, start:stop] = _rotate(key, cos, sin).transpose(0, 1)
            values[:, start:stop] = value.transpose(0, 1)
            # As in `step`, the query heads that share a key head become rows: with `enable_gqa` and a mask, PyTorch
            # would copy keys and values per query head and hold the scores in full precision.
            grouped = _rotate(query, cos, sin).transpose(0, 1).unflatten(0, (keys.shape[0], -1))
            attended = F.scaled_dot_product_attention(
                grouped.flatten(1, 2)[None],
                keys[None, :, :stop],
                values[None, :, :stop],
                visible.repeat(grouped.shape[1], 1),
                scale=attention.scaling,
            )
            heads = attended[0].unflatten(1, grouped.shape[1:3]).flatten(0, 1)
            hidden = hidden + attention.o_proj(heads.transpose(0, 1).flatten(1))
            hidden = hidden + _apply_by_kind(
                hidden,
                text_rows,
                audio_rows,
                lambda rows, layer=layer: layer.mlp(layer.post_attention_layernorm(rows)),
                lambda rows, layer=layer: layer.audio_mlp(layer.audio_post_attention_layernorm(rows)),
            )
        return stop

    def start_slot(self, slot: int, position: int, temperature: float | None = None) -> None:
        """Start decoding in the slot at `position`, after its prompt."""
        self.temperature[slot] = self._rule.temperature if temperature is None else temperature
        self.row[slot] = self.books.bos
        self.recent[slot] = self.books.bos
        self.position[slot] = position
        self.age[slot] = 1
        self.ending[slot] = 0

    def save_prefix(self, slot: int, tokens: int) -> KvPrefix:
        """Copy the keys and values of the slot's first `tokens` positions."""
        return self._keys[:, slot, :, :tokens].clone(), self._values[:, slot, :, :tokens].clone()

    def restore_prefix(self, slot: int, prefix: KvPrefix) -> int:
        """Copy `prefix` to the start of the slot's cache; return the position after it."""
        keys, values = prefix
        self._keys[:, slot, :, : keys.shape[2]] = keys
        self._values[:, slot, :, : values.shape[2]] = values
        return keys.shape[2]

    def _embed(self, piece: PromptPiece) -> Tensor:
        ids = torch.as_tensor(piece, dtype=torch.long, device=self.device)
        return self._lm.model.embed_tokens(ids) if isinstance(piece, tuple) else self._lm.model.embed_audio_tokens(ids)


def _heads(attention: Any, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value of `hidden`, shape [n, hidden]; each has shape [n, heads, head_dim]."""
    query, key, value = (project(hidden) for project in (attention.q_proj, attention.k_proj, attention.v_proj))
    return tuple(part.unflatten(-1, (-1, attention.head_dim)) for part in (query, key, value))  # type: ignore[return-value]


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat((-second, first), dim=-1) * sin


def _apply_by_kind(
    rows: Tensor,
    text_rows: Tensor,
    audio_rows: Tensor,
    text_layer: Callable[[Tensor], Tensor],
    audio_layer: Callable[[Tensor], Tensor],
) -> Tensor:
    """Apply `text_layer` to the rows of text, `audio_layer` to the rows of audio."""
    output = torch.empty_like(rows)
    output[text_rows] = text_layer(rows[text_rows])
    output[audio_rows] = audio_layer(rows[audio_rows])
    return output
