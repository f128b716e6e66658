"""gRPC servicer of `anchor.gpu.v1.GpuMonitorService`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from anchor.gpu.v1 import gpu_pb2, gpu_pb2_grpc
from grpc import aio
from service_kit.errors import InvalidRequest, NotReady

from gpu_monitor.codec import to_planned_memory, to_report, to_watch_response
from gpu_monitor.findings.notifications import NotificationTracker
from gpu_monitor.memory.plan import MemoryPlan
from gpu_monitor.sampler import Sampler

NAME = "anchor.gpu.v1.GpuMonitorService"
MIN_INTERVAL_MS = 100
MAX_INTERVAL_MS = 60_000

Context = aio.ServicerContext[Any, Any]


class GpuMonitorServicer(gpu_pb2_grpc.GpuMonitorServiceServicer):
    """Streams the latest report to every watcher; a slow watcher skips reports in between."""

    def __init__(self, sampler: Sampler, plan: MemoryPlan, interval_ms: int, is_serving: Callable[[], bool]) -> None:
        self._sampler = sampler
        self._plan = plan
        self._interval_ms = interval_ms
        self._is_serving = is_serving

    async def Watch(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: gpu_pb2.WatchRequest, context: Context
    ) -> None:
        interval_s = self._interval_s(request)
        loop = asyncio.get_running_loop()
        notifications = NotificationTracker()
        snapshot = self._sampler.latest
        due_s = loop.time()
        while self._is_serving():
            if loop.time() >= due_s:
                await context.write(gpu_pb2.WatchResponse(report=to_report(snapshot)))
                due_s = loop.time() + interval_s
            for notification in notifications.update(snapshot.findings):
                await context.write(to_watch_response(notification))
            try:
                async with asyncio.timeout_at(due_s):
                    snapshot = await self._sampler.wait_for_next(snapshot)
            except TimeoutError:
                snapshot = self._sampler.latest
        raise NotReady("gpu.stopping", "the service is stopping")

    async def GetPlan(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: gpu_pb2.GetPlanRequest, context: Context
    ) -> gpu_pb2.GetPlanResponse:
        findings = self._sampler.latest.findings
        services = [to_planned_memory(planned, findings) for planned in self._plan.services]
        total_bytes = sum(planned.total_bytes for planned in self._plan.services)
        return gpu_pb2.GetPlanResponse(services=services, total_bytes=total_bytes)

    def _interval_s(self, request: gpu_pb2.WatchRequest) -> float:
        interval_ms = request.interval_ms if request.HasField("interval_ms") else self._interval_ms
        if not MIN_INTERVAL_MS <= interval_ms <= MAX_INTERVAL_MS:
            allowed = f"{MIN_INTERVAL_MS} to {MAX_INTERVAL_MS}"
            raise InvalidRequest("gpu.bad_interval", f"interval_ms must be {allowed}, not {interval_ms}")
        return interval_ms / 1000
