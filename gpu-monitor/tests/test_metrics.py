"""What the gauges show."""

from __future__ import annotations

import pytest
from gpu_monitor.engine import Device, Process
from gpu_monitor.metrics import MAX_PROCESSES, largest, show
from gpu_monitor.pressure import Level, Pressure
from gpu_monitor.snapshot import Availability, Snapshot
from prometheus_client import REGISTRY


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def present(*processes: Process) -> Snapshot:
    device = Device(0, "GPU-0", "GPU", 100, 92, utilisation=0.5, processes=processes)
    pressures = {0: Pressure(0, Level.HIGH, 0.92)}
    return Snapshot(Availability.PRESENT, "", 1, (device,), memory_budget_bytes=99, pressures=pressures)


def test_a_device_is_shown_with_what_is_known_of_it():
    show(present())
    assert value("anchor_gpu_available") == 1
    assert value("anchor_gpu_memory_used_bytes", device="0") == 92
    assert value("anchor_gpu_memory_budget_bytes", device="0") == 99
    assert value("anchor_gpu_utilisation_ratio", device="0") == 0.5
    assert value("anchor_gpu_pressure_level", device="0") == 2
    assert value("anchor_gpu_power_watts", device="0") is None


def test_nothing_stays_of_a_device_that_is_gone():
    show(present(Process(1, "ollama", memory_used_bytes=5)))
    show(Snapshot(Availability.LOST, "gone", 2))
    assert value("anchor_gpu_available") == 0
    assert value("anchor_gpu_memory_used_bytes", device="0") is None
    assert value("anchor_gpu_process_memory_bytes", device="0", process="ollama", service="") is None


def test_processes_of_one_name_are_shown_together():
    show(present(Process(1, "python3", "vllm", 5), Process(2, "python3", "vllm", 7), Process(3)))
    assert value("anchor_gpu_process_memory_bytes", device="0", process="python3", service="vllm") == 12
    assert value("anchor_gpu_process_memory_bytes", device="0", process="unknown", service="") == 0


@pytest.mark.parametrize("count", [MAX_PROCESSES, MAX_PROCESSES + 3])
def test_small_processes_beyond_the_limit_share_one_series(count: int):
    device = present(*(Process(pid, f"p{pid}", memory_used_bytes=pid) for pid in range(1, count + 1))).devices[0]
    shown = largest(device)
    assert len(shown) == min(count, MAX_PROCESSES + 1)
    assert sum(used_bytes for _, used_bytes in shown) == count * (count + 1) // 2
    assert (shown[-1] == (("other", ""), 6)) is (count > MAX_PROCESSES)
