"""Writes a voice for Piper that hums: with the inputs, outputs and configuration of a real one, and no net."""

from __future__ import annotations

import json
import math
from pathlib import Path

import onnx
from onnx import TensorProto, helper

# Not that of the scripted engine.
TONE_HZ = 330.0
# How long the hum of one phoneme lasts; a length scale of 2 makes it twice as long.
SECONDS_PER_PHONEME = 0.06
# The alphabet of real voices: padding, begin and end first, then what eSpeak NG writes sounds with.
_SYMBOLS = ["_", "^", "$", " ", *map(chr, (*range(33, 36), *range(37, 94), *range(97, 123))), *"ːˈˌ̃"]
_SYMBOLS += map(chr, range(0x250, 0x2B0))


def write_voice(folder: Path, name: str, rate_hz: int, espeak_voice: str) -> None:
    """Put `name.onnx` and `name.onnx.json` into `folder`."""
    onnx.save(_model(rate_hz), folder / f"{name}.onnx")
    config = {
        "audio": {"sample_rate": rate_hz},
        "espeak": {"voice": espeak_voice},
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "num_symbols": len(_SYMBOLS),
        "num_speakers": 1,
        "phoneme_type": "espeak",
        "phoneme_id_map": {symbol: [number] for number, symbol in enumerate(_SYMBOLS)},
        "speaker_id_map": {},
    }
    (folder / f"{name}.onnx.json").write_text(json.dumps(config), "utf-8")


def _model(rate_hz: int) -> onnx.ModelProto:
    """A tone whose length follows the phonemes and the length scale."""
    integer, real = TensorProto.INT64, TensorProto.FLOAT
    constants = [
        helper.make_tensor("stretch_at", integer, (1,), [1]),
        helper.make_tensor("per_phoneme", real, (1,), [rate_hz * SECONDS_PER_PHONEME]),
        helper.make_tensor("scalar", integer, (1,), [0]),
        helper.make_tensor("first", real, (), [0.0]),
        helper.make_tensor("step", real, (), [1.0]),
        helper.make_tensor("phase_step", real, (), [2 * math.pi * TONE_HZ / rate_hz]),
        helper.make_tensor("axes", integer, (3,), [0, 1, 2]),
    ]
    steps = [
        ("Cast", ["input_lengths"], "phonemes", {"to": real}),
        ("Gather", ["scales", "stretch_at"], "stretch", {"axis": 0}),
        ("Mul", ["phonemes", "per_phoneme"], "samples", {}),
        ("Mul", ["samples", "stretch"], "stretched", {}),
        ("Squeeze", ["stretched", "scalar"], "count", {}),
        ("Range", ["first", "count", "step"], "places", {}),
        ("Mul", ["places", "phase_step"], "phases", {}),
        ("Sin", ["phases"], "tone", {}),
        ("Unsqueeze", ["tone", "axes"], "output", {}),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **more) for kind, inputs, output, more in steps],
        "hum",
        [
            helper.make_tensor_value_info("input", integer, [1, "phonemes"]),
            helper.make_tensor_value_info("input_lengths", integer, [1]),
            helper.make_tensor_value_info("scales", real, [3]),
        ],
        [helper.make_tensor_value_info("output", real, [1, 1, 1, "samples"])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
