"""Reads NVIDIA GPUs through NVML, the driver's own library."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any, TypeVar

from service_kit.engines.info import EngineInfo

from gpu_monitor.engine import Device, DriverUnavailable, Process
from gpu_monitor.memory.processes import VisibleProcesses
from gpu_monitor.settings import GpuSettings

log = logging.getLogger(__name__)

T = TypeVar("T")


class NvmlReader:
    """One session with the driver, opened at the first reading and again after a failure."""

    def __init__(self, settings: GpuSettings) -> None:
        import pynvml

        self._nvml: Any = pynvml
        # What a driver answers for a figure that this device, driver or user cannot have.
        self._unsaid: tuple[type[Exception], ...] = (
            pynvml.NVMLError_NotSupported,  # pyright: ignore[reportAttributeAccessIssue]
            pynvml.NVMLError_NoPermission,  # pyright: ignore[reportAttributeAccessIssue]
            pynvml.NVMLError_FunctionNotFound,  # pyright: ignore[reportAttributeAccessIssue]
            pynvml.NVMLLibraryMismatchError,
        )
        self._visible = VisibleProcesses(settings.host_pids)
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
            raise DriverUnavailable("the driver knows no GPU")
        return self._devices(count)

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        try:
            self._nvml.nvmlShutdown()
        except self._nvml.NVMLError as error:
            log.info("driver refused to close", extra={"reason": str(error)})

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
                log.warning("device could not be read", extra={"device": index, "reason": str(error)})
        if failure is not None and not devices:
            self.close()
            raise DriverUnavailable(self._explain(failure)) from failure
        return tuple(devices)

    def _device(self, index: int) -> Device:
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        # Boards whose GPU shares the machine's memory do not say.
        memory = self._said(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        rates = self._said(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        milliwatts = self._said(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        return Device(
            index=index,
            uuid=nvml.nvmlDeviceGetUUID(handle),
            name=nvml.nvmlDeviceGetName(handle),
            memory_total_bytes=memory.total if memory else 0,
            memory_used_bytes=memory.used if memory else 0,
            utilisation=rates.gpu / 100 if rates else None,
            temperature_celsius=self._said(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
            power_watts=None if milliwatts is None else milliwatts / 1000,
            processes=self._processes(handle),
        )

    def _processes(self, handle: object) -> tuple[Process, ...]:
        compute = self._said(lambda: self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)) or ()
        graphics = self._said(lambda: self._nvml.nvmlDeviceGetGraphicsRunningProcesses(handle)) or ()
        held = merged(by_pid(compute), by_pid(graphics))
        return tuple(self._process(pid, used_bytes) for pid, used_bytes in sorted(held.items()))

    def _process(self, pid: int, used_bytes: int | None) -> Process:
        visible = self._visible
        return Process(pid, visible.name(pid), visible.service(pid), used_bytes, visible.container_id(pid))

    def _said(self, ask: Callable[[], T]) -> T | None:
        """What `ask` returns, or None where the driver does not say."""
        try:
            return ask()
        except self._unsaid:
            return None

    def _explain(self, error: Exception) -> str:
        nvml = self._nvml
        match error:
            case nvml.NVMLError_LibraryNotFound():
                return "no NVIDIA driver is installed here (libnvidia-ml.so.1 was not found)"
            case nvml.NVMLError_DriverNotLoaded():
                return "the NVIDIA driver is installed, but not loaded"
            case nvml.NVMLError_LibRmVersionMismatch():
                return "the NVIDIA driver was updated; the machine must be restarted"
            case nvml.NVMLError_GpuIsLost():
                return "the GPU fell off the bus or is otherwise inaccessible"
            case _:
                return f"the NVIDIA driver says: {error}"


def by_pid(processes: Iterable[Any]) -> dict[int, int | None]:
    """Bytes by pid in one of NVML's lists; a process on several parts of a divided GPU is listed once for each."""
    known: Counter[int] = Counter()
    unknown: set[int] = set()
    for process in processes:
        if process.usedGpuMemory is None:
            unknown.add(process.pid)
        else:
            known[process.pid] += process.usedGpuMemory
    return {pid: known.get(pid) for pid in (*known, *unknown)}


def merged(compute: dict[int, int | None], graphics: dict[int, int | None]) -> dict[int, int | None]:
    """Both lists in one. A process that computes and draws stands in both with the same total."""
    held = dict(compute)
    for pid, used_bytes in graphics.items():
        other = held.get(pid)
        held[pid] = other if used_bytes is None else max(used_bytes, other or 0)
    return held
