"""Metrics of the GPU monitor. Labels are bounded: device indices, and a few processes by name."""

from __future__ import annotations

from collections import Counter as Tally

from prometheus_client import Counter, Gauge, Histogram

from gpu_monitor.engine import Device
from gpu_monitor.snapshot import Availability, Snapshot

# Series per device; what is smaller goes together under the name `other`.
MAX_PROCESSES = 16

READ_SECONDS = Histogram(
    "anchor_gpu_read_seconds", "Time one reading of the driver took.", buckets=(0.002, 0.01, 0.05, 0.2, 1, 5)
)
READ_FAILURES = Counter("anchor_gpu_read_failures_total", "Readings that a driver failed that had worked before.")
AVAILABLE = Gauge("anchor_gpu_available", "Whether GPUs can be read (1) or not (0).")
MEMORY_TOTAL = Gauge("anchor_gpu_memory_total_bytes", "Memory of the device.", ["device"])
MEMORY_USED = Gauge("anchor_gpu_memory_used_bytes", "Memory in use on the device.", ["device"])
MEMORY_BUDGET = Gauge("anchor_gpu_memory_budget_bytes", "Memory kept for the services.", ["device"])
UTILISATION = Gauge("anchor_gpu_utilisation_ratio", "Share of time in which a kernel ran, 0 to 1.", ["device"])
TEMPERATURE = Gauge("anchor_gpu_temperature_celsius", "Temperature of the device.", ["device"])
POWER = Gauge("anchor_gpu_power_watts", "Power draw of the device.", ["device"])
PRESSURE = Gauge("anchor_gpu_pressure_level", "0 not known, 1 none, 2 high, 3 critical.", ["device"])
PROCESS_MEMORY = Gauge(
    "anchor_gpu_process_memory_bytes", "Memory held by processes of one name.", ["device", "process", "service"]
)
_PER_DEVICE = (MEMORY_TOTAL, MEMORY_USED, MEMORY_BUDGET, UTILISATION, TEMPERATURE, POWER, PRESSURE, PROCESS_MEMORY)


def show(snapshot: Snapshot) -> None:
    """Let the gauges say what `snapshot` says, and nothing of devices and processes that are gone."""
    for gauge in _PER_DEVICE:
        gauge.clear()
    AVAILABLE.set(snapshot.availability is Availability.PRESENT)
    for device in snapshot.devices:
        label = str(device.index)
        _show(MEMORY_TOTAL, label, device.memory_total_bytes)
        _show(MEMORY_USED, label, device.memory_used_bytes)
        _show(MEMORY_BUDGET, label, snapshot.memory_budget_bytes)
        _show(UTILISATION, label, device.utilisation)
        _show(TEMPERATURE, label, device.temperature_celsius)
        _show(POWER, label, device.power_watts)
        _show(PRESSURE, label, snapshot.pressures[device.index].level)
        for (process, service), used_bytes in largest(device):
            PROCESS_MEMORY.labels(label, process, service).set(used_bytes)


def largest(device: Device) -> list[tuple[tuple[str, str], int]]:
    """Bytes by process name and service, the largest holders by themselves."""
    held: Tally[tuple[str, str]] = Tally()
    for process in device.processes:
        held[process.name or "unknown", process.service] += process.memory_used_bytes or 0
    ranked = held.most_common()
    rest_bytes = sum(used_bytes for _, used_bytes in ranked[MAX_PROCESSES:])
    rest = [(("other", ""), rest_bytes)] if len(ranked) > MAX_PROCESSES else []
    return ranked[:MAX_PROCESSES] + rest


def _show(gauge: Gauge, label: str, value: float | None) -> None:
    if value is not None:
        gauge.labels(label).set(value)
