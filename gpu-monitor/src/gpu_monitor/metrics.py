"""Metrics of the GPU monitor. Labels are bounded: device indices, services of the plan or settings, a few processes.

A service is labelled `holder`: what Prometheus asks has a label `service` of its own, which would hide ours.
"""

from __future__ import annotations

from collections import Counter as Tally

from prometheus_client import Counter, Gauge, Histogram

from gpu_monitor.engine import Device
from gpu_monitor.findings.findings import Findings
from gpu_monitor.memory.service_memory import ServiceMemory
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
EXHAUSTION = Gauge("anchor_gpu_exhaustion_cause", "0 none, 1 growth, 2 less free than planned.", ["device"])
SECONDS_TO_FULL = Gauge("anchor_gpu_seconds_to_full", "Until it is full, while it grows.", ["device"])

SERVICE_MEMORY = Gauge("anchor_gpu_service_memory_bytes", "Memory held: the driver's figure, or its own.", ["holder"])
SERVICE_TOLD = Gauge("anchor_gpu_service_told_bytes", "Memory the service says that it holds.", ["holder"])
SERVICE_UNEXPLAINED = Gauge(
    "anchor_gpu_service_unexplained_bytes", "Memory the driver counts beyond what the service says.", ["holder"]
)
SERVICE_PLANNED = Gauge("anchor_gpu_service_planned_bytes", "Memory the service was given.", ["holder"])
SERVICE_VERDICT = Gauge("anchor_gpu_service_plan_verdict", "0 not known, 1 within, 2 over, 3 under.", ["holder"])
SERVICE_GROWTH = Gauge("anchor_gpu_service_growth_bytes_per_hour", "Slope over the leak window.", ["holder"])
SERVICE_LEAKING = Gauge("anchor_gpu_service_leaking", "Whether it leaks (1) or not (0).", ["holder"])
SERVICE_REPORT_AGE = Gauge("anchor_gpu_service_report_age_seconds", "Since it told what it holds.", ["holder"])
SERVICE_CACHE_USED = Gauge("anchor_gpu_service_kv_cache_used_ratio", "Share of its cache in use, 0 to 1.", ["holder"])
UNATTRIBUTED = Gauge("anchor_gpu_unattributed_bytes", "Memory in use that belongs to no known service.")
SELF_REPORT_FAILURES = Counter("anchor_gpu_self_report_failures_total", "Questions without an answer.", ["holder"])

_PER_DEVICE = (
    *(MEMORY_TOTAL, MEMORY_USED, MEMORY_BUDGET, UTILISATION, TEMPERATURE, POWER, PRESSURE, PROCESS_MEMORY),
    *(EXHAUSTION, SECONDS_TO_FULL),
)
_PER_SERVICE = (
    *(SERVICE_MEMORY, SERVICE_TOLD, SERVICE_UNEXPLAINED, SERVICE_PLANNED, SERVICE_VERDICT, SERVICE_GROWTH),
    *(SERVICE_LEAKING, SERVICE_REPORT_AGE, SERVICE_CACHE_USED),
)


def show(snapshot: Snapshot) -> None:
    """Let the gauges say what `snapshot` says, and nothing of devices, services and processes that are gone."""
    findings = snapshot.findings
    for gauge in (*_PER_DEVICE, *_PER_SERVICE):
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
        _show(PRESSURE, label, findings.pressures[device.index].level)
        exhaustion = findings.exhaustion[device.index]
        _show(EXHAUSTION, label, exhaustion.cause)
        _show(SECONDS_TO_FULL, label, exhaustion.seconds_to_full)
        for (process, service), used_bytes in largest(device):
            PROCESS_MEMORY.labels(label, process, service).set(used_bytes)
    UNATTRIBUTED.set(findings.unattributed_bytes)
    for service in findings.services.values():
        _show_service(service, findings)


def _show_service(service: ServiceMemory, findings: Findings) -> None:
    label, trend = service.service, findings.trends.get(service.service)
    _show(SERVICE_MEMORY, label, service.used_bytes)
    _show(SERVICE_UNEXPLAINED, label, service.unexplained_bytes)
    _show(SERVICE_PLANNED, label, service.planned_bytes)
    _show(SERVICE_VERDICT, label, findings.verdicts[label])
    _show(SERVICE_LEAKING, label, trend is not None and trend.leaking)
    if trend:
        _show(SERVICE_GROWTH, label, trend.slope)
    if service.told:
        _show(SERVICE_TOLD, label, service.told.report.held_bytes)
        _show(SERVICE_REPORT_AGE, label, service.told.age_s)
        _show(SERVICE_CACHE_USED, label, service.told.report.kv_cache_used_share)


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
