"""Composition root of the GPU monitor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from anchor.gpu.v1 import gpu_pb2_grpc
from service_kit.engines.info import engine_class
from service_kit.engines.worker import EngineWorker
from service_kit.service import Service, new_health

from gpu_monitor.engine import DeviceReader
from gpu_monitor.engines import READERS
from gpu_monitor.memory.plan import read_plan
from gpu_monitor.memory.self_report_poller import SelfReportPoller
from gpu_monitor.reporters import build_reporters
from gpu_monitor.sampler import Sampler
from gpu_monitor.servicer import NAME, GpuMonitorServicer
from gpu_monitor.settings import GpuSettings

# Jobs queued for the reader's worker thread: one reading and the closing.
MAX_QUEUED = 2


def build(settings: GpuSettings | None = None) -> Service:
    """Build the service from `settings` (default: the environment). It becomes ready with or without a GPU."""
    settings = settings or GpuSettings()
    reader: DeviceReader = engine_class(READERS, settings.engine)(settings)
    health = new_health("gpu-monitor", reader.info, settings)
    worker = EngineWorker("gpu-reader", MAX_QUEUED)
    plan = read_plan(settings.plan_path)
    poller = SelfReportPoller(build_reporters(settings), settings.self_report_deadline_s, lambda: sampler.interval_s)
    sampler = Sampler(reader, worker, settings, plan, poller.latest)
    servicer = GpuMonitorServicer(sampler, plan, settings.interval_ms, lambda: health.ready)

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        try:
            await sampler.sample()
            async with asyncio.TaskGroup() as tasks:
                sampling = tasks.create_task(sampler.run(), name="sampler")
                polling = tasks.create_task(poller.run(), name="self-reports")
                yield
                sampling.cancel()
                polling.cancel()
        finally:
            await worker.run(reader.close)
            worker.close()

    def details() -> dict[str, object]:
        """The GPU part of `/info`; empty before the first reading."""
        if not health.ready:
            return {}
        snapshot = sampler.latest
        return {
            "availability": snapshot.availability.name.lower(),
            "reason": snapshot.reason,
            "devices": [device.name for device in snapshot.devices],
            **reader.info.notes,
        }

    return Service(
        settings=settings,
        health=health,
        servicers=[(NAME, lambda server: gpu_pb2_grpc.add_GpuMonitorServiceServicer_to_server(servicer, server))],
        lifespan=lifespan,
        details=details,
    )
