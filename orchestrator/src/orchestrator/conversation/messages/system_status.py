# Generated from proto/anchor/session/v1/session.proto by `make proto`. Do not edit.
"""Health of the system."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ServiceHealth(IntEnum):
    """Health of a service."""

    SERVICE_HEALTH_UNSPECIFIED = 0
    """Not known yet."""
    SERVICE_HEALTH_READY = 1
    """Ready for work."""
    SERVICE_HEALTH_LOADING = 2
    """Running but not ready: a model is loading."""
    SERVICE_HEALTH_DOWN = 3
    """Unreachable or not running."""


class GpuPressure(IntEnum):
    """Memory pressure on a GPU."""

    GPU_PRESSURE_UNSPECIFIED = 0
    """Unknown."""
    GPU_PRESSURE_NONE = 1
    """Enough memory is free for everything that is planned."""
    GPU_PRESSURE_ELEVATED = 2
    """Enough memory is free now, but parked services would not find what the plan assigns to them."""
    GPU_PRESSURE_HIGH = 3
    """Less memory stays free than is meant to, when awake services take what the plan assigns to them."""
    GPU_PRESSURE_CRITICAL = 4
    """The device is so full that the next allocation may fail."""


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """Health of the system."""

    services: tuple[ServiceStatus, ...] = ()
    """Every service that the orchestrator depends on."""
    gpu: GpuStatus | None = None
    """Summary of the GPUs; absent without a GPU monitor."""
    degraded: tuple[Degradation, ...] = ()
    """Active degradations; empty when there are none. The server sends a `system_status` unasked on every change, after
    a `service_notice` for each degradation that began or ended.
    """


@dataclass(frozen=True, slots=True)
class Degradation:
    """A capability that is reduced or switched off at present."""

    code: str
    """Stable dotted code, such as `memory.small_voice`."""
    message: str
    """Human-readable description and reason."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """Status of one service."""

    service: str
    """Name of the service."""
    health: ServiceHealth
    """Health of the service."""
    engine: str = ""
    """Engine that the service runs; empty when unknown."""
    model: str = ""
    """Model that the service runs; empty when unknown."""
    version: str = ""
    """Version of the engine; empty when unknown."""
    languages: tuple[str, ...] = ()
    """Languages that the engine understands or speaks, ISO 639-1; empty when unknown, and for an engine without
    languages.
    """


@dataclass(frozen=True, slots=True)
class GpuStatus:
    """Summary of the GPUs."""

    present: bool
    """Whether a GPU is present."""
    unavailable_reason: str = ""
    """Human-readable reason when no GPU is present; otherwise empty."""
    memory_total_mib: int = 0
    """Total memory of all devices, in mebibytes."""
    memory_used_mib: int = 0
    """Memory in use on all devices, in mebibytes."""
    services: tuple[GpuServiceMemory, ...] = ()
    """Memory held by each service."""
    pressure: GpuPressure = GpuPressure.GPU_PRESSURE_UNSPECIFIED
    """Memory pressure on the fullest device."""
    temperature_celsius: int | None = None
    """Temperature of the hottest device in degrees Celsius; absent where the driver does not report it."""


@dataclass(frozen=True, slots=True)
class GpuServiceMemory:
    """GPU memory held by one service."""

    service: str
    """Name of the service."""
    used_mib: int | None = None
    """Memory in use, in mebibytes; absent when unknown."""
    planned_mib: int | None = None
    """Memory that the plan assigns, in mebibytes; absent when the plan does not include the service."""
    leaking: bool = False
    """Whether the service has grown steadily over the last half hour: a memory leak."""
