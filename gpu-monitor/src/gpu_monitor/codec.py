"""Conversion of snapshots and notifications to `anchor.gpu.v1` messages."""

from __future__ import annotations

from anchor.gpu.v1 import gpu_pb2
from anchor.memory.v1 import memory_pb2

from gpu_monitor.engine import Device, GpuProcess
from gpu_monitor.findings.exhaustion import Exhaustion
from gpu_monitor.findings.findings import Findings
from gpu_monitor.findings.leak import MemoryTrend
from gpu_monitor.findings.notifications import LeakChanged, Notification, PlanVerdictChanged
from gpu_monitor.findings.pressure import Pressure
from gpu_monitor.memory.plan import PlannedMemory
from gpu_monitor.memory.self_report import ReceivedReport
from gpu_monitor.memory.service_memory import ServiceMemory
from gpu_monitor.snapshot import Snapshot


def to_report(snapshot: Snapshot) -> gpu_pb2.GpuReport:
    """The snapshot as a full report."""
    findings = snapshot.findings
    return gpu_pb2.GpuReport(
        availability=gpu_pb2.GpuAvailability.Name(snapshot.availability),
        unavailable_reason=snapshot.reason,
        devices=[_device(device, snapshot) for device in snapshot.devices],
        read_at_unix_ms=snapshot.read_at_unix_ms,
        services=[_service(service, findings) for service in findings.services.values()],
        unattributed_bytes=findings.unattributed_bytes,
    )


def to_watch_response(notification: Notification) -> gpu_pb2.WatchResponse:
    """One notification as an event of the watch."""
    match notification:
        case Pressure():
            return gpu_pb2.WatchResponse(pressure_changed=_pressure_changed(notification))
        case Exhaustion():
            return gpu_pb2.WatchResponse(exhaustion_changed=_exhaustion_changed(notification))
        case PlanVerdictChanged():
            return gpu_pb2.WatchResponse(plan_verdict_changed=_plan_verdict_changed(notification))
        case LeakChanged():
            return gpu_pb2.WatchResponse(leak_changed=_leak_changed(notification))


def _pressure_changed(pressure: Pressure) -> gpu_pb2.PressureChanged:
    """The pressure of one device."""
    return gpu_pb2.PressureChanged(
        device_index=pressure.device_index,
        level=gpu_pb2.PressureLevel.Name(pressure.level),
        headroom_bytes=pressure.headroom and pressure.headroom.awake_bytes,
    )


def to_planned_memory(planned: PlannedMemory, findings: Findings) -> gpu_pb2.PlannedMemory:
    """One plan entry with its service's current use and verdict."""
    service = findings.services.get(planned.service)
    return gpu_pb2.PlannedMemory(
        service=planned.service,
        model=planned.model,
        weights_bytes=planned.weights_bytes,
        kv_cache_bytes=planned.kv_cache_bytes,
        activations_bytes=planned.activations_bytes,
        context_bytes=planned.context_bytes,
        used_bytes=service.used_bytes if service else None,
        verdict=_verdict(findings, planned.service),
    )


def _device(device: Device, snapshot: Snapshot) -> gpu_pb2.Device:
    exhaustion = snapshot.findings.exhaustion.get(device.index, Exhaustion(device.index))
    pressure = snapshot.findings.pressures.get(device.index)
    headroom = pressure and pressure.headroom
    return gpu_pb2.Device(
        index=device.index,
        uuid=device.uuid,
        name=device.name,
        memory_total_bytes=device.memory_total_bytes,
        memory_used_bytes=device.memory_used_bytes,
        memory_budget_bytes=snapshot.memory_budget_bytes,
        utilisation=device.utilisation,
        temperature_celsius=device.temperature_celsius,
        power_watts=device.power_watts,
        processes=[_process(process) for process in device.processes],
        exhaustion=gpu_pb2.ExhaustionCause.Name(exhaustion.cause),
        seconds_to_full=exhaustion.seconds_to_full,
        headroom_bytes=headroom and headroom.awake_bytes,
    )


def _process(process: GpuProcess) -> gpu_pb2.GpuProcess:
    return gpu_pb2.GpuProcess(
        pid=process.pid,
        name=process.name,
        service=process.service,
        memory_used_bytes=process.memory_used_bytes,
        container_id=process.container_id,
    )


def _service(service: ServiceMemory, findings: Findings) -> gpu_pb2.ServiceMemory:
    return gpu_pb2.ServiceMemory(
        service=service.service,
        used_bytes=service.used_bytes,
        driver_bytes=service.driver_bytes,
        self_report=_self_report(service.received),
        unexplained_bytes=service.unexplained_bytes,
        planned_bytes=service.planned_bytes,
        verdict=_verdict(findings, service.service),
        trend=_trend(findings.trends.get(service.service)),
    )


def _self_report(received: ReceivedReport | None) -> gpu_pb2.SelfReport | None:
    if received is None:
        return None
    report = received.report
    return gpu_pb2.SelfReport(
        state=memory_pb2.EngineState.Name(report.state),
        models=report.models,
        parts=[
            memory_pb2.MemoryPart(kind=memory_pb2.MemoryKind.Name(kind), bytes=held)
            for kind, held in report.parts.items()
        ],
        other_bytes=report.other_bytes,
        complete=report.complete,
        kv_cache_used_share=report.kv_cache_used_share,
        age_ms=round(received.age_s * 1000),
        stale=received.stale,
    )


def _trend(trend: MemoryTrend | None) -> gpu_pb2.MemoryTrend | None:
    if trend is None:
        return None
    return gpu_pb2.MemoryTrend(
        slope_bytes_per_hour=trend.slope,
        slope_lower_bytes_per_hour=trend.slope_lower,
        growth_bytes=trend.growth_bytes,
        leaking=trend.leaking,
    )


def _verdict(findings: Findings, service: str) -> str:
    return gpu_pb2.PlanVerdict.Name(findings.verdicts.get(service, gpu_pb2.PLAN_VERDICT_UNSPECIFIED))


def _exhaustion_changed(exhaustion: Exhaustion) -> gpu_pb2.ExhaustionChanged:
    return gpu_pb2.ExhaustionChanged(
        device_index=exhaustion.device_index,
        cause=gpu_pb2.ExhaustionCause.Name(exhaustion.cause),
        service=exhaustion.service,
        free_bytes=exhaustion.free_bytes,
        seconds_to_full=exhaustion.seconds_to_full,
        outstanding_bytes=exhaustion.outstanding_bytes,
    )


def _plan_verdict_changed(change: PlanVerdictChanged) -> gpu_pb2.PlanVerdictChanged:
    return gpu_pb2.PlanVerdictChanged(
        service=change.service,
        verdict=gpu_pb2.PlanVerdict.Name(change.verdict),
        used_bytes=change.used_bytes,
        planned_bytes=change.planned_bytes,
    )


def _leak_changed(change: LeakChanged) -> gpu_pb2.LeakChanged:
    return gpu_pb2.LeakChanged(service=change.service, leaking=change.leaking, trend=_trend(change.trend))
