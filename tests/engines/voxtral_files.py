"""The folders of tiny Voxtrals, laid out as their authors lay out the real ones, with random weights."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxtral_checkpoint import write_weights

SAMPLE_RATE_HZ = 16_000
# Audio tokens a second; each stands for 80 ms.
FRAME_RATE = 12.5
# In the order of the real tokenizer, up to the one that begins a transcript.
SIGNS = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]"),
    *("[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]"),
    *("[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]", "[ARGS]", "[CALL_ID]", "[THINK]"),
    *("[/THINK]", "[AUDIO]", "[BEGIN_AUDIO]", "<SPECIAL_26>", "<SPECIAL_27>", "<SPECIAL_28>", "<SPECIAL_29>"),
    *("<SPECIAL_30>", "<SPECIAL_31>", "[STREAMING_PAD]", "[STREAMING_WORD]", "[TRANSCRIBE]"),
)
SIGNS_IN_ALL = 40
WORDS = [first + second for first in "abcdefghijklmnoprstuvwz" for second in "aeiou"]
SPECTROGRAM = {"num_mel_bins": 128, "hop_length": 160, "window_size": 400}


# How a tokenizer takes sound: whole clips padded to 30 s, or a stream that is written down 480 ms later.
CLIPS = {"chunk_length_s": 30}
STREAMS = {
    "transcription_format": "streaming",
    "transcription_delay_ms": 480,
    "streaming_look_ahead_ms": 2.5,
    "streaming_look_back_ms": 52.5,
    "streaming_n_left_pad_tokens": 32,
}


def tekken(audio: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer of every byte and a hundred short words."""
    pieces = [bytes([value]) for value in range(256)] + [f" {word}".encode() for word in WORDS]
    # A piece is put together from two that stand before it.
    pieces[256:256] = [f" {letter}".encode() for letter in "abcdefghijklmnoprstuvwz"]
    return {
        "config": {
            "pattern": r"[^\s]+|\s+",
            "num_vocab_tokens": len(pieces),
            "default_vocab_size": len(pieces) + SIGNS_IN_ALL,
            "default_num_special_tokens": SIGNS_IN_ALL,
            "version": "v7",
        },
        "vocab": [
            {"rank": rank, "token_bytes": base64.b64encode(piece).decode(), "token_str": None}
            for rank, piece in enumerate(pieces)
        ],
        "special_tokens": [{"rank": rank, "token_str": sign, "is_control": True} for rank, sign in enumerate(SIGNS)],
        "audio": {
            "sampling_rate": SAMPLE_RATE_HZ,
            "frame_rate": FRAME_RATE,
            "audio_encoding_config": SPECTROGRAM,
            **audio,
        },
    }


def words_of(tokenizer: Mapping[str, Any]) -> slice:
    """The tokens that are words."""
    vocabulary = tokenizer["config"]["default_vocab_size"]
    return slice(vocabulary - len(WORDS), vocabulary)


# The shapes that were published; both write 131 072 tokens.
VOXTRAL_3B = {
    "decoder": {"dim": 3072, "n_layers": 30, "head_dim": 128, "hidden_dim": 8192, "n_heads": 32, "n_kv_heads": 8},
    "encoder": {"dim": 1280, "n_layers": 32, "head_dim": 64, "hidden_dim": 5120, "n_heads": 20, "n_kv_heads": 20},
}
REALTIME_4B = {
    "decoder": {"dim": 3072, "n_layers": 26, "head_dim": 128, "hidden_dim": 9216, "n_heads": 32, "n_kv_heads": 8},
    "encoder": {"dim": 1280, "n_layers": 32, "head_dim": 64, "hidden_dim": 5120, "n_heads": 32, "n_kv_heads": 32},
}
TINY = {
    "decoder": {"dim": 64, "n_layers": 2, "head_dim": 32, "hidden_dim": 128, "n_heads": 2, "n_kv_heads": 1},
    "encoder": {"dim": 64, "n_layers": 1, "head_dim": 32, "hidden_dim": 256, "n_heads": 2, "n_kv_heads": 2},
}
REAL_VOCABULARY = 131_072


def voxtral_params(vocabulary: int, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """`params.json` of a Voxtral that hears clips of 30 s, as Voxtral Mini 3B does."""
    return _params(vocabulary, sizes, {"max_source_positions": 1500}, {"tied_embeddings": False})


def realtime_params(vocabulary: int, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """`params.json` of a Voxtral that hears while somebody speaks, as Voxtral Mini 4B Realtime does."""
    encoder = {"causal": True, "pos_embed": "rope", "sliding_window": 750, "max_source_positions": None}
    decoder = {"tied_embeddings": True, "ada_rms_norm_t_cond": True, "ada_rms_norm_t_cond_dim": 32}
    return _params(vocabulary, sizes, encoder, {**decoder, "sliding_window": 8192})


def _params(vocabulary: int, sizes: Mapping[str, Any], encoder: Any, decoder: Any) -> dict[str, Any]:
    sound = {"sampling_rate": SAMPLE_RATE_HZ, "frame_rate": FRAME_RATE, **SPECTROGRAM}
    heard = {"audio_encoding_args": sound, "vocab_size": vocabulary, "use_biases": True, **sizes["encoder"], **encoder}
    return {
        "vocab_size": vocabulary,
        "max_position_embeddings": 32_768,
        "rope_theta": 1e8,
        "norm_eps": 1e-5,
        **sizes["decoder"],
        **decoder,
        "multimodal": {"whisper_model_args": {"encoder_args": heard, "downsample_args": {"downsample_factor": 4}}},
    }


def write_layout(folder: Path, tokenizer: dict[str, Any], params: dict[str, Any]) -> None:
    """The two files by which a folder is taken for a model."""
    folder.mkdir()
    (folder / "tekken.json").write_text(json.dumps(tokenizer))
    (folder / "params.json").write_text(json.dumps(params))


def write_voxtral(folder: Path) -> None:
    """A tiny Voxtral, whole."""
    tokenizer = tekken(CLIPS)
    params = voxtral_params(tokenizer["config"]["default_vocab_size"], TINY)
    write_layout(folder, tokenizer, params)
    write_weights(folder, params, words_of(tokenizer))


def write_realtime(folder: Path) -> None:
    """A tiny Voxtral Realtime, whole."""
    tokenizer = tekken(STREAMS)
    params = realtime_params(tokenizer["config"]["default_vocab_size"], TINY)
    write_layout(folder, tokenizer, params)
    write_weights(folder, params, words_of(tokenizer))
