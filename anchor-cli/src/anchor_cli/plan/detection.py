"""Detects this machine's GPU, by the GPU monitor when it runs, else by nvidia-smi."""

from __future__ import annotations

import asyncio
import csv
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from anchor.gpu.v1 import gpu_pb2, gpu_pb2_grpc
from service_kit.errors import AnchorError, NotFound, PeerFailed
from service_kit.rpc.channel import open_channel, read_message

from anchor_cli.plan.budget import Basis, Card

PROBE_TIMEOUT_S = 3.0
NVIDIA_SMI = (
    "nvidia-smi",
    "--query-gpu=name,memory.total,memory.used,compute_cap",
    "--format=csv,noheader,nounits",
)
# Compute capability of a card that reports none: the lowest that supports bf16.
ASSUMED_COMPUTE = 8.0


@dataclass(frozen=True, slots=True)
class DetectedCard:
    """A GPU as reported by this machine's driver."""

    title: str
    memory_mib: int
    used_mib: int
    compute: float | None = None


# Returns the GPUs it finds; raises `AnchorError` when it cannot query them.
GpuProbe = Callable[[], Awaitable[Sequence[DetectedCard]]]


async def detect_card(probes: Sequence[GpuProbe]) -> DetectedCard:
    """The GPU with the most memory, from the first probe that finds one. Raises `NotFound` (`plan.no_gpu`)."""
    reasons: list[str] = []
    for probe in probes:
        try:
            found = await probe()
        except AnchorError as error:
            reasons.append(error.message)
            continue
        if found:
            return max(found, key=lambda card: card.memory_mib)
        reasons.append("no GPU was listed")
    details = "; ".join(reasons)
    raise NotFound("plan.no_gpu", f"no GPU found ({details}); name a card with --gpu")


def match_card(detected: DetectedCard, cards: Mapping[str, Card]) -> Card:
    """The catalogue's card of the same name, or a new one, with the measured memory."""
    for card in cards.values():
        if card.title.removeprefix("NVIDIA ") == detected.title.removeprefix("NVIDIA "):
            compute = detected.compute or card.compute
            return replace(card, memory_mib=detected.memory_mib, compute=compute, basis=Basis.MEASURED)
    compute = detected.compute or ASSUMED_COMPUTE
    return Card("detected", detected.title, detected.memory_mib, compute, basis=Basis.MEASURED)


def gpu_monitor_probe(target: str) -> GpuProbe:
    """Probe that queries the GPU monitor at `target` (`host:port`)."""

    async def query() -> Sequence[DetectedCard]:
        async with open_channel(target) as channel:
            call = gpu_pb2_grpc.GpuMonitorServiceStub(channel).Watch(gpu_pb2.WatchRequest(), timeout=PROBE_TIMEOUT_S)
            try:
                response = await read_message(call, "gpu")
            except AnchorError as error:
                raise PeerFailed(error.code, f"no GPU monitor responds at {target}") from error
            finally:
                call.cancel()
        if response is None:
            raise PeerFailed("gpu.silent", "the GPU monitor sent no report")
        report = response.report
        if report.availability != gpu_pb2.GPU_AVAILABILITY_PRESENT:
            raise PeerFailed("gpu.absent", f"the GPU monitor reports: {report.unavailable_reason or 'no reading yet'}")
        return [
            DetectedCard(device.name, device.memory_total_bytes // 2**20, device.memory_used_bytes // 2**20)
            for device in report.devices
        ]

    return query


def nvidia_smi_probe(command: Sequence[str] = NVIDIA_SMI) -> GpuProbe:
    """Probe that runs nvidia-smi."""

    def run() -> str:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False)  # noqa: S603
        except FileNotFoundError as error:
            raise PeerFailed("plan.no_nvidia_smi", f"{command[0]} not found") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PeerFailed("plan.nvidia_smi_failed", f"{command[0]} failed: {error}") from error
        if done.returncode:
            output = (done.stdout or done.stderr).strip().splitlines()
            reason = output[0] if output else f"exit status {done.returncode}"
            raise PeerFailed("plan.nvidia_smi_failed", f"{command[0]} failed: {reason}")
        return done.stdout

    async def query() -> Sequence[DetectedCard]:
        return parse_nvidia_smi(await asyncio.to_thread(run))

    return query


def parse_nvidia_smi(listing: str) -> list[DetectedCard]:
    """Parse nvidia-smi's CSV output. Raises `PeerFailed` (`plan.nvidia_smi_failed`) when it is invalid."""
    try:
        return [
            DetectedCard(title.strip(), int(total), int(used), float(compute))
            for title, total, used, compute in csv.reader(listing.splitlines())
        ]
    except ValueError as error:
        raise PeerFailed("plan.nvidia_smi_failed", f"unexpected nvidia-smi output: {listing[:80]!r}") from error
