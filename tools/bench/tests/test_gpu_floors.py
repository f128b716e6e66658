"""What no step can be faster than, and what another card would make of a measurement."""

from __future__ import annotations

import pytest
from gpu.cards import TARGET, data_sheet
from gpu.floors import (
    BYTE,
    FirstAudio,
    cache_read,
    floor_ms,
    projected_ms,
    realtime_factor,
    step_bytes,
    weights_read,
)
from gpu.report import higgs_shape


def test_a_step_reads_attention_the_feed_forward_of_speech_and_the_head() -> None:
    layer = 2 * 3072 * 3072 + 2 * 3072 * 1024 + 3 * 3072 * 8192
    assert weights_read(higgs_shape()) == 2 * (28 * layer + 3072 * 8 * 1026)


def test_eight_bits_halve_the_layers_and_leave_the_head() -> None:
    shape = higgs_shape()
    assert weights_read(shape) - weights_read(shape, BYTE) == shape.stack.parameters


def test_every_slot_reads_its_whole_context_of_112_kib_a_token() -> None:
    shape = higgs_shape()
    assert cache_read(shape, 1, 1) == 112 * 1024
    assert step_bytes(shape, 4, 1536) == weights_read(shape) + 4 * 1536 * 112 * 1024


def test_reading_takes_as_long_as_the_bandwidth_says() -> None:
    assert floor_ms(960_000_000, 960) == pytest.approx(1.0)


def test_a_step_for_each_of_25_frames_makes_a_second_of_speech() -> None:
    assert realtime_factor(40) == pytest.approx(1.0)


def test_a_card_that_is_as_fast_takes_as_long() -> None:
    assert projected_ms(FirstAudio(80, 21, 3.0, 1.2), 1.0) == (80, 80)


def test_on_a_slower_card_reading_grows_for_certain_and_the_rest_perhaps() -> None:
    first = FirstAudio(total_ms=80, steps=20, step_ms=3.0, step_floor_ms=1.0)
    assert first.rest_ms == pytest.approx(20)
    # Twenty steps, each longer by four times its floor; or everything five times as long.
    assert projected_ms(first, 5.0) == (pytest.approx(160), pytest.approx(400))


@pytest.mark.parametrize(
    ("name", "gb_s"),
    [
        ("NVIDIA H200", 4800),
        ("NVIDIA H100 80GB HBM3", 3352),
        ("NVIDIA H100 PCIe", 2039),
        ("NVIDIA H100 NVL", 3938),
        ("NVIDIA A100-SXM4-80GB", 2039),
        ("NVIDIA A100 80GB PCIe", 1935),
        ("NVIDIA A100-PCIE-40GB", 1555),
        ("NVIDIA RTX 6000 Ada Generation", 960),
        ("NVIDIA RTX A6000", 768),
        ("NVIDIA L40S", 864),
        ("NVIDIA L4", 300),
        ("NVIDIA GeForce RTX 4090", 1008),
        ("Tesla T4", 320),
    ],
)
def test_a_device_is_known_by_the_name_its_driver_gives_it(name: str, gb_s: float) -> None:
    found = data_sheet(name)
    assert found is not None
    assert found.gb_s == gb_s


def test_another_device_has_no_data_sheet() -> None:
    assert data_sheet("NVIDIA Something 9000") is None
    assert TARGET.gb_s == 960
