"""Attribution of memory to services, from processes and self-reports."""

from __future__ import annotations

import pytest
from gpu_monitor.engine import Device, GpuProcess
from gpu_monitor.memory.plan import MemoryPlan, PlannedMemory
from gpu_monitor.memory.self_report import ReceivedReport, SelfReport
from gpu_monitor.memory.service_memory import ServiceMemory, attribute_memory, unattributed_bytes
from self_reporting import reported
from service_kit.engines.memory import MemoryKind

CONTAINER = "3f2a" * 16


def device(*processes: GpuProcess, used: int = 100, index: int = 0) -> Device:
    return Device(index, f"GPU-{index}", "GPU", memory_total_bytes=200, memory_used_bytes=used, processes=processes)


def only(*devices: Device, received: ReceivedReport, service: str = "tts-service") -> ServiceMemory:
    (found,) = attribute_memory(devices, {service: received}, MemoryPlan())
    return found


def plan_of(service: str, weights: int, context: int = 0) -> MemoryPlan:
    return MemoryPlan((PlannedMemory(service, "m", weights_bytes=weights, context_bytes=context),))


def test_driver_figure_counts_and_difference_is_unexplained():
    found = only(device(GpuProcess(7, "python3", "tts-service", 40)), received=reported(30))
    assert (found.used_bytes, found.unexplained_bytes) == (40, 10)


def test_process_is_matched_by_reported_container():
    process = GpuProcess(7, "model", CONTAINER[:12], 40, container_id=CONTAINER)
    assert only(device(process), received=reported(30, container_id=CONTAINER)).driver_bytes == 40
    assert only(device(process), received=reported(30, container_id=CONTAINER[:12])).driver_bytes == 40
    assert only(device(process), received=reported(30, container_id="a" * 64)).driver_bytes is None
    assert only(device(process), received=reported(30)).driver_bytes is None


def test_container_match_precedes_package_match():
    received = {"tts-service": reported(1), "another-tts": reported(1, container_id=CONTAINER)}
    found = attribute_memory([device(GpuProcess(7, "python3", "tts-service", 40, CONTAINER))], received, MemoryPlan())
    assert [(service.service, service.driver_bytes) for service in found] == [
        ("another-tts", 40),
        ("tts-service", None),
    ]


@pytest.mark.parametrize("process", [GpuProcess(7, "ollama", "", 40), GpuProcess(7, "x", "ollama", 40)])
def test_process_is_matched_by_reported_commands(process: GpuProcess):
    received = ReceivedReport(SelfReport(other_bytes=30, commands=frozenset({"ollama"})))
    assert only(device(process), received=received, service="llm").driver_bytes == 40


def test_self_report_counts_without_processes():
    found = only(device(), received=reported(30))
    assert (found.driver_bytes, found.used_bytes, found.unexplained_bytes) == (None, 30, None)


def test_unknown_pids_are_unattributed():
    found = only(device(GpuProcess(7, memory_used_bytes=40)), received=reported(30))
    assert (found.driver_bytes, found.used_bytes) == (None, 30)


def test_unknown_processes_are_unattributed_bytes():
    devices = [device(GpuProcess(7, "python3", "tts-service", 40), GpuProcess(8, "Xorg", "", 10), used=60)]
    services = attribute_memory(devices, {"tts-service": reported(30)}, MemoryPlan())
    assert unattributed_bytes(devices, services) == 20


def test_processes_of_one_service_are_summed():
    processes = GpuProcess(7, "python3", "tts-service", 40), GpuProcess(8, "python3", "tts-service", 5)
    assert only(device(*processes), received=reported(30)).used_bytes == 45


def test_devices_of_one_service_are_summed():
    devices = (
        device(GpuProcess(7, "python3", "tts-service", 40)),
        device(GpuProcess(7, "python3", "tts-service", 5), index=1),
    )
    assert only(*devices, received=reported(45)).unexplained_bytes == 0


def test_over_reporting_service_has_negative_unexplained_bytes():
    devices = [device(GpuProcess(7, "python3", "tts-service", 40), used=40)]
    services = attribute_memory(devices, {"tts-service": reported(50)}, MemoryPlan())
    assert (services[0].used_bytes, services[0].unexplained_bytes) == (40, -10)
    assert unattributed_bytes(devices, services) == 0


def test_unattributed_bytes_are_never_negative():
    devices = [device(used=20)]
    assert unattributed_bytes(devices, attribute_memory(devices, {"tts-service": reported(50)}, MemoryPlan())) == 0


def test_self_report_counts_when_a_process_figure_is_missing():
    processes = GpuProcess(7, "python3", "tts-service", 40), GpuProcess(8, "python3", "tts-service")
    found = only(device(*processes), received=reported(50))
    assert (found.driver_bytes, found.used_bytes) == (None, 50)


def test_self_report_counts_while_the_device_is_lost():
    found = only(received=reported(30))
    assert (found.used_bytes, found.is_current) == (30, True)


def test_stale_report_is_current_only_with_a_driver_figure():
    stale = ReceivedReport(reported(30).report, age_s=20, stale=True)
    assert (only(received=stale).used_bytes, only(received=stale).is_current) == (30, False)
    assert only(device(GpuProcess(7, "python3", "tts-service", 40)), received=stale).is_current


def test_planned_service_without_figures_is_listed():
    (found,) = attribute_memory([device()], {}, plan_of("ollama", 80))
    assert found == ServiceMemory("ollama", planned_bytes=80)
    assert (found.used_bytes, found.unexplained_bytes, found.is_current) == (None, None, False)


def test_planned_service_is_matched_by_package_without_report():
    (found,) = attribute_memory([device(GpuProcess(7, "python3", "stt-service", 40))], {}, plan_of("stt-service", 50))
    assert (found.used_bytes, found.planned_bytes) == (40, 50)


def test_incomplete_report_gives_no_figure():
    assert only(device(), received=reported(30, complete=False)).used_bytes is None


def outstanding(planned: MemoryPlan, received: ReceivedReport | None, *processes: GpuProcess) -> int:
    """Outstanding bytes of `ollama`."""
    (found,) = attribute_memory([device(*processes)], {"ollama": received} if received else {}, planned)
    return found.outstanding_bytes


def test_planned_memory_that_is_not_allocated_is_outstanding():
    plan = plan_of("ollama", 80)
    assert outstanding(plan, reported(30)) == 50
    assert outstanding(plan, reported(80)) == outstanding(plan, reported(90)) == 0
    # The driver's figure counts before the service's own.
    assert outstanding(plan, reported(30), GpuProcess(7, "x", "ollama", 70)) == 10


def test_without_a_current_figure_nothing_is_outstanding():
    plan = plan_of("ollama", 80)
    assert outstanding(plan, None) == 0
    assert outstanding(plan, reported(30, complete=False)) == 0
    assert outstanding(plan, ReceivedReport(reported(30).report, stale=True)) == 0
    assert outstanding(MemoryPlan(), reported(30)) == 0


def test_context_that_a_service_does_not_report_is_not_outstanding():
    plan = plan_of("ollama", 80, context=5)
    assert outstanding(plan, reported(80)) == 0
    assert outstanding(plan, reported(70)) == 10
    assert outstanding(plan, reported(80), GpuProcess(7, "x", "ollama", 80)) == 5
    with_context = SelfReport(parts={MemoryKind.WEIGHTS: 70, MemoryKind.CONTEXT: 5})
    assert outstanding(plan, ReceivedReport(with_context)) == 10
    # A model that is not loaded has no context.
    assert outstanding(plan, reported(0)) == 85
