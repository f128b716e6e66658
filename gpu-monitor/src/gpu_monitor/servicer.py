"""`anchor.gpu.v1.GpuMonitorService` on top of the sampler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from anchor.gpu.v1 import gpu_pb2, gpu_pb2_grpc
from grpc import aio
from service_kit.errors import InvalidRequest, NotReady

from gpu_monitor.engine import Device, Process
from gpu_monitor.plan import Plan
from gpu_monitor.pressure import Level, Pressure, changes
from gpu_monitor.sampler import Sampler
from gpu_monitor.snapshot import Snapshot

NAME = "anchor.gpu.v1.GpuMonitorService"
MIN_INTERVAL_MS = 100
MAX_INTERVAL_MS = 60_000

Context = aio.ServicerContext[Any, Any]


class GpuMonitorServicer(gpu_pb2_grpc.GpuMonitorServiceServicer):
    """Tells the newest report to all who watch; whoever is slow misses what lay between."""

    def __init__(self, sampler: Sampler, plan: Plan, interval_ms: int, is_open: Callable[[], bool]) -> None:
        self._sampler = sampler
        self._plan = plan
        self._interval_ms = interval_ms
        self._is_open = is_open

    async def Watch(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: gpu_pb2.WatchRequest, context: Context
    ) -> None:
        interval_s = self._interval_s(request)
        loop = asyncio.get_running_loop()
        told: dict[int, Level] = {}
        snapshot = self._sampler.latest
        due_s = loop.time()
        while self._is_open():
            if loop.time() >= due_s:
                await context.write(gpu_pb2.WatchResponse(report=report(snapshot)))
                due_s = loop.time() + interval_s
            for pressure in changes(told, snapshot.pressures):
                told[pressure.device_index] = pressure.level
                await context.write(gpu_pb2.WatchResponse(pressure_changed=pressure_changed(pressure)))
            try:
                async with asyncio.timeout_at(due_s):
                    snapshot = await self._sampler.after(snapshot)
            except TimeoutError:
                snapshot = self._sampler.latest
        raise NotReady("gpu.stopping", "the service is stopping")

    async def GetPlan(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: gpu_pb2.GetPlanRequest, context: Context
    ) -> gpu_pb2.GetPlanResponse:
        services = [
            gpu_pb2.PlannedMemory(
                service=planned.service,
                model=planned.model,
                weights_bytes=planned.weights_bytes,
                kv_cache_bytes=planned.kv_cache_bytes,
                activations_bytes=planned.activations_bytes,
                context_bytes=planned.context_bytes,
            )
            for planned in self._plan.services
        ]
        total_bytes = sum(planned.total_bytes for planned in self._plan.services)
        return gpu_pb2.GetPlanResponse(services=services, total_bytes=total_bytes)

    def _interval_s(self, request: gpu_pb2.WatchRequest) -> float:
        interval_ms = request.interval_ms if request.HasField("interval_ms") else self._interval_ms
        if not MIN_INTERVAL_MS <= interval_ms <= MAX_INTERVAL_MS:
            allowed = f"{MIN_INTERVAL_MS} to {MAX_INTERVAL_MS}"
            raise InvalidRequest("gpu.bad_interval", f"interval_ms must be {allowed}, not {interval_ms}")
        return interval_ms / 1000


def report(snapshot: Snapshot) -> gpu_pb2.GpuReport:
    """`snapshot` as the wire has it."""
    return gpu_pb2.GpuReport(
        availability=gpu_pb2.GpuAvailability.Name(snapshot.availability),
        unavailable_reason=snapshot.reason,
        devices=[_device(device, snapshot.memory_budget_bytes) for device in snapshot.devices],
        read_at_unix_ms=snapshot.read_at_unix_ms,
    )


def pressure_changed(pressure: Pressure) -> gpu_pb2.PressureChanged:
    """`pressure` as the wire has it."""
    level = gpu_pb2.PressureLevel.Name(pressure.level)
    return gpu_pb2.PressureChanged(device_index=pressure.device_index, level=level, used_share=pressure.used_share)


def _device(device: Device, budget_bytes: int | None) -> gpu_pb2.Device:
    return gpu_pb2.Device(
        index=device.index,
        uuid=device.uuid,
        name=device.name,
        memory_total_bytes=device.memory_total_bytes,
        memory_used_bytes=device.memory_used_bytes,
        memory_budget_bytes=budget_bytes,
        utilisation=device.utilisation,
        temperature_celsius=device.temperature_celsius,
        power_watts=device.power_watts,
        processes=[_process(process) for process in device.processes],
    )


def _process(process: Process) -> gpu_pb2.GpuProcess:
    return gpu_pb2.GpuProcess(
        pid=process.pid, name=process.name, service=process.service, memory_used_bytes=process.memory_used_bytes
    )
