"""Gauges set from a snapshot."""

from __future__ import annotations

import pytest
from gpu_monitor.engine import Device, GpuProcess
from gpu_monitor.findings.exhaustion import Exhaustion, ExhaustionCause
from gpu_monitor.findings.findings import Findings
from gpu_monitor.findings.leak import MemoryTrend
from gpu_monitor.findings.plan_verdict import PlanVerdict
from gpu_monitor.findings.pressure import Headroom, Pressure, PressureLevel
from gpu_monitor.memory.self_report import ReceivedReport, SelfReport
from gpu_monitor.memory.service_memory import ServiceMemory
from gpu_monitor.metrics import MAX_PROCESSES, largest_processes, update_gauges
from gpu_monitor.snapshot import GpuAvailability, Snapshot
from prometheus_client import REGISTRY
from service_kit.engines.memory import MemoryKind


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def present(*processes: GpuProcess) -> Snapshot:
    device = Device(0, "GPU-0", "GPU", 100, 92, utilisation=0.5, processes=processes)
    received = ReceivedReport(SelfReport(parts={MemoryKind.WEIGHTS: 30}, kv_cache_used_share=0.25), age_s=3)
    findings = Findings(
        pressures={0: Pressure(0, PressureLevel.HIGH, Headroom(4, -6, 10))},
        exhaustion={0: Exhaustion(0, ExhaustionCause.GROWTH, "tts-service", 8, seconds_to_full=40.0)},
        services={
            "tts-service": ServiceMemory("tts-service", driver_bytes=36, received=received, planned_bytes=20),
            "ollama": ServiceMemory("ollama", planned_bytes=10),
        },
        verdicts={"tts-service": PlanVerdict.OVER, "ollama": PlanVerdict.UNKNOWN},
        trends={"tts-service": MemoryTrend(100.0, 90.0, 50, leaking=True)},
        unattributed_bytes=56,
    )
    return Snapshot(GpuAvailability.PRESENT, "", 1, (device,), memory_budget_bytes=99, findings=findings)


def test_device_gauges_show_known_values():
    update_gauges(present())
    assert value("anchor_gpu_available") == 1
    assert value("anchor_gpu_memory_used_bytes", device="0") == 92
    assert value("anchor_gpu_memory_budget_bytes", device="0") == 99
    assert value("anchor_gpu_utilisation_ratio", device="0") == 0.5
    assert value("anchor_gpu_pressure_level", device="0") == 3
    assert value("anchor_gpu_headroom_bytes", device="0") == 4
    assert value("anchor_gpu_planned_headroom_bytes", device="0") == -6
    assert value("anchor_gpu_power_watts", device="0") is None


def test_service_gauges_show_known_values():
    update_gauges(present())
    shown = {
        name: value(f"anchor_gpu_service_{name}", holder="tts-service")
        for name in (
            "memory_bytes",
            "told_bytes",
            "unexplained_bytes",
            "planned_bytes",
            "plan_verdict",
            "growth_bytes_per_hour",
            "leaking",
            "report_age_seconds",
            "kv_cache_used_ratio",
        )
    }
    assert list(shown.values()) == [36, 30, 6, 20, 2, 100, 1, 3, 0.25]
    assert value("anchor_gpu_unattributed_bytes") == 56
    assert value("anchor_gpu_exhaustion_cause", device="0") == 1
    assert value("anchor_gpu_seconds_to_full", device="0") == 40


def test_unknown_service_values_have_no_series():
    update_gauges(present())
    assert value("anchor_gpu_service_planned_bytes", holder="ollama") == 10
    assert value("anchor_gpu_service_leaking", holder="ollama") == 0
    assert value("anchor_gpu_service_memory_bytes", holder="ollama") is None
    assert value("anchor_gpu_service_report_age_seconds", holder="ollama") is None


def test_series_of_a_vanished_device_are_removed():
    update_gauges(present(GpuProcess(1, "ollama", memory_used_bytes=5)))
    update_gauges(Snapshot(GpuAvailability.LOST, "gone", 2))
    assert value("anchor_gpu_available") == 0
    assert value("anchor_gpu_memory_used_bytes", device="0") is None
    assert value("anchor_gpu_seconds_to_full", device="0") is None
    assert value("anchor_gpu_service_memory_bytes", holder="tts-service") is None
    assert value("anchor_gpu_process_memory_bytes", device="0", process="ollama", service="") is None


def test_processes_of_one_name_share_a_series():
    update_gauges(present(GpuProcess(1, "python3", "vllm", 5), GpuProcess(2, "python3", "vllm", 7), GpuProcess(3)))
    assert value("anchor_gpu_process_memory_bytes", device="0", process="python3", service="vllm") == 12
    assert value("anchor_gpu_process_memory_bytes", device="0", process="unknown", service="") == 0


@pytest.mark.parametrize("count", [MAX_PROCESSES, MAX_PROCESSES + 3])
def test_processes_beyond_the_limit_share_one_series(count: int):
    device = present(*(GpuProcess(pid, f"p{pid}", memory_used_bytes=pid) for pid in range(1, count + 1))).devices[0]
    shown = largest_processes(device)
    assert len(shown) == min(count, MAX_PROCESSES + 1)
    assert sum(used_bytes for _, used_bytes in shown) == count * (count + 1) // 2
    assert (shown[-1] == (("other", ""), 6)) is (count > MAX_PROCESSES)
