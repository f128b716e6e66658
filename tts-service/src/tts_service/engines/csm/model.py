"""Generates frame by frame: the backbone samples a frame's first code, the depth decoder the others. Blocking."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from service_kit.errors import EngineFailed
from tokenizers import Tokenizer
from torch import Tensor
from transformers import DynamicCache

from tts_service.engines.csm.frames import Codes, PromptTurn

_TOP_K = 50
# A prompt that leaves room for fewer frames than this is refused.
_MIN_FRAMES = 25
_END_OF_TEXT = "<|end_of_text|>"


class FrameModel:
    """Generates one phrase at a time. Used from one thread."""

    def __init__(self, model: Any, tokenizer: Tokenizer, temperature: float) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._temperature = temperature
        self._device = next(model.parameters()).device
        self._noise = torch.Generator(self._device)
        self._books: int = model.config.num_codebooks
        # The model has more codes than the codec; control codes cannot be decoded.
        self._last_code: int = model.config.codec_config.codebook_size - 1
        end = tokenizer.token_to_id(_END_OF_TEXT)
        if end is None:
            raise EngineFailed("tts.model_layout", f"the tokenizer does not know {_END_OF_TEXT}; copy the model's own")
        self._end_of_text: int = end
        self._cache: Any = None
        self._hidden: Tensor | None = None

    @torch.inference_mode()
    def start_phrase(self, turns: Sequence[PromptTurn], seed: int) -> int:
        """Prefill `turns`, the last of which is spoken next; return the number of frames that fit into the context."""
        self._noise.manual_seed(seed)
        embedded = torch.cat([part for turn in turns for part in self._embed(turn)], dim=1)
        room = self._model.config.max_position_embeddings - embedded.shape[1]
        if room < _MIN_FRAMES:
            raise EngineFailed("tts.context_full", f"voice and phrase take {embedded.shape[1]} tokens of the context")
        self._cache = DynamicCache(config=self._model.config)
        self._extend_cache(embedded)
        return room

    @torch.inference_mode()
    def next_frame(self) -> Codes | None:
        """The next frame, shape [books]; None at the end of the speech."""
        if self._hidden is None:
            raise EngineFailed("tts.engine_failed", "a frame was requested before the prompt")
        frame = self._sample_frame(self._hidden)
        if bool((frame == self._model.config.codebook_eos_token_id).all()):
            return None
        self._extend_cache(self._model.backbone_model.embed_tokens(frame[:, None]))
        return frame[0].clamp(max=self._last_code).cpu().numpy()

    def reset(self) -> None:
        """Drop the phrase's state."""
        self._cache = self._hidden = None

    @torch.inference_mode()
    def decode_frames(self, frames: Codes) -> np.ndarray:
        """Decode `frames`, shape [n, books], to float32 samples, shape [samples]."""
        codes = torch.as_tensor(frames, device=self._device).T[None]
        return self._model.codec_model.decode(codes).audio_values[0, 0].float().cpu().numpy()

    @torch.inference_mode()
    def encode_audio(self, samples: np.ndarray) -> Codes:
        """Encode a recording at the codec's rate, shape [samples], to frames, shape [n, books]."""
        audio = torch.as_tensor(samples, dtype=torch.float32, device=self._device)[None, None]
        codes = self._model.codec_model.encode(audio, num_quantizers=self._books).audio_codes
        return codes[0].T.cpu().numpy().astype(np.int64)

    def _embed(self, turn: PromptTurn) -> list[Tensor]:
        words = self._tokenizer.encode(turn.prompt_text, add_special_tokens=False).ids
        tokens = [self._model.config.bos_token_id, *words, self._end_of_text]
        parts = [self._model.embed_text_tokens(torch.tensor([tokens], device=self._device))]
        if turn.frames is not None:
            end = np.full((1, self._books), self._model.config.codebook_eos_token_id)
            frames = torch.as_tensor(np.concatenate([turn.frames, end]), device=self._device)
            parts.append(self._model.backbone_model.embed_tokens(frames[None]))
        return parts

    def _extend_cache(self, embedded: Tensor) -> None:
        output = self._model.backbone_model(inputs_embeds=embedded, past_key_values=self._cache, use_cache=True)
        self._hidden = output.last_hidden_state[:, -1]

    def _sample_frame(self, hidden: Tensor) -> Tensor:
        code = self._sample_code(self._model.lm_head(hidden))
        frame = [code]
        cache = DynamicCache(config=self._model.config.depth_decoder_config)
        # Position 0 belongs to the backbone; its id is ignored.
        ids = torch.stack([torch.zeros_like(code), code], dim=1)
        for _ in range(self._books - 1):
            first = {"backbone_last_hidden_state": hidden} if len(frame) == 1 else {}
            output = self._model.depth_decoder(
                input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1, **first
            )
            code = self._sample_code(output.logits[:, -1])
            frame.append(code)
            ids = code[:, None]
        return torch.stack(frame, dim=1)

    def _sample_code(self, logits: Tensor) -> Tensor:
        """Sample a code for each row of `logits` from the `_TOP_K` most likely ones."""
        best = (logits.float() / self._temperature).topk(min(_TOP_K, logits.shape[-1]), dim=-1)
        drawn = torch.multinomial(best.values.softmax(dim=-1), 1, generator=self._noise)
        return best.indices.gather(1, drawn)[:, 0]
