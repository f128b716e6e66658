"""Weights in eight bits, against the same in full."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import higgs_weights
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from service_kit.errors import InvalidRequest
from torch._inductor.utils import fresh_cache, run_and_get_code
from transformers import HiggsAudioV2ForConditionalGeneration
from tts_service.engines.higgs.delay import FrameAssembler
from tts_service.engines.higgs.model.codec import CodecDecoder
from tts_service.engines.higgs.model.decode_slots import DecodeSlots
from tts_service.engines.higgs.model.loading import load_codec, load_language_model, load_tokenizer
from tts_service.engines.higgs.model.piecewise_loading import load_piecewise
from tts_service.engines.higgs.model.quantised import (
    _TYPES,
    QuantisedLinear,
    _compile_fused,
    _fused_matmul,
    check_fp8,
    fp8_matmul,
    int8_matmul,
    quantise_weight,
    unpacked_matmul,
)
from tts_service.engines.higgs.model.sampling import SamplingRule
from tts_service.engines.higgs.model.step import SpeechModel
from tts_service.engines.higgs.prompt import PhrasePrompt
from tts_service.engines.higgs.windowing import FrameWindower

CPU = torch.device("cpu")
LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("higgs-quantised")
    higgs_weights.write_model(made)
    return made


@pytest.fixture
def weight() -> torch.Tensor:
    """As trained ones are: each output has its own size, and now and then a number stands out."""
    torch.manual_seed(4)
    made = torch.randn(96, 512) * torch.logspace(-3, 0, 96)[:, None]
    made[5, 7] *= 8
    return made.bfloat16()


@pytest.fixture
def rows() -> torch.Tensor:
    torch.manual_seed(5)
    return torch.randn(256, 512).bfloat16()


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The greatest error of any output, relative to how large that output usually is."""
    return ((ours.float() - theirs).norm(dim=0) / theirs.norm(dim=0)).max().item()


# A number of eight bits is off by a step's 0.29, the step being a 127th of an output's greatest; fp8 keeps four digits
# of every number, so it is off by 2.6 % however small that is, and the rows by as much again.
@pytest.mark.parametrize(
    ("kind", "product", "bound"),
    [("int8", unpacked_matmul, 0.013), ("fp8", unpacked_matmul, 0.037), ("fp8", fp8_matmul, 0.052)],
)
def test_quantised_product_is_near_the_full_one(
    weight: torch.Tensor, rows: torch.Tensor, kind: Any, product: Any, bound: float
) -> None:
    layer = QuantisedLinear(weight, kind, product)
    whole = F.linear(rows.float(), weight.float())
    assert layer(rows).dtype == torch.bfloat16
    assert relative_error(layer(rows), whole) < bound
    assert layer(rows[:0]).shape == (0, 96)


def test_quantisation_error_is_at_most_half_a_step(weight: torch.Tensor) -> None:
    eight_bits, scale = quantise_weight(weight, torch.int8)
    off = (eight_bits * scale[:, None] - weight.float()).abs()
    assert (off <= 0.501 * scale[:, None]).all()
    assert eight_bits.abs().amax(dim=1).eq(127).all()


def test_zero_output_stays_zero(rows: torch.Tensor) -> None:
    for kind in ("int8", "fp8"):
        assert (QuantisedLinear(torch.zeros(16, 512), kind, unpacked_matmul)(rows) == 0).all()


# Torch's own, inside its compiler.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_product_equals_the_plain_one(weight: torch.Tensor, rows: torch.Tensor) -> None:
    eight_bits, scale = quantise_weight(weight, torch.int8)
    rows = rows[:4]
    compiled = _compile_fused(CPU, len(rows))
    if compiled is None:
        pytest.skip("torch finds no C++ compiler")
    assert torch.allclose(compiled(rows, eight_bits, scale), _fused_matmul(rows, eight_bits, scale), rtol=0.02)
    assert (
        relative_error(_fused_matmul(rows, eight_bits, scale), F.linear(rows.float(), eight_bits * scale[:, None]))
        < 0.01
    )


# Torch's own, inside its compiler.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_product_reads_each_weight_once_for_all_rows() -> None:
    outputs, width = 192, 64
    rows, weight, scale = torch.ones(4, width), torch.ones(outputs, width, dtype=torch.int8), torch.ones(outputs)
    if _compile_fused(CPU, len(rows)) is None:
        pytest.skip("torch finds no C++ compiler")
    torch._dynamo.reset()
    with torch.inference_mode(), fresh_cache():
        _, (code, *_) = run_and_get_code(torch.compile(_fused_matmul, dynamic=False), rows, weight, scale)
    loops = [
        int(bound)
        for bound in re.findall(
            r"for\(int64_t \w+=static_cast<int64_t>\(0\w*\); \w+<static_cast<int64_t>\((\d+)L?L?\)", code
        )
    ]
    assert loops.index(outputs) < loops.index(len(rows)) < loops.index(width), code


def test_int8_uses_the_plain_product_without_a_gpu() -> None:
    assert int8_matmul(CPU, 4) is unpacked_matmul


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_captured_step_equals_the_eager_one_in_eight_bits(kind: Any, tmp_path: Path) -> None:
    device = torch.device("cuda")
    higgs_weights.write_model(tmp_path)
    lm = load_language_model(tmp_path, device, kind, 2)
    row = torch.randn(2, 32, device=device, dtype=torch.bfloat16)
    layer = lm.model.layers[0].self_attn.q_proj
    eager = layer(row)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = layer(row)
    graph.replay()
    assert torch.equal(eager, captured)


def test_only_layer_matrices_are_quantised(folder: Path) -> None:
    lm = load_language_model(folder, CPU, "int8")
    quantised_names = {name for name, module in lm.named_modules() if isinstance(module, QuantisedLinear)}
    assert {name.rpartition(".")[2] for name in quantised_names} == set(LINEARS)
    # Attention, and the two feed-forwards for text and for speech, in two layers.
    assert len(quantised_names) == 2 * (4 + 3 + 3)
    assert lm.audio_lm_head.weight.dtype == torch.float32
    assert lm.model.embed_tokens.weight.dtype == torch.float32


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_piecewise_loading_equals_quantising_the_whole_model(folder: Path, kind: Any) -> None:
    whole = HiggsAudioV2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    layer = partial(QuantisedLinear, kind=kind, matmul=unpacked_matmul)
    pieces = load_piecewise(folder, CPU, torch.float32, layer)
    for name, module in pieces.named_modules():
        if isinstance(module, QuantisedLinear):
            weight, scale = quantise_weight(whole.get_submodule(name).weight, _TYPES[kind])
            assert torch.equal(module.weight.float(), weight.float())
            assert torch.equal(module.scale, scale)
    equal_tensors(pieces, whole, _TYPES[kind])


def test_loading_equals_the_library_in_full_precision(folder: Path) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        theirs = HiggsAudioV2ForConditionalGeneration.from_pretrained(folder, dtype=dtype)
        equal_tensors(load_piecewise(folder, CPU, dtype), theirs)


def equal_tensors(ours: Any, theirs: Any, but: torch.dtype | None = None) -> None:
    """Both models have the same tensors of the same types, apart from those of type `but`."""
    expected = dict(theirs.named_buffers()) | dict(theirs.named_parameters())
    found = dict(ours.named_buffers()) | dict(ours.named_parameters())
    for name in expected.keys() & found.keys() - {name for name in found if found[name].dtype == but}:
        assert found[name].dtype == expected[name].dtype, name
        assert torch.equal(found[name], expected[name]), name
    assert {name for name in expected.keys() - found.keys() if "rotary" not in name} == set()


def test_quantised_parameter_takes_one_byte(folder: Path) -> None:
    lm = load_language_model(folder, CPU, "int8")
    layers = [module for module in lm.modules() if isinstance(module, QuantisedLinear)]
    parameters = sum(layer.weight.numel() for layer in layers)
    outputs = sum(len(layer.weight) for layer in layers)
    held = sum(tensor.nbytes for layer in layers for tensor in layer.state_dict().values())
    assert held == parameters + 4 * outputs
    config = lm.config
    attention = 2 * config.hidden_size * config.head_dim * (config.num_attention_heads + config.num_key_value_heads)
    feed_forward = 3 * config.hidden_size * config.intermediate_size
    assert parameters == config.num_hidden_layers * (attention + 2 * feed_forward)


def test_int8_speech_is_near_full_precision_speech(folder: Path) -> None:
    rows = []
    for weights in ("bf16", "int8"):
        model = SpeechModel(load_language_model(folder, CPU, weights), 1, 64, SamplingRule(temperature=0.3))
        prompt = tuple(range(3, 23))
        model.prefill(0, [prompt], 0)
        rows.append(model._values[:, 0, :, : len(prompt)].clone())
    whole, quantised_rows = rows
    assert 0 < ((whole - quantised_rows).norm() / whole.norm()).item() < 0.05


def test_streamed_int8_speech_equals_one_whole_decoding(folder: Path, tmp_path: Path) -> None:
    higgs_weights.write_codec(tmp_path)
    decoder = CodecDecoder(load_codec(tmp_path), CPU)
    lm = load_language_model(folder, CPU, "int8")
    model = SpeechModel(lm, 1, 256, SamplingRule(temperature=0.8))
    slots = DecodeSlots(model, model.step, load_tokenizer(folder))

    def frames_of(steps: int) -> list[np.ndarray]:
        slots.prefill(0, PhrasePrompt("hello there", "higgs", (None,), 7))
        assembler = FrameAssembler(model.books)
        rows = (slots.step(frozenset({0}))[0] for _ in range(steps))
        return [frame for row in rows if (frame := assembler.push_row(row)) is not None]

    one_piece, streamed, emission = frames_of(67), [], FrameWindower()
    for frame in frames_of(67):
        if (window := emission.push_frame(frame)) is not None:
            streamed.append((window, decoder.decode_window(window)))  # noqa: PERF401
    last = emission.flush()
    assert last is not None
    streamed.append((last, decoder.decode_window(last)))
    codes = np.concatenate([window.frames[window.skip : window.skip + window.keep] for window, _ in streamed])
    assert np.array_equal(codes, np.stack(one_piece))
    sound = np.concatenate([samples for _, samples in streamed])
    assert np.allclose(sound, decoder.decode_frames(np.stack(one_piece)).numpy(), atol=1e-4)


@pytest.mark.parametrize("capability", [None, (8, 6)])
def test_fp8_is_refused_without_hardware_support(capability: tuple[int, int] | None) -> None:
    with pytest.raises(InvalidRequest, match="TTS_HIGGS_WEIGHTS=int8") as raised:
        check_fp8(capability)
    assert raised.value.code == "tts.weights_unsupported"


@pytest.mark.parametrize("capability", [(8, 9), (9, 0), (12, 0)])
def test_fp8_is_accepted_from_ada_on(capability: tuple[int, int]) -> None:
    check_fp8(capability)


def test_unsupported_fp8_is_refused_before_loading(folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="the device is not a GPU"):
        load_language_model(folder, CPU, "fp8")
