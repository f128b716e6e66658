"""Detection of the GPU, by the GPU monitor and by nvidia-smi."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from anchor.gpu.v1 import gpu_pb2, gpu_pb2_grpc
from anchor_cli.plan.budget import Basis
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.detection import (
    DetectedCard,
    GpuProbe,
    detect_card,
    gpu_monitor_probe,
    match_card,
    nvidia_smi_probe,
    parse_nvidia_smi,
)
from grpc import aio
from service_kit.errors import NotFound, PeerFailed

CARDS = read_catalogue().cards


def saying(*cards: DetectedCard) -> GpuProbe:
    async def answer() -> Sequence[DetectedCard]:
        return cards

    return answer


async def refusing() -> Sequence[DetectedCard]:
    raise PeerFailed("gpu.gone", "not reachable")


class Monitor(gpu_pb2_grpc.GpuMonitorServiceServicer):
    """Sends one report."""

    def __init__(self, report: gpu_pb2.GpuReport) -> None:
        self._report = report

    async def Watch(self, request: Any, context: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        await context.write(gpu_pb2.WatchResponse(report=self._report))

    async def GetPlan(self, request: Any, context: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gpu_pb2.GetPlanResponse()


@asynccontextmanager
async def monitor_at(report: gpu_pb2.GpuReport) -> AsyncGenerator[str]:
    """The address of a monitor that sends `report`."""
    server = aio.server()
    gpu_pb2_grpc.add_GpuMonitorServiceServicer_to_server(Monitor(report), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., list[str]]:
    """Creates a program that prints `text` and exits with `status`; returns its command."""

    def write(text: str, status: int = 0) -> list[str]:
        path = tmp_path / "smi"
        path.write_text(f"#!{sys.executable}\nprint({json.dumps(text)})\nraise SystemExit({status})\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return [str(path)]

    return write


async def test_card_with_the_most_memory_is_selected() -> None:
    small, large = DetectedCard("A", 8000, 0), DetectedCard("B", 16000, 0)
    assert await detect_card([saying(small, large)]) == large


async def test_next_probe_runs_when_one_fails() -> None:
    card = DetectedCard("A", 8000, 0)
    assert await detect_card([refusing, saying(), saying(card)]) == card


async def test_missing_gpu_error_lists_every_reason() -> None:
    with pytest.raises(NotFound, match=r"not reachable; no GPU was listed.*--gpu") as raised:
        await detect_card([refusing, saying()])
    assert raised.value.code == "plan.no_gpu"


async def test_gpu_monitor_is_queried_over_grpc() -> None:
    device = gpu_pb2.Device(name="NVIDIA L40S", memory_total_bytes=46068 * 2**20, memory_used_bytes=3 * 2**20)
    report = gpu_pb2.GpuReport(availability=gpu_pb2.GPU_AVAILABILITY_PRESENT, devices=[device])
    async with monitor_at(report) as target:
        assert await gpu_monitor_probe(target)() == [DetectedCard("NVIDIA L40S", 46068, 3)]


async def test_gpu_monitor_without_gpu_states_the_reason() -> None:
    report = gpu_pb2.GpuReport(availability=gpu_pb2.GPU_AVAILABILITY_ABSENT, unavailable_reason="no driver")
    async with monitor_at(report) as target:
        with pytest.raises(PeerFailed, match="no driver"):
            await gpu_monitor_probe(target)()


async def test_unreachable_gpu_monitor_is_named(free_port: Callable[[], int]) -> None:
    with pytest.raises(PeerFailed, match="no GPU monitor responds"):
        await gpu_monitor_probe(f"127.0.0.1:{free_port()}")()


async def test_nvidia_smi_output_is_parsed(program: Callable[..., list[str]]) -> None:
    listing = "NVIDIA GeForce RTX 4090, 24564, 512, 8.9\nTesla T4, 15360, 0, 7.5"
    assert await nvidia_smi_probe(program(listing))() == [
        DetectedCard("NVIDIA GeForce RTX 4090", 24564, 512, 8.9),
        DetectedCard("Tesla T4", 15360, 0, 7.5),
    ]


async def test_nvidia_smi_failure_is_reported(program: Callable[..., list[str]]) -> None:
    with pytest.raises(PeerFailed, match="couldn't communicate"):
        await nvidia_smi_probe(program("NVIDIA-SMI has failed because it couldn't communicate with the driver", 9))()


async def test_missing_nvidia_smi_is_reported() -> None:
    with pytest.raises(PeerFailed, match="missing-nvidia-smi not found"):
        await nvidia_smi_probe(["missing-nvidia-smi"])()


async def test_program_that_cannot_start_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "smi"
    path.write_text("not a program")
    with pytest.raises(PeerFailed, match="failed"):
        await nvidia_smi_probe([str(path)])()


@pytest.mark.parametrize("listing", ["hello", "A, many, 0, 8.9"])
def test_invalid_nvidia_smi_output_is_reported(listing: str) -> None:
    with pytest.raises(PeerFailed, match="unexpected nvidia-smi output"):
        parse_nvidia_smi(listing)


def test_known_card_is_matched_by_name_with_measured_memory() -> None:
    card = match_card(DetectedCard("GeForce RTX 4090", 24000, 0), CARDS)
    assert (card.name, card.memory_mib, card.compute, card.basis) == ("rtx4090", 24000, 8.9, Basis.MEASURED)


def test_unknown_card_is_used_as_detected() -> None:
    card = match_card(DetectedCard("NVIDIA H200", 143771, 0, 9.0), CARDS)
    assert (card.name, card.title, card.memory_mib, card.compute) == ("detected", "NVIDIA H200", 143771, 9.0)
