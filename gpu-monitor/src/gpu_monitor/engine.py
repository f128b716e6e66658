"""The device reader: its Protocol and the values it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from service_kit.engines.info import EngineInfo
from service_kit.errors import EngineFailed


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """One process with memory on a device. `pid` belongs to the driver's pid namespace (the host's)."""

    pid: int
    # Command name; empty when /proc does not show the process.
    name: str = ""
    # Service or short container id; empty when unknown.
    service: str = ""
    memory_used_bytes: int | None = None
    # 64 hexadecimal digits; empty outside containers and when /proc does not show the process.
    container_id: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """One reading of one GPU. A value that the driver does not report is None; memory is then 0."""

    index: int
    uuid: str
    name: str
    memory_total_bytes: int
    memory_used_bytes: int
    # Share of the last sample period in which a kernel ran, 0 to 1.
    utilisation: float | None = None
    temperature_celsius: int | None = None
    power_watts: float | None = None
    processes: tuple[GpuProcess, ...] = ()


class DriverUnavailable(EngineFailed):
    """The driver is missing, fails or lists no device; the message states which."""

    def __init__(self, message: str) -> None:
        super().__init__("gpu.driver_unavailable", message)


class DeviceReader(Protocol):
    """Reads all GPUs. Blocking; all calls come from one thread."""

    @property
    def info(self) -> EngineInfo:
        """Name and version of the reader, and the driver's version after the first reading."""
        ...

    def read(self) -> tuple[Device, ...]:
        """Read all devices that answer, at least one. Raises `DriverUnavailable`; the next call starts afresh."""
        ...

    def close(self) -> None:
        """Release the driver."""
        ...
