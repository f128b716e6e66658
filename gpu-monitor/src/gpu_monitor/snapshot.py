"""What is known of all GPUs at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from gpu_monitor.engine import Device
from gpu_monitor.findings.findings import NOTHING_FOUND, Findings


class Availability(IntEnum):
    """Whether GPUs can be watched."""

    PRESENT = 1
    # This machine has no GPU, or no driver for it.
    ABSENT = 2
    # There was a GPU, but the driver now fails.
    LOST = 3


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading and what follows from it; never changed, so it may be shared by all who watch."""

    availability: Availability
    # Why there are no devices, in plain words; empty when there are.
    reason: str
    read_at_unix_ms: int
    devices: tuple[Device, ...] = ()
    memory_budget_bytes: int | None = None
    findings: Findings = NOTHING_FOUND
