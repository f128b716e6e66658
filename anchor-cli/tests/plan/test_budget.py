"""Estimates of cache and weights, and supported precisions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from anchor_cli.plan.budget import GIB, Basis, Card, Figure, ModelChoice, cache_bytes, estimate_memory
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.ladder import Planner

CATALOGUE = read_catalogue()
KIB = 1024


def card(gib: float, compute: float = 8.9) -> Card:
    return Card("card", "A card", int(gib * 1024), compute)


@pytest.mark.parametrize(
    ("name", "cache", "bytes_per_token"),
    [
        # Layers x (keys and values) x heads x values per head x bytes per value.
        ("mistral-small-24b", "f16", 40 * 2 * 8 * 128 * 2),
        ("mistral-small-24b", "q8_0", 85 * KIB),
        ("voxtral-3b", "f16", 120 * KIB),
        ("voxtral-4b-realtime", "f16", 104 * KIB),
        ("higgs-v2", "f16", 112 * KIB),
        ("llama-8b", "f16", 128 * KIB),
    ],
)
def test_cache_per_token_matches_the_formula(name: str, cache: str, bytes_per_token: int) -> None:
    shape = CATALOGUE.model(name).shape
    assert shape is not None
    one, two = (cache_bytes(shape, ModelChoice(name, "", 1, tokens, cache)) for tokens in (1000, 2000))
    assert two - one == 1000 * bytes_per_token


def test_each_slot_has_its_own_context() -> None:
    shape = CATALOGUE.model("mistral-small-24b").shape
    assert shape is not None
    assert cache_bytes(shape, ModelChoice("", "", 2, 16384)) == 5 * GIB


def test_cloned_voices_are_cached_beside_the_slots() -> None:
    shape = CATALOGUE.model("higgs-v2").shape
    assert shape is not None
    assert cache_bytes(shape, ModelChoice("", "", 0, 1536)) == 16 * 450 * 112 * KIB


def test_streaming_encoder_caches_its_window_per_stream() -> None:
    shape = CATALOGUE.model("voxtral-4b-realtime").shape
    assert shape is not None
    assert cache_bytes(shape, ModelChoice("", "", 1, 0)) == 750 * 256 * KIB


def test_cpu_model_takes_no_gpu_memory() -> None:
    choice = ModelChoice("pocket-tts", "f32", 2, 0)
    memory = estimate_memory("tts", choice, CATALOGUE.model("pocket-tts"), CATALOGUE.runtimes)
    assert memory.total_bytes == 0


def test_figures_state_their_basis(planner: Planner) -> None:
    stt = planner.plan(CATALOGUE.card("rtx6000-ada")).service("stt")
    assert [figure.basis for figure in stt.figures] == [Basis.COMPUTED, Basis.COMPUTED, Basis.ASSUMED, Basis.ASSUMED]


def test_file_size_precedes_the_computed_size() -> None:
    model = replace(CATALOGUE.model("llama-3b"), file_weights_bytes=123)
    memory = estimate_memory("llm", ModelChoice("llama-3b", "as the file", 1, 512), model, CATALOGUE.runtimes)
    assert memory.weights == Figure(123, Basis.READ)


@pytest.mark.parametrize(
    ("runtime", "weights", "compute", "works"),
    [
        ("torch", "bf16", 7.5, False),
        ("torch", "int8", 8.0, True),
        ("torch", "fp8", 8.6, False),
        ("torch", "fp8", 8.9, True),
        # vLLM unpacks fp8 weights on cards without fp8 arithmetic.
        ("vllm", "fp8", 8.6, True),
        ("vllm", "fp8", 7.5, False),
        ("ctranslate2", "int8_float16", 7.5, True),
        ("cpu", "f32", 5.0, True),
    ],
)
def test_supported_precision_depends_on_card_and_runtime(
    runtime: str, weights: str, compute: float, works: bool
) -> None:
    assert card(48, compute).supports(weights, CATALOGUE.runtimes[runtime]) is works
