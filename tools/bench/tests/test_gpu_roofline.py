"""The least time of a step, and the projection to another card."""

from __future__ import annotations

import pytest
from gpu.data_sheets import TARGET, data_sheet
from gpu.report import higgs_shape
from gpu.roofline import (
    BYTE,
    FirstAudio,
    cache_bytes_read,
    floor_ms,
    projected_ms,
    realtime_factor,
    step_bytes,
    weight_bytes_read,
)


def test_a_step_reads_attention_speech_feed_forward_and_head() -> None:
    layer = 2 * 3072 * 3072 + 2 * 3072 * 1024 + 3 * 3072 * 8192
    assert weight_bytes_read(higgs_shape()) == 2 * (28 * layer + 3072 * 8 * 1026)


def test_eight_bits_halve_the_layers_and_leave_the_head() -> None:
    shape = higgs_shape()
    assert weight_bytes_read(shape) - weight_bytes_read(shape, BYTE) == shape.stack.parameters


def test_every_slot_reads_its_whole_context_at_112_kib_a_token() -> None:
    shape = higgs_shape()
    assert cache_bytes_read(shape, 1, 1) == 112 * 1024
    assert step_bytes(shape, 4, 1536) == weight_bytes_read(shape) + 4 * 1536 * 112 * 1024


def test_the_floor_is_bytes_over_bandwidth() -> None:
    assert floor_ms(960_000_000, 960) == pytest.approx(1.0)


def test_a_step_for_each_of_25_frames_makes_a_second_of_speech() -> None:
    assert realtime_factor(40) == pytest.approx(1.0)


def test_a_card_of_equal_bandwidth_takes_equal_time() -> None:
    assert projected_ms(FirstAudio(80, 21, 3.0, 1.2), 1.0) == (80, 80)


def test_a_slower_card_scales_reading_at_least_and_all_at_most() -> None:
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
def test_a_device_is_found_by_its_driver_name(name: str, gb_s: float) -> None:
    found = data_sheet(name)
    assert found is not None
    assert found.gb_s == gb_s


def test_an_unknown_device_has_no_data_sheet() -> None:
    assert data_sheet("NVIDIA Something 9000") is None
    assert TARGET.gb_s == 960
