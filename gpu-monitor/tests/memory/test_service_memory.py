"""What the driver counts and what services say, made one."""

from __future__ import annotations

import pytest
from gpu_monitor.engine import Device, Process
from gpu_monitor.memory.self_report import EngineState, SelfReport, Told, combined
from gpu_monitor.memory.service_memory import ServiceMemory, service_memory, unattributed_bytes
from service_kit.engines.memory import MemoryKind

CONTAINER = "3f2a" * 16


def device(*processes: Process, used: int = 100, index: int = 0) -> Device:
    return Device(index, f"GPU-{index}", "GPU", memory_total_bytes=200, memory_used_bytes=used, processes=processes)


def says(held: int, **known: object) -> Told:
    return Told(SelfReport(parts={MemoryKind.WEIGHTS: held}, **known))  # type: ignore[arg-type]


def only(*devices: Device, told: Told, service: str = "tts-service") -> ServiceMemory:
    (found,) = service_memory(devices, {service: told}, {})
    return found


def test_the_drivers_figure_counts_and_the_difference_is_shown():
    found = only(device(Process(7, "python3", "tts-service", 40)), told=says(30))
    assert (found.used_bytes, found.unexplained_bytes) == (40, 10)


def test_a_service_goes_by_the_container_it_says_it_runs_in():
    process = Process(7, "model", CONTAINER[:12], 40, container_id=CONTAINER)
    assert only(device(process), told=says(30, container_id=CONTAINER)).driver_bytes == 40
    assert only(device(process), told=says(30, container_id=CONTAINER[:12])).driver_bytes == 40
    assert only(device(process), told=says(30, container_id="a" * 64)).driver_bytes is None
    assert only(device(process), told=says(30)).driver_bytes is None


def test_a_container_counts_for_more_than_a_packages_name():
    told = {"tts-service": says(1), "another-tts": says(1, container_id=CONTAINER)}
    found = service_memory([device(Process(7, "python3", "tts-service", 40, CONTAINER))], told, {})
    assert [(service.service, service.driver_bytes) for service in found] == [
        ("another-tts", 40),
        ("tts-service", None),
    ]


@pytest.mark.parametrize("process", [Process(7, "ollama", "", 40), Process(7, "x", "ollama", 40)])
def test_a_service_of_others_goes_by_its_commands(process: Process):
    told = Told(SelfReport(other_bytes=30, commands=frozenset({"ollama"})))
    assert only(device(process), told=told, service="llm").driver_bytes == 40


def test_without_pids_the_service_is_believed():
    found = only(device(), told=says(30))
    assert (found.driver_bytes, found.used_bytes, found.unexplained_bytes) == (None, 30, None)


def test_pids_that_mean_nothing_here_are_nobodys():
    found = only(device(Process(7, memory_used_bytes=40)), told=says(30))
    assert (found.driver_bytes, found.used_bytes) == (None, 30)


def test_processes_of_unknown_tenants_are_what_is_left():
    devices = [device(Process(7, "python3", "tts-service", 40), Process(8, "Xorg", "", 10), used=60)]
    services = service_memory(devices, {"tts-service": says(30)}, {})
    assert unattributed_bytes(devices, services) == 20


def test_two_processes_of_one_service_count_together():
    processes = Process(7, "python3", "tts-service", 40), Process(8, "python3", "tts-service", 5)
    assert only(device(*processes), told=says(30)).used_bytes == 45


def test_a_service_on_two_devices_counts_together():
    devices = device(Process(7, "python3", "tts-service", 40)), device(Process(7, "python3", "tts-service", 5), index=1)
    assert only(*devices, told=says(45)).unexplained_bytes == 0


def test_a_service_that_says_more_than_the_driver_counts_has_less_than_nothing_unexplained():
    devices = [device(Process(7, "python3", "tts-service", 40), used=40)]
    services = service_memory(devices, {"tts-service": says(50)}, {})
    assert (services[0].used_bytes, services[0].unexplained_bytes) == (40, -10)
    assert unattributed_bytes(devices, services) == 0


def test_services_that_say_more_than_is_in_use_leave_nothing_below_zero():
    devices = [device(used=20)]
    assert unattributed_bytes(devices, service_memory(devices, {"tts-service": says(50)}, {})) == 0


def test_parts_of_a_divided_gpu_whose_driver_does_not_say_are_taken_from_the_service():
    processes = Process(7, "python3", "tts-service", 40), Process(8, "python3", "tts-service")
    found = only(device(*processes), told=says(50))
    assert (found.driver_bytes, found.used_bytes) == (None, 50)


def test_with_the_device_lost_services_are_still_believed():
    found = only(told=says(30))
    assert (found.used_bytes, found.known_now) == (30, True)


def test_what_is_stale_is_known_but_not_of_now_unless_the_driver_sees_it():
    stale = Told(says(30).report, age_s=20, stale=True)
    assert (only(told=stale).used_bytes, only(told=stale).known_now) == (30, False)
    assert only(device(Process(7, "python3", "tts-service", 40)), told=stale).known_now


def test_a_planned_service_that_nobody_knows_anything_of_is_there_without_a_figure():
    (found,) = service_memory([device()], {}, {"ollama": 80})
    assert found == ServiceMemory("ollama", planned_bytes=80)
    assert (found.used_bytes, found.unexplained_bytes, found.known_now) == (None, None, False)


def test_a_planned_service_is_known_by_its_package_without_saying_anything():
    (found,) = service_memory([device(Process(7, "python3", "stt-service", 40))], {}, {"stt-service": 50})
    assert (found.used_bytes, found.planned_bytes) == (40, 50)


def test_no_figure_is_made_of_a_report_that_is_not_complete():
    assert only(device(), told=says(30, complete=False)).used_bytes is None


def test_of_two_answers_the_complete_one_counts_and_learns_from_the_other():
    whole = says(30, models=("a",))
    half = says(9, complete=False, kv_cache_used_share=0.5, commands=frozenset({"vllm"}), models=("b",))
    for answers in ([whole, half], [half, whole]):
        report = combined(answers).report
        assert (report.held_bytes, report.models, report.kv_cache_used_share) == (30, ("a",), 0.5)
        assert report.commands == {"vllm"}


def test_a_sleeping_server_is_known_to_sleep_by_the_service_that_put_it_there():
    server = says(9, state=EngineState.UNKNOWN, complete=False)
    asleep = Told(SelfReport(EngineState.PARKED, complete=False))
    assert [combined(answers).report.state for answers in ([server, asleep], [asleep, server])] == [
        EngineState.PARKED,
        EngineState.PARKED,
    ]
    assert ServiceMemory("stt-service", told=server).state is EngineState.AWAKE


def test_an_answer_that_says_nothing_gives_way_to_one_that_says_something():
    nothing = Told(SelfReport(complete=False, kv_cache_used_share=0.1))
    report = combined([nothing, says(9, complete=False, kv_cache_used_share=0.5)]).report
    assert (dict(report.parts), report.kv_cache_used_share) == ({MemoryKind.WEIGHTS: 9}, 0.5)
