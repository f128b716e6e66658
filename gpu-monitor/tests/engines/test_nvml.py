"""The NVML reader, with the real binding and a fake driver library."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_machine import GIB, Machine, gpu
from gpu_monitor.engine import DriverUnavailable, GpuProcess
from gpu_monitor.engines.nvml import NvmlReader
from gpu_monitor.settings import GpuSettings

NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED, GPU_IS_LOST, RM_MISMATCH, UNKNOWN = 3, 4, 9, 15, 18, 999


@pytest.fixture
def reader(machine: Machine) -> Iterator[NvmlReader]:
    reader = NvmlReader(GpuSettings(host_pids=True))
    yield reader
    machine.set_devices()
    reader.close()


def test_reads_every_value_the_driver_reports(machine: Machine, reader: NvmlReader):
    machine.set_devices(gpu(used_gib=12))
    (device,) = reader.read()
    assert (device.index, device.uuid, device.name) == (0, "GPU-fake-0", "Fake GPU 0")
    assert (device.memory_total_bytes, device.memory_used_bytes) == (48 * GIB, 12 * GIB)
    assert (device.utilisation, device.temperature_celsius, device.power_watts) == (0.37, 61, 143.5)
    assert reader.info.notes["driver_version"] == "999.01"


def test_each_reading_queries_the_driver_again(machine: Machine, reader: NvmlReader):
    machine.set_devices(gpu(used_gib=12))
    reader.read()
    machine.set_devices(gpu(used_gib=40))
    assert reader.read()[0].memory_used_bytes == 40 * GIB


def test_unsupported_values_are_none(machine: Machine, reader: NvmlReader):
    machine.set_devices(f"device 0 {GIB} 0 -1 -1 -1", f"fail nvmlDeviceGetComputeRunningProcesses_v3 {NO_PERMISSION}")
    (device,) = reader.read()
    assert (device.utilisation, device.temperature_celsius, device.power_watts) == (None, None, None)
    assert device.processes == ()


def test_device_with_shared_memory_reports_zero_bytes(machine: Machine, reader: NvmlReader):
    machine.set_devices("device 0 -1 -1 5 40 9000")
    (device,) = reader.read()
    assert (device.memory_total_bytes, device.memory_used_bytes) == (0, 0)


def test_processes_are_merged_by_pid_and_named(machine: Machine, reader: NvmlReader):
    ours, gone = os.getpid(), 4_000_001
    machine.set_devices(
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


def test_mig_instances_of_one_process_are_summed(machine: Machine, reader: NvmlReader):
    machine.set_devices(gpu(), "process 0 compute 4000001 700", "process 0 compute 4000001 50")
    assert reader.read()[0].processes == (GpuProcess(4_000_001, memory_used_bytes=750),)


def test_broken_device_does_not_hide_the_others(machine: Machine, reader: NvmlReader):
    machine.set_devices(gpu(0), gpu(1), f"fail nvmlDeviceGetMemoryInfo {GPU_IS_LOST} 0")
    assert [device.index for device in reader.read()] == [1]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (f"fail nvmlInitWithFlags {DRIVER_NOT_LOADED}", "not loaded"),
        (f"fail nvmlInitWithFlags {RM_MISMATCH}", "restarted"),
        (f"fail nvmlDeviceGetHandleByIndex_v2 {GPU_IS_LOST}", "fell off the bus"),
        (f"fail nvmlDeviceGetCount_v2 {UNKNOWN}", "Unknown Error"),
    ],
)
def test_driver_failure_is_explained_and_the_session_reopens(
    machine: Machine, reader: NvmlReader, failure: str, reason: str
):
    machine.set_devices(gpu(), failure)
    with pytest.raises(DriverUnavailable, match=reason):
        reader.read()
    machine.set_devices(gpu())
    assert len(reader.read()) == 1


def test_driver_without_devices_is_unavailable(machine: Machine, reader: NvmlReader):
    machine.set_devices()
    with pytest.raises(DriverUnavailable, match="lists no GPU"):
        reader.read()


def test_failing_shutdown_does_not_prevent_reopening(machine: Machine, reader: NvmlReader):
    machine.set_devices(gpu(), f"fail nvmlShutdown {UNKNOWN}")
    reader.read()
    reader.close()
    machine.set_devices(gpu())
    assert len(reader.read()) == 1


def test_missing_driver_library_is_unavailable(tmp_path: Path):
    # Hides an installed driver too: the loader stops at the first file of that name.
    (tmp_path / "libnvidia-ml.so.1").write_bytes(b"")
    program = (
        "from gpu_monitor.engines.nvml import NvmlReader; from gpu_monitor.settings import GpuSettings\n"
        "NvmlReader(GpuSettings()).read()"
    )
    environment = os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert "DriverUnavailable: gpu.driver_unavailable: no NVIDIA driver is installed" in done.stderr
