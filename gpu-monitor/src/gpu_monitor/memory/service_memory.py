"""Attributes GPU memory to services, from the driver's processes and the self-reports. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service_kit.engines.memory import MemoryKind

from gpu_monitor.engine import Device, GpuProcess
from gpu_monitor.memory.plan import MemoryPlan
from gpu_monitor.memory.self_report import EngineState, ReceivedReport


@dataclass(frozen=True, slots=True)
class ServiceMemory:
    """Memory of one service on all devices; None for unknown figures."""

    service: str
    driver_bytes: int | None = None
    received: ReceivedReport | None = None
    planned_bytes: int | None = None
    # The part of `planned_bytes` that is the CUDA context.
    planned_context_bytes: int = 0

    @property
    def used_bytes(self) -> int | None:
        """The driver's figure when available, because it sees everything; else the self-reported one."""
        if self.driver_bytes is not None:
            return self.driver_bytes
        return self.received.report.held_bytes if self.received else None

    @property
    def unexplained_bytes(self) -> int | None:
        """Driver bytes minus self-reported bytes; negative when the service reports more."""
        reported = self.received.report.held_bytes if self.received else None
        return None if self.driver_bytes is None or reported is None else self.driver_bytes - reported

    @property
    def outstanding_bytes(self) -> int:
        """Planned memory that it has not allocated yet; 0 without a plan or a current figure."""
        if self.planned_bytes is None or not self.is_current:
            return 0
        return max(0, self.planned_bytes - (self.used_bytes or 0) - self._unreported_context_bytes)

    @property
    def is_current(self) -> bool:
        """Whether `used_bytes` is known and not from a stale report."""
        stale = self.received is not None and self.received.stale
        return self.used_bytes is not None and (self.driver_bytes is not None or not stale)

    @property
    def _unreported_context_bytes(self) -> int:
        """The CUDA context of a service that holds memory and reports it without its context, as planned."""
        report = self.received.report if self.received and self.driver_bytes is None else None
        omits_context = report is not None and report.held_bytes and MemoryKind.CONTEXT not in report.parts
        return self.planned_context_bytes if omits_context else 0

    @property
    def state(self) -> EngineState:
        """State of its engine; AWAKE when unknown."""
        return (self.received and self.received.report.state) or EngineState.AWAKE


def attribute_memory(
    devices: Iterable[Device], reports: Mapping[str, ReceivedReport], plan: MemoryPlan
) -> tuple[ServiceMemory, ...]:
    """Memory of each service that is planned or has reported, sorted by name.

    Processes of no such service are left out; `unattributed_bytes` counts them.
    """
    planned, contexts = plan.bytes_by_service, plan.context_bytes_by_service
    services = sorted({*reports, *planned})
    processes = [process for device in devices for process in device.processes]
    owners = [owning_service(process, services, reports) for process in processes]
    return tuple(
        ServiceMemory(
            service,
            _driver_bytes([process for process, owned in zip(processes, owners, strict=True) if owned == service]),
            reports.get(service),
            planned.get(service),
            contexts.get(service, 0),
        )
        for service in services
    )


def owning_service(process: GpuProcess, services: Iterable[str], reports: Mapping[str, ReceivedReport]) -> str:
    """The service of `process`, matched by container, then package, then command; empty when unknown."""
    for service, received in reports.items():
        container_id = received.report.container_id
        if container_id and process.container_id.startswith(container_id):
            return service
    if process.service in services:
        return process.service
    for service, received in reports.items():
        if received.report.commands & {process.name, process.service}:
            return service
    return ""


def unattributed_bytes(devices: Iterable[Device], services: Iterable[ServiceMemory]) -> int:
    """Used memory that belongs to none of `services`; at least 0, because services may over-report."""
    used_bytes = sum(device.memory_used_bytes for device in devices)
    return max(0, used_bytes - sum(service.used_bytes or 0 for service in services))


def _driver_bytes(processes: list[GpuProcess]) -> int | None:
    """Total bytes of `processes`; None when there are none or the driver does not report each."""
    held = [process.memory_used_bytes for process in processes]
    if not held or None in held:
        return None
    return sum(used_bytes or 0 for used_bytes in held)
