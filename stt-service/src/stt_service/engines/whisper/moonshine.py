"""Moonshine on ONNX Runtime: fast English transcripts of short clips, for partials; blocking.

The model takes samples, not features, and its work grows with the clip (Jeffries et al. 2024). It has no no-speech
probability, and writes sentences for noise: callers pass speech only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from service_kit.audio import MICROPHONE
from service_kit.engines.isolation import import_onnxruntime

from stt_service.engines.whisper.features import Floats
from stt_service.retranscribing.recogniser import ClipTranscript

LANGUAGE = "en"
ENCODER, DECODER, TOKENS = "encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"
# The encoder's first convolutions need 0.1 s.
_MIN_SAMPLES = MICROPHONE.rate_hz // 10
_START, _END = 1, 2
# The authors' limit, which ends most of the model's loops.
_TOKENS_PER_S = 6.5
_MORE_TOKENS = 4
# The tokenizer marks a space with this letter.
_SPACE = "\u2581"


class MoonshineModel:
    """A loaded model, for one clip at a time."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """Load the model. Raises ONNX Runtime's exceptions, `OSError` or `ValueError` for missing or damaged files."""
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads that spin would take a core from the finals.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self._encoder: Any = onnxruntime.InferenceSession(folder / ENCODER, options, providers)
        self._decoder: Any = onnxruntime.InferenceSession(folder / DECODER, options, providers)
        self._outputs = [output.name for output in self._decoder.get_outputs()][1:]
        self._states = {item.name: item.shape for item in self._decoder.get_inputs() if item.name.startswith("past")}
        self._tokens = read_tokens((folder / TOKENS).read_bytes())

    def transcribe(self, samples: Floats, is_cancelled: Callable[[], bool]) -> ClipTranscript:
        """Transcribe `samples`, 16 kHz; the text so far once cancelled."""
        limit = int(samples.size / MICROPHONE.rate_hz * _TOKENS_PER_S) + _MORE_TOKENS
        tokens, logprob = self._decode(*self._encode(samples), limit, is_cancelled, end=_END)
        text = b"".join(self._tokens[token] for token in tokens).decode("utf-8", "replace")
        return ClipTranscript(" ".join(text.replace(_SPACE, " ").split()), LANGUAGE, math.exp(logprob))

    def decode_tokens(self, samples: Floats, tokens: int) -> None:
        """Do the work of a clip whose text has `tokens` tokens, whatever is in it: for measuring speed."""
        self._decode(*self._encode(samples), tokens, lambda: False, end=None)

    def _encode(self, samples: Floats) -> tuple[Any, Any]:
        audio = np.pad(samples, (0, max(_MIN_SAMPLES - len(samples), 0)))[None]
        mask = np.ones(audio.shape, np.int64)
        (encoded,) = self._encoder.run(None, {"input_values": audio, "attention_mask": mask})
        return encoded, mask

    def _decode(
        self, encoded: Any, mask: Any, limit: int, is_cancelled: Callable[[], bool], end: int | None
    ) -> tuple[list[int], float]:
        """Return the most probable tokens, one after another, and their mean log-probability with that of the end."""
        states: dict[str, Any] = {
            name: np.zeros((1, shape[1], 0, shape[3]), np.float32) for name, shape in self._states.items()
        }
        tokens: list[int] = []
        logprobs: list[float] = []
        token = _START
        while len(tokens) < limit and not is_cancelled():
            inputs = {
                "input_ids": np.array([[token]], np.int64),
                "encoder_hidden_states": encoded,
                "encoder_attention_mask": mask,
                "use_cache_branch": np.array([bool(tokens)]),
            }
            logits, *present = self._decoder.run(None, inputs | states)
            token = int(logits[0, -1].argmax())
            logprobs.append(_log_softmax(logits[0, -1], token))
            if token == end:
                break
            for name, state in zip(self._outputs, present, strict=True):
                # The states of the encoder are complete after the first step; later ones are empty.
                if not tokens or ".decoder." in name:
                    states[name.replace("present", "past_key_values")] = state
            tokens.append(token)
        return tokens, sum(logprobs) / max(len(logprobs), 1)


def _log_softmax(logits: Floats, token: int) -> float:
    """Return the log-probability of a token."""
    above = logits - logits[token]
    largest = float(above.max())
    return -largest - math.log(float(np.exp(above - largest).sum()))


def read_tokens(content: bytes) -> list[bytes]:
    """Return the tokens of `tokenizer.bin`: each is its length and its bytes; 0 is an empty token.

    A length from 128 on takes two bytes: `low + 128 * high - 128`. Raises `ValueError` for an incomplete file.
    """
    tokens: list[bytes] = []
    at = 0
    while at < len(content):
        length = content[at]
        at += 1
        if length >= 128:
            if at == len(content):
                raise ValueError(f"{TOKENS} ends within a length")
            length += 128 * content[at] - 128
            at += 1
        if at + length > len(content):
            raise ValueError(f"{TOKENS} ends within a token")
        tokens.append(content[at : at + length])
        at += length
    return tokens
