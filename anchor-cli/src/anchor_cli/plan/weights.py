"""Computes the bytes of a model's weights in each precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service_kit.errors import InvalidRequest

from anchor_cli.plan.shapes import ModelShape

# GGUF block types: (values, bytes with scales) per block, from ggml's layout.
BLOCKS: Mapping[str, tuple[int, int]] = {
    "F32": (1, 4),
    "F16": (1, 2),
    "BF16": (1, 2),
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q5_1": (32, 24),
    "Q8_0": (32, 34),
    "Q2_K": (256, 84),
    "Q3_K": (256, 110),
    "Q4_K": (256, 144),
    "Q5_K": (256, 176),
    "Q6_K": (256, 210),
    "IQ4_NL": (32, 18),
    "IQ3_S": (256, 110),
    "IQ4_XS": (256, 136),
}


@dataclass(frozen=True, slots=True)
class QuantisationMixture:
    """Block type of each kind of matrix in one of llama.cpp's quantisation mixtures."""

    base: str
    # Types of value and down projections in ordinary layers, and (favoured) in those with more bits.
    value: str
    down: str
    favoured: str
    attention_output: str


def _mixture(
    base: str, value: str = "", down: str = "", favoured: str = "", attention_output: str = ""
) -> QuantisationMixture:
    return QuantisationMixture(base, value or base, down or base, favoured, attention_output or base)


# Ignores the few first layers that some mixtures favour further: below 0.5 %.
MIXTURES: Mapping[str, QuantisationMixture] = {
    "Q8_0": _mixture("Q8_0"),
    "Q6_K": _mixture("Q6_K"),
    "Q5_K_M": _mixture("Q5_K", favoured="Q6_K"),
    "Q4_K_M": _mixture("Q4_K", favoured="Q6_K"),
    "IQ4_XS": _mixture("IQ4_XS", value="Q5_K"),
    "Q3_K_M": _mixture("Q3_K", value="Q4_K", down="Q4_K", attention_output="Q4_K"),
    "Q3_K_S": _mixture("Q3_K"),
}

DENSE: Mapping[str, int] = {"bf16": 2, "f16": 2, "f32": 4}
# Decoder layers in 8 bits, with a single-precision scale per output channel. All else stays in two bytes, because
# the voice would drift otherwise.
DECODER_IN_EIGHT_BITS = {"fp8", "int8"}
# CTranslate2 converts every matrix to 8 bits.
ALL_IN_EIGHT_BITS = {"int8_float16"}
CACHE_BYTES: Mapping[str, float] = {"f16": 2, "q8_0": 34 / 32, "q4_0": 18 / 32}


def block_bytes(type_name: str, values: int) -> int:
    """Bytes of `values` values in a block type. Raises `InvalidRequest` for an unknown type."""
    if type_name not in BLOCKS:
        raise InvalidRequest("plan.unknown_precision", f"unknown block type {type_name}")
    size, bytes_each = BLOCKS[type_name]
    return -(-values // size) * bytes_each


def weights_bytes(shape: ModelShape, precision: str) -> int:
    """Bytes of all weights. Raises `InvalidRequest` (`plan.unknown_precision`)."""
    single_bytes = 4 * shape.single_precision_parameters
    parameters = shape.parameters - shape.single_precision_parameters
    if precision in DENSE:
        return parameters * DENSE[precision] + single_bytes
    if precision in DECODER_IN_EIGHT_BITS:
        scales = shape.decoder.layers * shape.decoder.layer_outputs
        return parameters * 2 - shape.decoder.parameters + 4 * scales + single_bytes
    if precision in ALL_IN_EIGHT_BITS:
        return parameters + single_bytes
    if precision in MIXTURES:
        return _mixture_bytes(shape, MIXTURES[precision]) + single_bytes
    known = ", ".join((*DENSE, *DECODER_IN_EIGHT_BITS, *ALL_IN_EIGHT_BITS, *MIXTURES))
    raise InvalidRequest("plan.unknown_precision", f"unknown precision {precision}; known: {known}")


def count_favoured_layers(layers: int) -> int:
    """Number of layers with more bits in llama.cpp: the first and last eighth, and every third in between."""
    eighth = layers // 8
    return sum(1 for layer in range(layers) if layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2)


def _mixture_bytes(shape: ModelShape, mixture: QuantisationMixture) -> int:
    stack, favoured = shape.decoder, count_favoured_layers(shape.decoder.layers) if mixture.favoured else 0
    plain = stack.layers - favoured
    kinds = (
        (stack.value_parameters, mixture.value, mixture.favoured),
        (stack.down_parameters, mixture.down, mixture.favoured),
        (stack.output_parameters, mixture.attention_output, mixture.attention_output),
    )
    total = 0
    for parameters, usual, better in kinds:
        total += block_bytes(usual, plain * parameters)
        if favoured:
            total += block_bytes(better, favoured * parameters)
    rest = stack.parameters - stack.layers * sum(parameters for parameters, _, _ in kinds)
    total += block_bytes(mixture.base, rest)
    # A tied embedding has the output matrix's type.
    output = mixture.base if mixture.base == "Q8_0" else "Q6_K"
    total += block_bytes(output, shape.embedding_parameters)
    if not shape.tied:
        total += block_bytes(mixture.base, shape.embedding_parameters)
    return total + block_bytes("F16", shape.other_parameters)
