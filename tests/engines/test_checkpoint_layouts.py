"""Checkpoints of the real sizes, by name and shape alone: every one finds its parameter, and none is left over.

Nothing of them is in memory: parameters are on torch's meta device.
"""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import voxtral_files
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.weights import weights_bytes
from higgs_weights import codec_weights
from transformers import HiggsAudioV2Config, HiggsAudioV2ForConditionalGeneration, HiggsAudioV2TokenizerConfig
from tts_service.engines.higgs.model.codec import CodecDecoder
from tts_service.engines.higgs.model.loading import CodecFiles
from vllm_server import ENVIRONMENT, PYTHON, needs_vllm
from voxtral_checkpoint import contents, parameters

REAL_LAYOUTS = {
    "voxtral-3b": (voxtral_files.voxtral_params, voxtral_files.VOXTRAL_3B, voxtral_files.CLIPS),
    "voxtral-4b-realtime": (voxtral_files.realtime_params, voxtral_files.REALTIME_4B, voxtral_files.STREAMS),
}


def planned_bytes(model: str) -> int:
    """What `anchor plan` sets aside for the weights."""
    shape = read_catalogue().models[model].shape
    assert shape is not None
    return weights_bytes(shape, "bf16")


@pytest.fixture(scope="module", params=REAL_LAYOUTS)
def layout(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Any]:
    """The name of a model, the folder of its layout, and its `params.json`."""
    params_of, sizes, audio = REAL_LAYOUTS[request.param]
    folder = tmp_path_factory.mktemp("layout") / request.param
    params = params_of(voxtral_files.REAL_VOCABULARY, sizes)
    voxtral_files.write_layout(folder, voxtral_files.tekken(audio), params)
    return request.param, folder, params


def test_a_plan_knows_how_large_voxtral_is(layout: tuple[str, Path, Any]) -> None:
    model, _, params = layout
    assert planned_bytes(model) == pytest.approx(2 * parameters(contents(params)), rel=0.001)


@needs_vllm()
def test_vllm_loads_every_tensor_of_voxtral_and_lacks_none(layout: tuple[str, Path, Any]) -> None:
    _, folder, params = layout
    names = contents(params)
    ended = subprocess.run(
        [str(PYTHON), str(Path(__file__).with_name("vllm_layout.py")), str(folder)],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        env={**os.environ, **ENVIRONMENT, "VLLM_LOGGING_LEVEL": "ERROR"},
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    answer = json.loads(ended.stdout)
    # Positions are computed, not loaded, and vLLM takes them for loaded whether the encoder has them or not.
    positions = "whisper_encoder.whisper_encoder.embed_positions.weight"
    assert set(answer["loaded"]) | {positions} == set(answer["parameters"]) | {positions}
    # So are the biases of keys, which Whisper lacks; beside both, every value comes from exactly one tensor.
    encoder = params["multimodal"]["whisper_model_args"]["encoder_args"]
    computed = encoder["n_layers"] * encoder["n_heads"] * encoder["head_dim"]
    computed += math.prod(answer["parameters"].get(positions, [0]))
    assert sum(map(math.prod, answer["parameters"].values())) == parameters(names) + computed


def higgs_contents(config: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes as they stand in higgs-audio v2's own files, with the head for text that speaking leaves out."""
    hidden, width = config.hidden_size, config.intermediate_size
    queries, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    layer: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj.weight": (queries, hidden),
        "self_attn.k_proj.weight": (keys, hidden),
        "self_attn.v_proj.weight": (keys, hidden),
        "self_attn.o_proj.weight": (hidden, queries),
    }
    for part in ("", "audio_"):
        layer |= {f"{part}mlp.{way}_proj.weight": (width, hidden) for way in ("gate", "up")}
        layer[f"{part}mlp.down_proj.weight"] = (hidden, width)
        layer |= {f"{part}{norm}_layernorm.weight": (hidden,) for norm in ("input", "post_attention")}
    codes = config.num_codebooks * config.codebook_size
    return {
        **{
            f"model.layers.{at}.{name}": shape
            for at in range(config.num_hidden_layers)
            for name, shape in layer.items()
        },
        "model.embed_tokens.weight": (config.vocab_size, hidden),
        "model.embed_audio_tokens.embed_audio_tokens.weight": (codes, hidden),
        "model.norm.weight": (hidden,),
        "audio_lm_head.weight": (codes, hidden),
        "text_lm_head.weight": (config.vocab_size, hidden),
    }


def test_every_tensor_of_higgs_finds_its_parameter() -> None:
    config = HiggsAudioV2Config(codebook_size=1026)
    with torch.device("meta"):
        model = HiggsAudioV2ForConditionalGeneration(config)
        files = {name: torch.empty(shape) for name, shape in higgs_contents(config).items()}
    lacking = model.load_state_dict(files, strict=False, assign=True)
    assert (lacking.missing_keys, lacking.unexpected_keys) == ([], ["text_lm_head.weight"])


@pytest.fixture
def codec_files() -> CodecFiles:
    """The real codec: 25 frames a second, 24 kHz."""
    ratios = [8, 5, 4, 2, 3]
    sound = {"encoder_hidden_size": 64, "decoder_hidden_size": 1024, "hidden_size": 256}
    sound |= {"model_type": "dac", "downsampling_ratios": ratios, "upsampling_ratios": ratios}
    config = HiggsAudioV2TokenizerConfig(target_bandwidths=[0.5, 1, 1.5, 2], acoustic_model_config=sound)
    with torch.device("meta"):
        return CodecFiles(config, codec_weights(config))


def test_a_plan_knows_how_large_higgs_and_what_speaks_of_its_codec_are(codec_files: CodecFiles) -> None:
    names = higgs_contents(HiggsAudioV2Config(codebook_size=1026))
    spoken = parameters(names) - parameters({"text": names["text_lm_head.weight"]})
    speaks = ("acoustic_decoder.", "quantizer.", "fc2.")
    speaking = sum(
        weight.numel()
        for name, weight in codec_files.weights.items()
        # What leads into the codebooks is for listening.
        if name.startswith(speaks) and ".project_in." not in name
    )
    shape = read_catalogue().models["higgs-v2"].shape
    assert shape is not None
    assert shape.single_precision_parameters == pytest.approx(speaking, rel=0.005)
    assert planned_bytes("higgs-v2") == pytest.approx(2 * spoken + 4 * speaking, rel=0.001)


def test_the_codecs_decoder_takes_what_the_real_file_has(codec_files: CodecFiles) -> None:
    with torch.device("meta"):
        decoder = CodecDecoder(codec_files, torch.device("meta"))
    assert (decoder.rate_hz, decoder.samples_per_frame, codec_files.config.num_quantizers) == (24_000, 960, 8)
