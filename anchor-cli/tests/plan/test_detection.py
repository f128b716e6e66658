"""Which card is there: by the GPU monitor, by nvidia-smi, or none."""

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
    raise PeerFailed("gpu.gone", "nobody answers")


class Monitor(gpu_pb2_grpc.GpuMonitorServiceServicer):
    """Tells one report and then nothing more."""

    def __init__(self, report: gpu_pb2.GpuReport) -> None:
        self._report = report

    async def Watch(self, request: Any, context: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        await context.write(gpu_pb2.WatchResponse(report=self._report))

    async def GetPlan(self, request: Any, context: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gpu_pb2.GetPlanResponse()


@asynccontextmanager
async def monitor_at(report: gpu_pb2.GpuReport) -> AsyncGenerator[str]:
    """The address of a monitor that tells `report`."""
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
    """Makes a program that prints `text` and ends with `status`, and returns how it is called."""

    def write(text: str, status: int = 0) -> list[str]:
        path = tmp_path / "smi"
        path.write_text(f"#!{sys.executable}\nprint({json.dumps(text)})\nraise SystemExit({status})\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return [str(path)]

    return write


async def test_the_card_with_the_most_memory_is_planned_for() -> None:
    small, large = DetectedCard("A", 8000, 0), DetectedCard("B", 16000, 0)
    assert await detect_card([saying(small, large)]) == large


async def test_the_next_witness_is_asked_when_the_first_cannot_tell() -> None:
    card = DetectedCard("A", 8000, 0)
    assert await detect_card([refusing, saying(), saying(card)]) == card


async def test_without_a_gpu_every_reason_is_told() -> None:
    with pytest.raises(NotFound, match=r"nobody answers; no GPU was listed.*--gpu") as raised:
        await detect_card([refusing, saying()])
    assert raised.value.code == "plan.no_gpu"


async def test_the_gpu_monitor_is_asked_over_grpc() -> None:
    device = gpu_pb2.Device(name="NVIDIA L40S", memory_total_bytes=46068 * 2**20, memory_used_bytes=3 * 2**20)
    report = gpu_pb2.GpuReport(availability=gpu_pb2.GPU_AVAILABILITY_PRESENT, devices=[device])
    async with monitor_at(report) as target:
        assert await gpu_monitor_probe(target)() == [DetectedCard("NVIDIA L40S", 46068, 3)]


async def test_a_gpu_monitor_without_a_gpu_says_why() -> None:
    report = gpu_pb2.GpuReport(availability=gpu_pb2.GPU_AVAILABILITY_ABSENT, unavailable_reason="no driver")
    async with monitor_at(report) as target:
        with pytest.raises(PeerFailed, match="no driver"):
            await gpu_monitor_probe(target)()


async def test_a_gpu_monitor_that_does_not_run_is_named(free_port: Callable[[], int]) -> None:
    with pytest.raises(PeerFailed, match="no GPU monitor responds"):
        await gpu_monitor_probe(f"127.0.0.1:{free_port()}")()


async def test_nvidia_smi_is_read(program: Callable[..., list[str]]) -> None:
    listing = "NVIDIA GeForce RTX 4090, 24564, 512, 8.9\nTesla T4, 15360, 0, 7.5"
    assert await nvidia_smi_probe(program(listing))() == [
        DetectedCard("NVIDIA GeForce RTX 4090", 24564, 512, 8.9),
        DetectedCard("Tesla T4", 15360, 0, 7.5),
    ]


async def test_what_nvidia_smi_complains_of_is_told(program: Callable[..., list[str]]) -> None:
    with pytest.raises(PeerFailed, match="couldn't communicate"):
        await nvidia_smi_probe(program("NVIDIA-SMI has failed because it couldn't communicate with the driver", 9))()


async def test_a_missing_nvidia_smi_is_told() -> None:
    with pytest.raises(PeerFailed, match="missing-nvidia-smi not found"):
        await nvidia_smi_probe(["missing-nvidia-smi"])()


async def test_a_program_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    path = tmp_path / "smi"
    path.write_text("not a program")
    with pytest.raises(PeerFailed, match="failed"):
        await nvidia_smi_probe([str(path)])()


@pytest.mark.parametrize("listing", ["hello", "A, many, 0, 8.9"])
def test_something_else_than_a_listing_is_told(listing: str) -> None:
    with pytest.raises(PeerFailed, match="unexpected nvidia-smi output"):
        parse_nvidia_smi(listing)


def test_a_card_of_the_catalogue_is_known_by_its_name_and_keeps_the_measured_memory() -> None:
    card = match_card(DetectedCard("GeForce RTX 4090", 24000, 0), CARDS)
    assert (card.name, card.memory_mib, card.compute, card.basis) == ("rtx4090", 24000, 8.9, Basis.MEASURED)


def test_another_card_is_taken_as_it_is_seen() -> None:
    card = match_card(DetectedCard("NVIDIA H200", 143771, 0, 9.0), CARDS)
    assert (card.name, card.title, card.memory_mib, card.compute) == ("detected", "NVIDIA H200", 143771, 9.0)
