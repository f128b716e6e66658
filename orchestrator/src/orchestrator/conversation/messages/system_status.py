"""How the services and the GPU are, as clients are told: the largest of `server_messages`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ServiceHealth(IntEnum):
    """How well a service is."""

    SERVICE_HEALTH_UNSPECIFIED = 0
    SERVICE_HEALTH_READY = 1
    SERVICE_HEALTH_LOADING = 2
    SERVICE_HEALTH_DOWN = 3


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    service: str
    health: ServiceHealth
    engine: str = ""
    model: str = ""
    version: str = ""


class GpuPressure(IntEnum):
    """How short of memory a GPU is."""

    GPU_PRESSURE_UNSPECIFIED = 0
    GPU_PRESSURE_NONE = 1
    GPU_PRESSURE_HIGH = 2
    GPU_PRESSURE_CRITICAL = 3


@dataclass(frozen=True, slots=True)
class GpuServiceMemory:
    service: str
    used_mib: int | None = None
    planned_mib: int | None = None


@dataclass(frozen=True, slots=True)
class GpuStatus:
    present: bool
    unavailable_reason: str = ""
    memory_total_mib: int = 0
    memory_used_mib: int = 0
    services: tuple[GpuServiceMemory, ...] = ()
    pressure: GpuPressure = GpuPressure.GPU_PRESSURE_UNSPECIFIED
    temperature_celsius: int | None = None


@dataclass(frozen=True, slots=True)
class Degradation:
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SystemStatus:
    services: tuple[ServiceStatus, ...]
    gpu: GpuStatus | None = None
    degraded: tuple[Degradation, ...] = ()
