"""Generates frame by frame, encodes and decodes. Blocking."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from service_kit.errors import EngineFailed
from tokenizers import Tokenizer
from torch import Tensor

from tts_service.engines.csm.frame_step import FrameStep
from tts_service.engines.csm.frames import Codes, PromptTurn
from tts_service.engines.cuda_graph import capture_graph

# A prompt that leaves room for fewer frames than this is refused.
_MIN_FRAMES = 25
_END_OF_TEXT = "<|end_of_text|>"


class FrameModel:
    """Generates one phrase at a time. Used from one thread."""

    def __init__(self, model: Any, tokenizer: Tokenizer, temperature: float) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._device = next(model.parameters()).device
        self._noise = torch.Generator(self._device)
        self._books: int = model.config.num_codebooks
        # The model has more codes than the codec; control codes cannot be decoded.
        self._last_code: int = model.config.codec_config.codebook_size - 1
        end = tokenizer.token_to_id(_END_OF_TEXT)
        if end is None:
            raise EngineFailed("tts.model_layout", f"the tokenizer does not know {_END_OF_TEXT}; copy the model's own")
        self._end_of_text: int = end
        self._step = FrameStep(model, temperature)
        # The step, or its captured graph.
        self._run_step = capture_graph(self._step.step, self._device)
        self._in_phrase = False

    @torch.inference_mode()
    def start_phrase(self, turns: Sequence[PromptTurn], seed: int) -> int:
        """Prefill `turns`, the last of which is spoken next; return the number of frames that fit into the context."""
        self._noise.manual_seed(seed)
        embedded = torch.cat([part for turn in turns for part in self._embed(turn)], dim=1)
        room = self._step.context_tokens - embedded.shape[1]
        if room < _MIN_FRAMES:
            raise EngineFailed("tts.context_full", f"voice and phrase take {embedded.shape[1]} tokens of the context")
        self._step.prefill(embedded[0])
        self._in_phrase = True
        return room

    @torch.inference_mode()
    def next_frame(self) -> Codes | None:
        """The next frame, shape [books]; None at the end of the speech."""
        if not self._in_phrase:
            raise EngineFailed("tts.engine_failed", "a frame was requested before the prompt")
        self._step.draws.exponential_(generator=self._noise)
        self._run_step()
        frame = self._step.frame.cpu()
        if bool((frame == self._model.config.codebook_eos_token_id).all()):
            return None
        return frame.clamp(max=self._last_code).numpy()

    def reset(self) -> None:
        """End the phrase."""
        self._in_phrase = False

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
