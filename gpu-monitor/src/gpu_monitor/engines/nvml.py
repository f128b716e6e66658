"""Reads NVIDIA GPUs through NVML, the driver's own library."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any, TypeVar

from service_kit.engines.info import EngineInfo

from gpu_monitor.engine import Device, DriverUnavailable, GpuProcess
from gpu_monitor.memory.processes import ProcessLookup
from gpu_monitor.settings import GpuSettings

log = logging.getLogger(__name__)

T = TypeVar("T")


class NvmlReader:
    """One NVML session, opened on the first reading and reopened after a failure."""

    def __init__(self, settings: GpuSettings) -> None:
        import pynvml

        self._nvml: Any = pynvml
        # Errors for values that this device, driver or user does not support.
        self._unsupported_errors: tuple[type[Exception], ...] = (
            pynvml.NVMLError_NotSupported,  # pyright: ignore[reportAttributeAccessIssue]
            pynvml.NVMLError_NoPermission,  # pyright: ignore[reportAttributeAccessIssue]
            pynvml.NVMLError_FunctionNotFound,  # pyright: ignore[reportAttributeAccessIssue]
            pynvml.NVMLLibraryMismatchError,
        )
        self._process_lookup = ProcessLookup(settings.host_pids)
        self._open = False
        self._driver = ""

    @property
    def info(self) -> EngineInfo:
        notes = {"driver_version": self._driver}
        return EngineInfo("nvml", model="", version=version("nvidia-ml-py"), notes=notes)

    def read(self) -> tuple[Device, ...]:
        try:
            self._ensure_open()
            count = self._nvml.nvmlDeviceGetCount()
        except self._nvml.NVMLError as error:
            self.close()
            raise DriverUnavailable(self._explain(error)) from error
        if not count:
            self.close()
            raise DriverUnavailable("the driver lists no GPU")
        return self._devices(count)

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        try:
            self._nvml.nvmlShutdown()
        except self._nvml.NVMLError as error:
            log.info("NVML shutdown failed", extra={"reason": str(error)})

    def _ensure_open(self) -> None:
        if self._open:
            return
        self._nvml.nvmlInit()
        self._open = True
        self._driver = self._nvml.nvmlSystemGetDriverVersion()

    def _devices(self, count: int) -> tuple[Device, ...]:
        devices: list[Device] = []
        failure: Exception | None = None
        for index in range(count):
            try:
                devices.append(self._device(index))
            except self._nvml.NVMLError as error:
                failure = error
                log.warning("device read failed", extra={"device": index, "reason": str(error)})
        if failure is not None and not devices:
            self.close()
            raise DriverUnavailable(self._explain(failure)) from failure
        return tuple(devices)

    def _device(self, index: int) -> Device:
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        # Not reported by boards whose GPU shares the machine's memory.
        memory = self._optional(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        rates = self._optional(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        celsius = self._optional(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        milliwatts = self._optional(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        return Device(
            index=index,
            uuid=nvml.nvmlDeviceGetUUID(handle),
            name=nvml.nvmlDeviceGetName(handle),
            memory_total_bytes=memory.total if memory else 0,
            memory_used_bytes=memory.used if memory else 0,
            utilisation=rates.gpu / 100 if rates else None,
            temperature_celsius=celsius,
            power_watts=None if milliwatts is None else milliwatts / 1000,
            processes=self._processes(handle),
        )

    def _processes(self, handle: object) -> tuple[GpuProcess, ...]:
        compute = self._optional(lambda: self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)) or ()
        graphics = self._optional(lambda: self._nvml.nvmlDeviceGetGraphicsRunningProcesses(handle)) or ()
        held = merge_process_lists(bytes_by_pid(compute), bytes_by_pid(graphics))
        return tuple(self._process(pid, used_bytes) for pid, used_bytes in sorted(held.items()))

    def _process(self, pid: int, used_bytes: int | None) -> GpuProcess:
        visible = self._process_lookup
        return GpuProcess(pid, visible.name(pid), visible.service(pid), used_bytes, visible.container_id(pid))

    def _optional(self, query: Callable[[], T]) -> T | None:
        """Result of `query`, or None when the driver does not support it."""
        try:
            return query()
        except self._unsupported_errors:
            return None

    def _explain(self, error: Exception) -> str:
        nvml = self._nvml
        match error:
            case nvml.NVMLError_LibraryNotFound():
                return "no NVIDIA driver is installed (libnvidia-ml.so.1 was not found)"
            case nvml.NVMLError_DriverNotLoaded():
                return "the NVIDIA driver is installed but not loaded"
            case nvml.NVMLError_LibRmVersionMismatch():
                return "the NVIDIA driver was updated; the machine must be restarted"
            case nvml.NVMLError_GpuIsLost():
                return "the GPU fell off the bus or is otherwise inaccessible"
            case _:
                return f"the NVIDIA driver failed: {error}"


def bytes_by_pid(processes: Iterable[Any]) -> dict[int, int | None]:
    """Bytes by pid of one NVML list. A process on several MIG instances has one entry each; they are summed."""
    known: Counter[int] = Counter()
    unknown: set[int] = set()
    for process in processes:
        if process.usedGpuMemory is None:
            unknown.add(process.pid)
        else:
            known[process.pid] += process.usedGpuMemory
    return {pid: known.get(pid) for pid in (*known, *unknown)}


def merge_process_lists(compute: dict[int, int | None], graphics: dict[int, int | None]) -> dict[int, int | None]:
    """Merge both lists. A process in both has the same total in each, so the larger figure counts."""
    held = dict(compute)
    for pid, used_bytes in graphics.items():
        other = held.get(pid)
        held[pid] = other if used_bytes is None else max(used_bytes, other or 0)
    return held
