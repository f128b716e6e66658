"""Prometheus metrics of the GPU monitor. Labels are bounded: device indices, known services, the largest processes.

The label for a service is `holder`: Prometheus sets a target label `service` itself, which would shadow it.
"""

from __future__ import annotations

from collections import Counter as Tally

from prometheus_client import Counter, Gauge, Histogram

from gpu_monitor.engine import Device
from gpu_monitor.findings.findings import Findings
from gpu_monitor.memory.service_memory import ServiceMemory
from gpu_monitor.snapshot import GpuAvailability, Snapshot

# Process series per device; smaller processes share the name `other`.
MAX_PROCESSES = 16

READ_SECONDS = Histogram(
    "anchor_gpu_read_seconds", "Duration of one driver reading.", buckets=(0.002, 0.01, 0.05, 0.2, 1, 5)
)
READ_FAILURES = Counter("anchor_gpu_read_failures_total", "Failed readings of a driver that had worked before.")
AVAILABLE = Gauge("anchor_gpu_available", "Whether GPUs can be read (1) or not (0).")
MEMORY_TOTAL = Gauge("anchor_gpu_memory_total_bytes", "Memory of the device.", ["device"])
MEMORY_USED = Gauge("anchor_gpu_memory_used_bytes", "Memory in use on the device.", ["device"])
MEMORY_BUDGET = Gauge("anchor_gpu_memory_budget_bytes", "Memory budgeted for the services.", ["device"])
UTILISATION = Gauge("anchor_gpu_utilisation_ratio", "Share of time in which a kernel ran, 0 to 1.", ["device"])
TEMPERATURE = Gauge("anchor_gpu_temperature_celsius", "Temperature of the device.", ["device"])
POWER = Gauge("anchor_gpu_power_watts", "Power draw of the device.", ["device"])
PRESSURE = Gauge("anchor_gpu_pressure_level", "0 unknown, 1 none, 2 elevated, 3 high, 4 critical.", ["device"])
HEADROOM = Gauge("anchor_gpu_headroom_bytes", "Memory that stays free when awake services take their plan.", ["device"])
PLANNED_HEADROOM = Gauge(
    "anchor_gpu_planned_headroom_bytes", "Memory that stays free when parked services wake, too.", ["device"]
)
PROCESS_MEMORY = Gauge(
    "anchor_gpu_process_memory_bytes", "Memory held by processes of one name.", ["device", "process", "service"]
)
EXHAUSTION = Gauge("anchor_gpu_exhaustion_cause", "0 none, 1 growth, 2 less free than planned.", ["device"])
SECONDS_TO_FULL = Gauge(
    "anchor_gpu_seconds_to_full", "Time until the device is full at the current growth.", ["device"]
)

SERVICE_MEMORY = Gauge("anchor_gpu_service_memory_bytes", "Memory held: driver figure or self-report.", ["holder"])
SERVICE_REPORTED = Gauge("anchor_gpu_service_told_bytes", "Memory held according to the service.", ["holder"])
SERVICE_UNEXPLAINED = Gauge("anchor_gpu_service_unexplained_bytes", "Driver figure minus self-report.", ["holder"])
SERVICE_PLANNED = Gauge("anchor_gpu_service_planned_bytes", "Memory planned for the service.", ["holder"])
SERVICE_VERDICT = Gauge("anchor_gpu_service_plan_verdict", "0 unknown, 1 within, 2 over, 3 under.", ["holder"])
SERVICE_GROWTH = Gauge("anchor_gpu_service_growth_bytes_per_hour", "Slope over the leak window.", ["holder"])
SERVICE_LEAKING = Gauge("anchor_gpu_service_leaking", "Whether the service leaks (1) or not (0).", ["holder"])
SERVICE_REPORT_AGE = Gauge("anchor_gpu_service_report_age_seconds", "Age of the self-report.", ["holder"])
SERVICE_CACHE_USED = Gauge(
    "anchor_gpu_service_kv_cache_used_ratio", "Share of the KV cache in use, 0 to 1.", ["holder"]
)
UNATTRIBUTED = Gauge("anchor_gpu_unattributed_bytes", "Used memory of no known service.")
SELF_REPORT_FAILURES = Counter("anchor_gpu_self_report_failures_total", "Failed self-report polls.", ["holder"])

_PER_DEVICE = (
    *(MEMORY_TOTAL, MEMORY_USED, MEMORY_BUDGET, UTILISATION, TEMPERATURE, POWER, PRESSURE, PROCESS_MEMORY),
    *(HEADROOM, PLANNED_HEADROOM, EXHAUSTION, SECONDS_TO_FULL),
)
_PER_SERVICE = (
    *(SERVICE_MEMORY, SERVICE_REPORTED, SERVICE_UNEXPLAINED, SERVICE_PLANNED, SERVICE_VERDICT, SERVICE_GROWTH),
    *(SERVICE_LEAKING, SERVICE_REPORT_AGE, SERVICE_CACHE_USED),
)


def update_gauges(snapshot: Snapshot) -> None:
    """Set all gauges from `snapshot`; series of vanished devices, services and processes are removed."""
    findings = snapshot.findings
    for gauge in (*_PER_DEVICE, *_PER_SERVICE):
        gauge.clear()
    AVAILABLE.set(snapshot.availability is GpuAvailability.PRESENT)
    for device in snapshot.devices:
        label = str(device.index)
        _set_gauge(MEMORY_TOTAL, label, device.memory_total_bytes)
        _set_gauge(MEMORY_USED, label, device.memory_used_bytes)
        _set_gauge(MEMORY_BUDGET, label, snapshot.memory_budget_bytes)
        _set_gauge(UTILISATION, label, device.utilisation)
        _set_gauge(TEMPERATURE, label, device.temperature_celsius)
        _set_gauge(POWER, label, device.power_watts)
        pressure = findings.pressures[device.index]
        _set_gauge(PRESSURE, label, pressure.level)
        if pressure.headroom:
            _set_gauge(HEADROOM, label, pressure.headroom.awake_bytes)
            _set_gauge(PLANNED_HEADROOM, label, pressure.headroom.planned_bytes)
        exhaustion = findings.exhaustion[device.index]
        _set_gauge(EXHAUSTION, label, exhaustion.cause)
        _set_gauge(SECONDS_TO_FULL, label, exhaustion.seconds_to_full)
        for (process, service), used_bytes in largest_processes(device):
            PROCESS_MEMORY.labels(label, process, service).set(used_bytes)
    UNATTRIBUTED.set(findings.unattributed_bytes)
    for service in findings.services.values():
        _set_service_gauges(service, findings)


def _set_service_gauges(service: ServiceMemory, findings: Findings) -> None:
    label, trend = service.service, findings.trends.get(service.service)
    _set_gauge(SERVICE_MEMORY, label, service.used_bytes)
    _set_gauge(SERVICE_UNEXPLAINED, label, service.unexplained_bytes)
    _set_gauge(SERVICE_PLANNED, label, service.planned_bytes)
    _set_gauge(SERVICE_VERDICT, label, findings.verdicts[label])
    _set_gauge(SERVICE_LEAKING, label, trend is not None and trend.leaking)
    if trend:
        _set_gauge(SERVICE_GROWTH, label, trend.slope)
    if service.received:
        _set_gauge(SERVICE_REPORTED, label, service.received.report.held_bytes)
        _set_gauge(SERVICE_REPORT_AGE, label, service.received.age_s)
        _set_gauge(SERVICE_CACHE_USED, label, service.received.report.kv_cache_used_share)


def largest_processes(device: Device) -> list[tuple[tuple[str, str], int]]:
    """Bytes by (process name, service), largest first; beyond `MAX_PROCESSES` the rest is summed as `other`."""
    held: Tally[tuple[str, str]] = Tally()
    for process in device.processes:
        held[process.name or "unknown", process.service] += process.memory_used_bytes or 0
    ranked = held.most_common()
    rest_bytes = sum(used_bytes for _, used_bytes in ranked[MAX_PROCESSES:])
    rest = [(("other", ""), rest_bytes)] if len(ranked) > MAX_PROCESSES else []
    return ranked[:MAX_PROCESSES] + rest


def _set_gauge(gauge: Gauge, label: str, value: float | None) -> None:
    if value is not None:
        gauge.labels(label).set(value)
