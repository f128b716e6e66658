"""Weights computed from shapes, compared with published files."""

from __future__ import annotations

import pytest
from anchor_cli.plan.budget import GIB
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.shapes import TransformerStack
from anchor_cli.plan.weights import block_bytes, count_favoured_layers, weights_bytes
from service_kit.errors import InvalidRequest

MODELS = read_catalogue().models

# Sizes of the published GGUF files, in bytes; for other formats, parameters counted by the model's own code. The last
# column is the allowed relative error.
PUBLISHED = [
    ("mistral-small-24b", "Q8_0", 25_054_779_072, 0.002),
    ("mistral-small-24b", "Q6_K", 19_345_938_112, 0.002),
    ("mistral-small-24b", "Q5_K_M", 16_763_983_552, 0.002),
    ("mistral-small-24b", "Q4_K_M", 14_333_908_672, 0.002),
    ("mistral-small-24b", "Q3_K_M", 11_474_081_472, 0.01),
    ("mistral-nemo-12b", "Q8_0", 13_022_372_992, 0.002),
    ("mistral-nemo-12b", "Q4_K_M", 7_477_208_192, 0.002),
    ("mistral-nemo-12b", "Q3_K_M", 6_083_093_632, 0.01),
    ("llama-8b", "Q8_0", 8_540_775_840, 0.003),
    ("llama-8b", "Q4_K_M", 4_920_739_232, 0.003),
    ("llama-8b", "Q3_K_M", 4_018_922_912, 0.01),
    ("llama-3b", "Q8_0", 3_421_899_296, 0.005),
    ("llama-3b", "Q4_K_M", 2_019_377_696, 0.005),
    ("voxtral-3b", "bf16", 4_676_000_000 * 2, 0.001),
    ("voxtral-4b-realtime", "bf16", 4_430_000_000 * 2, 0.001),
    ("higgs-v2", "bf16", 5_377_000_000 * 2 + 21_600_000 * 4, 0.001),
    # Counted per tensor as the engine loads them, with scales and codec.
    ("higgs-v2", "int8", 5_913_736_192, 0.0002),
    ("whisper-turbo", "f16", 809_000_000 * 2, 0.002),
]


@pytest.mark.parametrize(("name", "precision", "published_bytes", "tolerance"), PUBLISHED)
def test_weights_match_the_published_file(name: str, precision: str, published_bytes: int, tolerance: float) -> None:
    shape = MODELS[name].shape
    assert shape is not None
    assert weights_bytes(shape, precision) == pytest.approx(published_bytes, rel=tolerance)


def test_fp8_halves_only_the_decoder() -> None:
    shape = MODELS["voxtral-3b"].shape
    assert shape is not None
    scales = 30 * (4096 + 2 * 1024 + 3072 + 2 * 8192 + 3072)
    assert weights_bytes(shape, "bf16") - weights_bytes(shape, "fp8") == shape.decoder.parameters - 4 * scales
    assert weights_bytes(shape, "fp8") / GIB == pytest.approx(5.7, abs=0.05)


def test_second_feed_forward_doubles_its_parameters() -> None:
    one = TransformerStack(layers=1, hidden=8, heads=2, kv_heads=1, head_dim=4, feed_forward=16)
    two = TransformerStack(layers=1, hidden=8, heads=2, kv_heads=1, head_dim=4, feed_forward=16, feed_forwards=2)
    assert one.parameters == 2 * (8 * 8 + 8 * 4) + 3 * 8 * 16
    assert two.parameters - one.parameters == 3 * 8 * 16


@pytest.mark.parametrize(("layers", "favoured"), [(40, 20), (32, 16), (28, 14), (1, 1)])
def test_half_of_the_layers_have_more_bits(layers: int, favoured: int) -> None:
    assert count_favoured_layers(layers) == favoured


def test_partial_block_takes_a_whole_block() -> None:
    assert (block_bytes("Q4_K", 256), block_bytes("Q4_K", 257)) == (144, 288)


def test_every_precision_of_the_catalogue_is_computable() -> None:
    for model in MODELS.values():
        for precision in model.precisions:
            assert model.shape is None or weights_bytes(model.shape, precision) > 0


def test_unknown_precision_is_rejected_with_known_ones() -> None:
    shape = MODELS["llama-3b"].shape
    assert shape is not None
    with pytest.raises(InvalidRequest, match="Q4_K_M") as raised:
        weights_bytes(shape, "Q9_Z")
    assert raised.value.code == "plan.unknown_precision"
    with pytest.raises(InvalidRequest, match="Q9_Z"):
        block_bytes("Q9_Z", 1)
