# Generated from proto/anchor/session/v1/session.proto by `make proto`. Do not edit.
"""Health of the system."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ServiceHealth(IntEnum):
    """How well a service is."""

    SERVICE_HEALTH_UNSPECIFIED = 0
    """Not known yet."""
    SERVICE_HEALTH_READY = 1
    """Ready to work."""
    SERVICE_HEALTH_LOADING = 2
    """Up, not ready: a model is loading."""
    SERVICE_HEALTH_DOWN = 3
    """Not reachable or not alive."""


class GpuPressure(IntEnum):
    """How short of memory a GPU is."""

    GPU_PRESSURE_UNSPECIFIED = 0
    """Not known."""
    GPU_PRESSURE_NONE = 1
    """Enough memory."""
    GPU_PRESSURE_HIGH = 2
    """Above the pressure threshold."""
    GPU_PRESSURE_CRITICAL = 3
    """So full that the next allocation may fail."""


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """Health of the system."""

    services: tuple[ServiceStatus, ...] = ()
    """Every service the orchestrator leans on."""
    gpu: GpuStatus | None = None
    """The GPU in one line; absent when there is no monitor."""
    degraded: tuple[Degradation, ...] = ()
    """What is done without for now; empty when nothing is. Sent unasked whenever it changes, each change beside an
    `error` with the code.
    """


@dataclass(frozen=True, slots=True)
class Degradation:
    """Something that is done without for now."""

    code: str
    """Stable dotted code, such as `memory.small_voice`."""
    message: str
    """What it is and why, for people."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service."""

    service: str
    """Name of the service."""
    health: ServiceHealth
    """How it is."""
    engine: str = ""
    """Engine it runs; empty when not known."""
    model: str = ""
    """Model it runs; empty when not known."""
    version: str = ""
    """Version of the engine; empty when not known."""


@dataclass(frozen=True, slots=True)
class GpuStatus:
    """The GPU at a glance."""

    present: bool
    """Whether there is one."""
    unavailable_reason: str = ""
    """Why not, in plain words; empty when there is."""
    memory_total_mib: int = 0
    """Memory of all devices, in mebibytes."""
    memory_used_mib: int = 0
    """Memory in use, in mebibytes."""
    services: tuple[GpuServiceMemory, ...] = ()
    """What each service holds of it."""
    pressure: GpuPressure = GpuPressure.GPU_PRESSURE_UNSPECIFIED
    """How short of memory the fullest device is."""
    temperature_celsius: int | None = None
    """Temperature of the hottest device in degrees Celsius; absent where the driver does not say."""


@dataclass(frozen=True, slots=True)
class GpuServiceMemory:
    """What one service holds of the GPU's memory."""

    service: str
    """The service."""
    used_mib: int | None = None
    """Memory held, in mebibytes; absent where it is not known."""
    planned_mib: int | None = None
    """What it was given, in mebibytes; absent where nothing was planned for it."""
