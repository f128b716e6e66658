"""What each service holds: what the driver counts and what services say, made one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpu_monitor.engine import Device, Process
from gpu_monitor.memory.self_report import EngineState, Told


@dataclass(frozen=True, slots=True)
class ServiceMemory:
    """One service, on all devices together. None: not told."""

    service: str
    driver_bytes: int | None = None
    told: Told | None = None
    planned_bytes: int | None = None

    @property
    def used_bytes(self) -> int | None:
        """The figure that counts: the driver's where there is one, since it sees all; else the service's own."""
        if self.driver_bytes is not None:
            return self.driver_bytes
        return self.told.report.held_bytes if self.told else None

    @property
    def unexplained_bytes(self) -> int | None:
        """What the driver counts beyond what the service says; below 0 where the service says more."""
        said = self.told.report.held_bytes if self.told else None
        return None if self.driver_bytes is None or said is None else self.driver_bytes - said

    @property
    def known_now(self) -> bool:
        """Whether `used_bytes` is of now."""
        stale = self.told is not None and self.told.stale
        return self.used_bytes is not None and (self.driver_bytes is not None or not stale)

    @property
    def state(self) -> EngineState:
        """What its engine does; where nothing is known of that, it is taken for awake."""
        return (self.told and self.told.report.state) or EngineState.AWAKE


def service_memory(
    devices: Iterable[Device], told: Mapping[str, Told], planned: Mapping[str, int]
) -> tuple[ServiceMemory, ...]:
    """The services that were planned or have told something, by name.

    A process of nobody's known is left out: it is among what `unattributed_bytes` says.
    """
    services = sorted({*told, *planned})
    processes = [process for device in devices for process in device.processes]
    owners = [owner(process, services, told) for process in processes]
    return tuple(
        ServiceMemory(
            service,
            _counted([process for process, owned in zip(processes, owners, strict=True) if owned == service]),
            told.get(service),
            planned.get(service),
        )
        for service in services
    )


def owner(process: Process, services: Iterable[str], told: Mapping[str, Told]) -> str:
    """The service that `process` belongs to: by its container, its package, or its command; empty when not known."""
    for service, heard in told.items():
        container_id = heard.report.container_id
        if container_id and process.container_id.startswith(container_id):
            return service
    if process.service in services:
        return process.service
    for service, heard in told.items():
        if heard.report.commands & {process.name, process.service}:
            return service
    return ""


def unattributed_bytes(devices: Iterable[Device], services: Iterable[ServiceMemory]) -> int:
    """What is in use and belongs to none of `services`; not below 0, since services may say too much."""
    used_bytes = sum(device.memory_used_bytes for device in devices)
    return max(0, used_bytes - sum(service.used_bytes or 0 for service in services))


def _counted(processes: list[Process]) -> int | None:
    """Bytes of all processes; None when there is none, or the driver does not say it of each."""
    held = [process.memory_used_bytes for process in processes]
    if not held or None in held:
        return None
    return sum(used_bytes or 0 for used_bytes in held)
