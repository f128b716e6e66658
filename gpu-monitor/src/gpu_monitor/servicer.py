"""`anchor.gpu.v1.GpuMonitorService` on top of the sampler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from anchor.gpu.v1 import gpu_pb2, gpu_pb2_grpc
from grpc import aio
from service_kit.errors import InvalidRequest, NotReady

from gpu_monitor.codec import changed, planned_memory, report
from gpu_monitor.findings.notifications import News
from gpu_monitor.memory.plan import Plan
from gpu_monitor.sampler import Sampler

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
        news = News()
        snapshot = self._sampler.latest
        due_s = loop.time()
        while self._is_open():
            if loop.time() >= due_s:
                await context.write(gpu_pb2.WatchResponse(report=report(snapshot)))
                due_s = loop.time() + interval_s
            for change in news.of(snapshot.findings):
                await context.write(changed(change))
            try:
                async with asyncio.timeout_at(due_s):
                    snapshot = await self._sampler.after(snapshot)
            except TimeoutError:
                snapshot = self._sampler.latest
        raise NotReady("gpu.stopping", "the service is stopping")

    async def GetPlan(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: gpu_pb2.GetPlanRequest, context: Context
    ) -> gpu_pb2.GetPlanResponse:
        findings = self._sampler.latest.findings
        services = [planned_memory(planned, findings) for planned in self._plan.services]
        total_bytes = sum(planned.total_bytes for planned in self._plan.services)
        return gpu_pb2.GetPlanResponse(services=services, total_bytes=total_bytes)

    def _interval_s(self, request: gpu_pb2.WatchRequest) -> float:
        interval_ms = request.interval_ms if request.HasField("interval_ms") else self._interval_ms
        if not MIN_INTERVAL_MS <= interval_ms <= MAX_INTERVAL_MS:
            allowed = f"{MIN_INTERVAL_MS} to {MAX_INTERVAL_MS}"
            raise InvalidRequest("gpu.bad_interval", f"interval_ms must be {allowed}, not {interval_ms}")
        return interval_ms / 1000
