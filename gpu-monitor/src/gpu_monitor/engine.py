"""What reads the GPUs: the Protocol, and the figures it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from service_kit.engines.info import EngineInfo
from service_kit.errors import EngineFailed


@dataclass(frozen=True, slots=True)
class Process:
    """One process that holds memory on a device; `pid` is the driver's (the host's)."""

    pid: int
    # Empty when not visible from here.
    name: str = ""
    # Service or container; empty when not known.
    service: str = ""
    memory_used_bytes: int | None = None
    # 64 hexadecimal digits; empty outside containers, and when not visible from here.
    container_id: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU at one moment. None: the driver does not say. Memory is 0 where the driver does not say."""

    index: int
    uuid: str
    name: str
    memory_total_bytes: int
    memory_used_bytes: int
    # Share of the last sample period in which a kernel ran, 0 to 1.
    utilisation: float | None = None
    temperature_celsius: int | None = None
    power_watts: float | None = None
    processes: tuple[Process, ...] = ()


class DriverUnavailable(EngineFailed):
    """The driver is missing, fails, or knows no device; the message says which in plain words."""

    def __init__(self, message: str) -> None:
        super().__init__("gpu.driver_unavailable", message)


class DeviceReader(Protocol):
    """A way to read all GPUs. Blocking; used from one thread only."""

    @property
    def info(self) -> EngineInfo:
        """What reads, and the driver's version once that is known."""
        ...

    def read(self) -> tuple[Device, ...]:
        """All devices that answer, at least one. Raises `DriverUnavailable`; the next call begins afresh."""
        ...

    def close(self) -> None:
        """Let go of the driver."""
        ...
