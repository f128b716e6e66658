"""Snapshots and news as the wire has them."""

from __future__ import annotations

from anchor.gpu.v1 import gpu_pb2
from anchor.memory.v1 import memory_pb2

from gpu_monitor.engine import Device, Process
from gpu_monitor.findings.exhaustion import Exhaustion
from gpu_monitor.findings.findings import Findings
from gpu_monitor.findings.leak import Trend
from gpu_monitor.findings.notifications import Change, LeakChanged, VerdictChanged
from gpu_monitor.findings.pressure import Pressure
from gpu_monitor.memory.plan import PlannedMemory
from gpu_monitor.memory.self_report import Told
from gpu_monitor.memory.service_memory import ServiceMemory
from gpu_monitor.snapshot import Snapshot


def report(snapshot: Snapshot) -> gpu_pb2.GpuReport:
    """All that is known."""
    findings = snapshot.findings
    return gpu_pb2.GpuReport(
        availability=gpu_pb2.GpuAvailability.Name(snapshot.availability),
        unavailable_reason=snapshot.reason,
        devices=[_device(device, snapshot) for device in snapshot.devices],
        read_at_unix_ms=snapshot.read_at_unix_ms,
        services=[_service(service, findings) for service in findings.services.values()],
        unattributed_bytes=findings.unattributed_bytes,
    )


def changed(change: Change) -> gpu_pb2.WatchResponse:
    """One event of the watch."""
    match change:
        case Pressure():
            return gpu_pb2.WatchResponse(pressure_changed=pressure_changed(change))
        case Exhaustion():
            return gpu_pb2.WatchResponse(exhaustion_changed=_exhaustion_changed(change))
        case VerdictChanged():
            return gpu_pb2.WatchResponse(plan_verdict_changed=_plan_verdict_changed(change))
        case LeakChanged():
            return gpu_pb2.WatchResponse(leak_changed=_leak_changed(change))


def pressure_changed(pressure: Pressure) -> gpu_pb2.PressureChanged:
    """A device's pressure."""
    level = gpu_pb2.PressureLevel.Name(pressure.level)
    return gpu_pb2.PressureChanged(device_index=pressure.device_index, level=level, used_share=pressure.used_share)


def planned_memory(planned: PlannedMemory, findings: Findings) -> gpu_pb2.PlannedMemory:
    """One entry of the plan, beside what its service uses of it."""
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
    )


def _process(process: Process) -> gpu_pb2.GpuProcess:
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
        self_report=_self_report(service.told),
        unexplained_bytes=service.unexplained_bytes,
        planned_bytes=service.planned_bytes,
        verdict=_verdict(findings, service.service),
        trend=_trend(findings.trends.get(service.service)),
    )


def _self_report(told: Told | None) -> gpu_pb2.SelfReport | None:
    if told is None:
        return None
    said = told.report
    return gpu_pb2.SelfReport(
        state=memory_pb2.EngineState.Name(said.state),
        models=said.models,
        parts=[
            memory_pb2.MemoryPart(kind=memory_pb2.MemoryKind.Name(kind), bytes=held)
            for kind, held in said.parts.items()
        ],
        other_bytes=said.other_bytes,
        complete=said.complete,
        kv_cache_used_share=said.kv_cache_used_share,
        age_ms=round(told.age_s * 1000),
        stale=told.stale,
    )


def _trend(trend: Trend | None) -> gpu_pb2.MemoryTrend | None:
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


def _plan_verdict_changed(change: VerdictChanged) -> gpu_pb2.PlanVerdictChanged:
    return gpu_pb2.PlanVerdictChanged(
        service=change.service,
        verdict=gpu_pb2.PlanVerdict.Name(change.verdict),
        used_bytes=change.used_bytes,
        planned_bytes=change.planned_bytes,
    )


def _leak_changed(change: LeakChanged) -> gpu_pb2.LeakChanged:
    return gpu_pb2.LeakChanged(service=change.service, leaking=change.leaking, trend=_trend(change.trend))
