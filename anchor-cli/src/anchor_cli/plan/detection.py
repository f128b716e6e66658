"""Which GPU this machine has: asked of the GPU monitor where it runs, else of nvidia-smi."""

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

WITHIN_S = 3.0
NVIDIA_SMI = (
    "nvidia-smi",
    "--query-gpu=name,memory.total,memory.used,compute_cap",
    "--format=csv,noheader,nounits",
)
# What is taken for a card that nobody tells the compute capability of: the oldest that can work with bf16.
ASSUMED_COMPUTE = 8.0


@dataclass(frozen=True, slots=True)
class SeenCard:
    """A GPU as this machine's driver shows it."""

    title: str
    memory_mib: int
    used_mib: int
    compute: float | None = None


# Answers with the GPUs it sees; raises `AnchorError` where it cannot tell.
Witness = Callable[[], Awaitable[Sequence[SeenCard]]]


async def detect(witnesses: Sequence[Witness]) -> SeenCard:
    """The GPU with the most memory, by the first witness who sees one. Raises `NotFound` (`plan.no_gpu`)."""
    reasons: list[str] = []
    for witness in witnesses:
        try:
            seen = await witness()
        except AnchorError as error:
            reasons.append(error.message)
            continue
        if seen:
            return max(seen, key=lambda card: card.memory_mib)
        reasons.append("no GPU was listed")
    why = "; ".join(reasons)
    raise NotFound("plan.no_gpu", f"no GPU is seen here ({why}); name the card that is meant with --gpu")


def card_of(seen: SeenCard, cards: Mapping[str, Card]) -> Card:
    """The catalogue's card of that name, or a new one, with the memory that was measured."""
    for card in cards.values():
        if card.title.removeprefix("NVIDIA ") == seen.title.removeprefix("NVIDIA "):
            compute = seen.compute or card.compute
            return replace(card, memory_mib=seen.memory_mib, compute=compute, basis=Basis.MEASURED)
    compute = seen.compute or ASSUMED_COMPUTE
    return Card("detected", seen.title, seen.memory_mib, compute, basis=Basis.MEASURED)


def gpu_monitor(target: str) -> Witness:
    """The GPU monitor at `target` (`host:port`)."""

    async def ask() -> Sequence[SeenCard]:
        async with open_channel(target) as channel:
            call = gpu_pb2_grpc.GpuMonitorServiceStub(channel).Watch(gpu_pb2.WatchRequest(), timeout=WITHIN_S)
            try:
                response = await read_message(call, "gpu")
            except AnchorError as error:
                raise PeerFailed(error.code, f"no GPU monitor answers at {target}") from error
            finally:
                call.cancel()
        if response is None:
            raise PeerFailed("gpu.silent", "the GPU monitor told nothing")
        report = response.report
        if report.availability != gpu_pb2.GPU_AVAILABILITY_PRESENT:
            raise PeerFailed("gpu.absent", f"the GPU monitor says: {report.unavailable_reason or 'not read yet'}")
        return [
            SeenCard(device.name, device.memory_total_bytes // 2**20, device.memory_used_bytes // 2**20)
            for device in report.devices
        ]

    return ask


def nvidia_smi(command: Sequence[str] = NVIDIA_SMI) -> Witness:
    """The driver's own program."""

    def run() -> str:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)  # noqa: S603
        except FileNotFoundError as error:
            raise PeerFailed("plan.no_nvidia_smi", f"there is no {command[0]}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PeerFailed("plan.nvidia_smi_failed", f"{command[0]} does not answer: {error}") from error
        if done.returncode:
            said = (done.stdout or done.stderr).strip().splitlines()
            raise PeerFailed("plan.nvidia_smi_failed", f"{command[0]} says: {said[0] if said else done.returncode}")
        return done.stdout

    async def ask() -> Sequence[SeenCard]:
        return seen_in(await asyncio.to_thread(run))

    return ask


def seen_in(listing: str) -> list[SeenCard]:
    """The GPUs of nvidia-smi's listing. Raises `PeerFailed` (`plan.nvidia_smi_failed`) where it is none."""
    try:
        return [
            SeenCard(title.strip(), int(total), int(used), float(compute))
            for title, total, used, compute in csv.reader(listing.splitlines())
        ]
    except ValueError as error:
        raise PeerFailed("plan.nvidia_smi_failed", f"nvidia-smi prints something else: {listing[:80]!r}") from error
