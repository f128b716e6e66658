"""One reading of all GPUs with its findings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from gpu_monitor.engine import Device
from gpu_monitor.findings.findings import NO_FINDINGS, Findings


class GpuAvailability(IntEnum):
    """Whether GPUs can be read; numbers of `anchor.gpu.v1`."""

    PRESENT = 1
    # This machine has no GPU, or no driver for it.
    ABSENT = 2
    # There was a GPU, but the driver now fails.
    LOST = 3


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading and its findings. Immutable, so all watchers share it."""

    availability: GpuAvailability
    # Why there are no devices; empty when there are.
    reason: str
    read_at_unix_ms: int
    devices: tuple[Device, ...] = ()
    memory_budget_bytes: int | None = None
    findings: Findings = NO_FINDINGS
