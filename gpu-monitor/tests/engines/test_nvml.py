"""The NVML reader, through the real binding."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_machine import GIB, Machine, gpu
from gpu_monitor.engine import DriverUnavailable, Process
from gpu_monitor.engines.nvml import NvmlReader
from gpu_monitor.settings import GpuSettings

NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED, GPU_IS_LOST, RM_MISMATCH, UNKNOWN = 3, 4, 9, 15, 18, 999


@pytest.fixture
def reader(machine: Machine) -> Iterator[NvmlReader]:
    reader = NvmlReader(GpuSettings(host_pids=True))
    yield reader
    machine.has()
    reader.close()


def test_a_device_is_read_with_everything_the_driver_says(machine: Machine, reader: NvmlReader):
    machine.has(gpu(used_gib=12))
    (device,) = reader.read()
    assert (device.index, device.uuid, device.name) == (0, "GPU-fake-0", "Fake GPU 0")
    assert (device.memory_total_bytes, device.memory_used_bytes) == (48 * GIB, 12 * GIB)
    assert (device.utilisation, device.temperature_celsius, device.power_watts) == (0.37, 61, 143.5)
    assert reader.info.notes["driver_version"] == "999.01"


def test_every_reading_is_fresh(machine: Machine, reader: NvmlReader):
    machine.has(gpu(used_gib=12))
    reader.read()
    machine.has(gpu(used_gib=40))
    assert reader.read()[0].memory_used_bytes == 40 * GIB


def test_what_the_driver_does_not_say_is_left_out(machine: Machine, reader: NvmlReader):
    machine.has(f"device 0 {GIB} 0 -1 -1 -1", f"fail nvmlDeviceGetComputeRunningProcesses_v3 {NO_PERMISSION}")
    (device,) = reader.read()
    assert (device.utilisation, device.temperature_celsius, device.power_watts) == (None, None, None)
    assert device.processes == ()


def test_a_device_that_shares_the_machines_memory_has_none_of_its_own(machine: Machine, reader: NvmlReader):
    machine.has("device 0 -1 -1 5 40 9000")
    (device,) = reader.read()
    assert (device.memory_total_bytes, device.memory_used_bytes) == (0, 0)


def test_processes_are_merged_by_pid_and_named(machine: Machine, reader: NvmlReader):
    ours, gone = os.getpid(), 4_000_001
    machine.has(
        gpu(),
        f"process 0 compute {ours} 700",
        f"process 0 graphics {ours} 900",
        f"process 0 graphics {gone} -1",
    )
    (device,) = reader.read()
    comm = Path(f"/proc/{ours}/comm").read_text().strip()
    assert [(process.pid, process.name, process.memory_used_bytes) for process in device.processes] == [
        (ours, comm, 900),
        (gone, "", None),
    ]


def test_the_parts_of_a_divided_gpu_count_together(machine: Machine, reader: NvmlReader):
    machine.has(gpu(), "process 0 compute 4000001 700", "process 0 compute 4000001 50")
    assert reader.read()[0].processes == (Process(4_000_001, memory_used_bytes=750),)


def test_one_broken_device_does_not_hide_the_other(machine: Machine, reader: NvmlReader):
    machine.has(gpu(0), gpu(1), f"fail nvmlDeviceGetMemoryInfo {GPU_IS_LOST} 0")
    assert [device.index for device in reader.read()] == [1]


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (f"fail nvmlInitWithFlags {DRIVER_NOT_LOADED}", "not loaded"),
        (f"fail nvmlInitWithFlags {RM_MISMATCH}", "restarted"),
        (f"fail nvmlDeviceGetHandleByIndex_v2 {GPU_IS_LOST}", "fell off the bus"),
        (f"fail nvmlDeviceGetCount_v2 {UNKNOWN}", "Unknown Error"),
    ],
)
def test_a_failing_driver_is_told_in_plain_words_and_opened_again(
    machine: Machine, reader: NvmlReader, trouble: str, reason: str
):
    machine.has(gpu(), trouble)
    with pytest.raises(DriverUnavailable, match=reason):
        reader.read()
    machine.has(gpu())
    assert len(reader.read()) == 1


def test_a_driver_without_a_gpu_is_no_gpu(machine: Machine, reader: NvmlReader):
    machine.has()
    with pytest.raises(DriverUnavailable, match="knows no GPU"):
        reader.read()


def test_a_driver_that_refuses_to_close_is_left(machine: Machine, reader: NvmlReader):
    machine.has(gpu(), f"fail nvmlShutdown {UNKNOWN}")
    reader.read()
    reader.close()
    machine.has(gpu())
    assert len(reader.read()) == 1


def test_without_the_drivers_library_there_is_no_driver(tmp_path: Path):
    # Hides an installed driver, too: the loader stops at the first file of that name.
    (tmp_path / "libnvidia-ml.so.1").write_bytes(b"")
    ask = (
        "from gpu_monitor.engines.nvml import NvmlReader; from gpu_monitor.settings import GpuSettings\n"
        "NvmlReader(GpuSettings()).read()"
    )
    environment = os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}
    asked = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True)
    assert "DriverUnavailable: gpu.driver_unavailable: no NVIDIA driver is installed here" in asked.stderr
