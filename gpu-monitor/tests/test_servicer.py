"""The gRPC contract, over a real server with a controllable reader."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from anchor.gpu.v1 import gpu_pb2, gpu_pb2_grpc
from anchor.memory.v1 import memory_pb2
from gpu_monitor.engine import Device, DriverUnavailable, GpuProcess
from gpu_monitor.memory.plan import MemoryPlan, PlannedMemory
from gpu_monitor.memory.self_report import ReceivedReport, SelfReport
from gpu_monitor.sampler import Sampler
from gpu_monitor.servicer import NAME, GpuMonitorServicer
from gpu_monitor.settings import GpuSettings
from service_kit.engines.info import EngineInfo
from service_kit.engines.memory import MemoryKind
from service_kit.engines.worker import EngineWorker
from service_kit.errors import InvalidRequest, PeerFailed
from service_kit.rpc.channel import Readable, await_response, read_message
from service_kit.testing.plugin import serve_grpc

HIGH, NONE = gpu_pb2.PRESSURE_LEVEL_HIGH, gpu_pb2.PRESSURE_LEVEL_NONE


class HeldReader:
    """Returns the values set on it; hangs while `answers` is cleared."""

    info = EngineInfo("held", "none", "0")

    def __init__(self) -> None:
        self.used = 10
        self.failure = ""
        self.reads = 0
        self.held: int | None = 5
        # Self-report by service.
        self.reports: dict[str, ReceivedReport] = {}
        self.answers = threading.Event()
        self.answers.set()

    def read(self) -> tuple[Device, ...]:
        self.reads += 1
        self.answers.wait()
        if self.failure:
            raise DriverUnavailable(self.failure)
        processes = (GpuProcess(7, "python3", "stt-service", self.held), GpuProcess(8))
        return (Device(0, "GPU-0", "GPU", 100, self.used, utilisation=0.0, processes=processes),)

    def close(self) -> None:
        self.answers.set()


class Monitor:
    """A served monitor and the controls for a test."""

    def __init__(
        self,
        reader: HeldReader,
        sampler: Sampler,
        servicer: GpuMonitorServicer,
        stub: gpu_pb2_grpc.GpuMonitorServiceAsyncStub,
    ) -> None:
        self.reader = reader
        self.sampler = sampler
        self.servicer = servicer
        self.stub = stub
        self.is_open = True

    @asynccontextmanager
    async def watch(self, interval_ms: int | None = 100) -> AsyncGenerator[Watcher]:
        call = self.stub.Watch(gpu_pb2.WatchRequest(interval_ms=interval_ms))
        try:
            yield Watcher(call)
        finally:
            call.cancel()


class Watcher:
    """One open watch."""

    def __init__(self, call: Readable[gpu_pb2.WatchResponse]) -> None:
        self._call = call

    async def next(self) -> gpu_pb2.WatchResponse:
        message = await read_message(self._call, "gpu", within_s=20)
        assert message is not None
        return message

    async def report(self) -> gpu_pb2.GpuReport:
        while (event := await self.next()).WhichOneof("event") != "report":
            pass
        return event.report

    async def drain(self) -> None:
        """Read until the call ends."""
        while await self.next():
            pass

    async def pressure(self) -> gpu_pb2.PressureChanged:
        while (event := await self.next()).WhichOneof("event") != "pressure_changed":
            pass
        return event.pressure_changed


@asynccontextmanager
async def monitoring(reader: HeldReader, plan: MemoryPlan | None = None, **settings: object) -> AsyncGenerator[Monitor]:
    chosen = GpuSettings.model_validate({"interval_ms": 100, "retry_interval_s": 0.05, **settings})
    worker = EngineWorker("gpu-reader", 2)
    sampler = Sampler(reader, worker, chosen, plan or MemoryPlan(), reader.reports.copy)
    await sampler.sample()
    monitor: Monitor
    servicer = GpuMonitorServicer(sampler, plan or MemoryPlan(), chosen.interval_ms, lambda: monitor.is_open)
    try:
        async with (
            serve_grpc(
                NAME, lambda server: gpu_pb2_grpc.add_GpuMonitorServiceServicer_to_server(servicer, server)
            ) as channel,
            asyncio.TaskGroup() as tasks,
        ):
            monitor = Monitor(reader, sampler, servicer, gpu_pb2_grpc.GpuMonitorServiceStub(channel))
            sampling = tasks.create_task(sampler.run())
            yield monitor
            sampling.cancel()
    finally:
        reader.close()
        worker.close()


@pytest.fixture
async def monitor() -> AsyncGenerator[Monitor]:
    async with monitoring(HeldReader()) as monitor:
        yield monitor


async def test_first_report_arrives_immediately_with_all_values(monitor: Monitor):
    async with monitor.watch(60_000) as watcher:
        report = await watcher.report()
    (device,) = report.devices
    assert report.availability == gpu_pb2.GPU_AVAILABILITY_PRESENT
    assert (device.memory_total_bytes, device.memory_used_bytes) == (100, 10)
    assert device.HasField("utilisation")
    assert not device.HasField("power_watts")
    assert not device.HasField("memory_budget_bytes")
    assert [(process.service, process.HasField("memory_used_bytes")) for process in device.processes] == [
        ("stt-service", True),
        ("", False),
    ]


async def test_reports_arrive_at_the_interval_with_new_readings(monitor: Monitor):
    async with monitor.watch() as watcher:
        first = await watcher.report()
        monitor.reader.used = 20
        reports = [await watcher.report() for _ in range(3)]
    assert reports[-1].devices[0].memory_used_bytes == 20
    assert reports[-1].read_at_unix_ms > first.read_at_unix_ms


async def test_default_interval_applies_without_a_requested_one():
    loop = asyncio.get_running_loop()
    async with monitoring(HeldReader(), interval_ms=1000) as monitor, monitor.watch(None) as watcher:
        await watcher.report()
        started_s = loop.time()
        await watcher.report()
    assert 0.1 < loop.time() - started_s < 20


async def test_watchers_share_one_reading(monitor: Monitor):
    async with monitor.watch() as one, monitor.watch() as two, monitor.watch() as three:
        for watcher in (one, two, three):
            await watcher.report()
        before, started_s = monitor.reader.reads, asyncio.get_running_loop().time()
        for _ in range(3):
            await asyncio.gather(one.report(), two.report(), three.report())
        intervals = (asyncio.get_running_loop().time() - started_s) / 0.1
        assert monitor.reader.reads - before <= intervals + 1


@pytest.mark.parametrize("interval_ms", [0, 99, 60_001])
async def test_interval_out_of_range_is_rejected(monitor: Monitor, interval_ms: int):
    async with monitor.watch(interval_ms) as watcher:
        with pytest.raises(InvalidRequest) as refused:
            await watcher.next()
    assert refused.value.code == "gpu.bad_interval"


async def test_pressure_change_is_sent_between_reports(monitor: Monitor):
    async with monitor.watch(60_000) as watcher:
        await watcher.report()
        monitor.reader.used = 96
        began = (await watcher.next()).pressure_changed
        monitor.reader.used = 50
        ended = (await watcher.next()).pressure_changed
    assert (began.device_index, began.level) == (0, HIGH)
    assert began.headroom_bytes == 4
    assert ended.level == NONE


async def test_new_watcher_receives_pressure_after_the_first_report(monitor: Monitor):
    monitor.reader.used = 96
    async with monitor.watch() as early:
        await early.pressure()
        async with monitor.watch() as late:
            assert (await late.next()).WhichOneof("event") == "report"
            assert (await late.next()).pressure_changed.level == HIGH


async def test_budget_is_reported_and_used_for_pressure():
    reader = HeldReader()
    reader.used, reader.held = 60, 58
    reader.reports["stt-service"] = ReceivedReport(SelfReport())
    async with monitoring(reader, memory_limit_gb=50 / 1024**3) as monitor, monitor.watch() as watcher:
        device = (await watcher.report()).devices[0]
        assert (device.memory_budget_bytes, device.headroom_bytes) == (50, 50 - 58 + 10)
        assert (await watcher.pressure()).level == HIGH


async def test_absent_gpus_are_reported_until_one_appears():
    reader = HeldReader()
    reader.failure = "no driver"
    async with monitoring(reader) as monitor, monitor.watch() as watcher:
        report = await watcher.report()
        assert (report.availability, report.unavailable_reason) == (gpu_pb2.GPU_AVAILABILITY_ABSENT, "no driver")
        reader.failure = ""
        while (report := await watcher.report()).availability != gpu_pb2.GPU_AVAILABILITY_PRESENT:
            pass
        assert report.unavailable_reason == ""


async def test_driver_failure_is_reported_as_lost_and_recovers(monitor: Monitor):
    monitor.reader.used = 99
    async with monitor.watch() as watcher:
        assert (await watcher.pressure()).level == gpu_pb2.PRESSURE_LEVEL_CRITICAL
        monitor.reader.failure = "fell off the bus"
        assert (await watcher.pressure()).level == gpu_pb2.PRESSURE_LEVEL_UNSPECIFIED
        report = await watcher.report()
        assert (report.availability, len(report.devices)) == (gpu_pb2.GPU_AVAILABILITY_LOST, 0)
        monitor.reader.used, monitor.reader.failure = 10, ""
        assert (await watcher.pressure()).level == NONE
        assert (await watcher.report()).availability == gpu_pb2.GPU_AVAILABILITY_PRESENT


async def test_hanging_driver_is_reported_and_not_called_twice():
    reader = HeldReader()
    async with monitoring(reader, read_deadline_s=0.2) as monitor, monitor.watch() as watcher:
        while (await watcher.report()).availability != gpu_pb2.GPU_AVAILABILITY_PRESENT:
            pass
        reader.answers.clear()
        before = reader.reads
        async with asyncio.timeout(20):
            while reader.reads == before:
                await asyncio.sleep(0.01)
        asked = reader.reads
        while (report := await watcher.report()).availability != gpu_pb2.GPU_AVAILABILITY_LOST:
            pass
        assert "has not answered" in report.unavailable_reason
        await watcher.report()
        await watcher.report()
        assert reader.reads == asked
        reader.answers.set()
        while (await watcher.report()).availability != gpu_pb2.GPU_AVAILABILITY_PRESENT:
            pass


async def test_watches_end_when_the_service_stops(monitor: Monitor):
    async with monitor.watch() as watcher:
        await watcher.report()
        monitor.is_open = False
        with pytest.raises(PeerFailed) as ended:
            await watcher.drain()
    assert ended.value.code == "gpu.stopping"


async def test_get_plan_returns_every_entry_and_the_total():
    planned = PlannedMemory("stt-service", "m", weights_bytes=5, kv_cache_bytes=3, activations_bytes=2, context_bytes=1)
    async with monitoring(HeldReader(), MemoryPlan((planned, planned))) as monitor:
        plan = await await_response(monitor.stub.GetPlan(gpu_pb2.GetPlanRequest()), "gpu", 20)
    assert plan.total_bytes == 22
    assert (plan.services[1].service, plan.services[1].kv_cache_bytes) == ("stt-service", 3)


async def test_get_plan_is_empty_without_a_plan(monitor: Monitor):
    plan = await await_response(monitor.stub.GetPlan(gpu_pb2.GetPlanRequest()), "gpu", 20)
    assert plan == gpu_pb2.GetPlanResponse()


class HeldContext:
    """A call whose writes block until `unblocked` is set, as on a full connection."""

    def __init__(self) -> None:
        self.unblocked = asyncio.Event()
        self.writes = 0
        self.written: list[gpu_pb2.WatchResponse] = []

    async def write(self, message: gpu_pb2.WatchResponse) -> None:
        self.writes += 1
        await self.unblocked.wait()
        self.written.append(message)

    def used(self) -> list[int]:
        """Used bytes in the reports written so far."""
        return [
            event.report.devices[0].memory_used_bytes for event in self.written if event.WhichOneof("event") == "report"
        ]


async def test_slow_watcher_receives_only_the_latest_report(monitor):
    context = HeldContext()
    watching = asyncio.create_task(monitor.servicer.Watch(gpu_pb2.WatchRequest(interval_ms=100), context))
    while not context.writes:
        await asyncio.sleep(0.01)
    for used in (50, 93, 50, 77):
        monitor.reader.used = used
        asked = monitor.reader.reads
        while monitor.reader.reads < asked + 2:
            await asyncio.sleep(0.01)
    assert context.writes == 1
    context.unblocked.set()
    while len(context.used()) < 2:
        await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.wait((watching,))
    assert context.used() == [10, 77]
    assert not any(event.HasField("pressure_changed") for event in context.written)


async def test_service_report_has_driver_and_self_reported_bytes(monitor: Monitor):
    report = SelfReport(models=("m",), parts={MemoryKind.WEIGHTS: 3}, kv_cache_used_share=0.5)
    monitor.reader.reports["stt-service"] = ReceivedReport(report, age_s=1.5)
    async with monitor.watch() as watcher:
        while not (report := await watcher.report()).services:
            pass
    (service,) = report.services
    assert (service.used_bytes, service.driver_bytes, service.unexplained_bytes) == (5, 5, 2)
    assert (service.self_report.models, service.self_report.age_ms) == (["m"], 1500)
    assert service.self_report.state == memory_pb2.ENGINE_STATE_AWAKE
    assert [(part.kind, part.bytes) for part in service.self_report.parts] == [(memory_pb2.MEMORY_KIND_WEIGHTS, 3)]
    assert service.self_report.kv_cache_used_share == 0.5
    assert not service.HasField("planned_bytes")
    assert not service.HasField("trend")
    assert report.unattributed_bytes == 5


async def test_services_are_reported_without_a_driver():
    reader = HeldReader()
    reader.failure = "no driver"
    reader.reports["ollama"] = ReceivedReport(SelfReport(other_bytes=9))
    async with monitoring(reader) as monitor, monitor.watch() as watcher:
        (service,) = (await watcher.report()).services
    assert (service.service, service.used_bytes, service.self_report.other_bytes) == ("ollama", 9, 9)
    assert not service.HasField("driver_bytes")


async def test_get_plan_includes_current_use_and_verdict():
    plan = MemoryPlan(
        (PlannedMemory("stt-service", "m", weights_bytes=5), PlannedMemory("ollama", "n", weights_bytes=3))
    )
    async with monitoring(HeldReader(), plan) as monitor:
        stt, ollama = (await await_response(monitor.stub.GetPlan(gpu_pb2.GetPlanRequest()), "gpu", 20)).services
    assert (stt.used_bytes, stt.verdict) == (5, gpu_pb2.PLAN_VERDICT_WITHIN)
    assert not ollama.HasField("used_bytes")
    assert ollama.verdict == gpu_pb2.PLAN_VERDICT_UNSPECIFIED


async def test_leak_is_sent_between_reports_and_included_in_them():
    reader = HeldReader()
    async with (
        monitoring(
            reader, MemoryPlan((PlannedMemory("stt-service", "m"),)), leak_window_s=1.5, leak_growth_mib=1e-6
        ) as monitor,
        asyncio.TaskGroup() as growing,
    ):
        task = growing.create_task(leak(reader))
        async with monitor.watch(60_000) as watcher:
            while (event := await watcher.next()).WhichOneof("event") != "leak_changed":
                pass
            found = event.leak_changed
        async with monitor.watch(60_000) as late:
            shown = (await late.report()).services[0].trend
        task.cancel()
    assert (found.service, found.leaking, shown.leaking) == ("stt-service", True, True)
    assert 0 < shown.slope_lower_bytes_per_hour <= shown.slope_bytes_per_hour


async def leak(reader: HeldReader) -> None:
    """Grow the service's memory steadily until cancelled."""
    while True:
        reader.held = (reader.held or 0) + 10_000
        await asyncio.sleep(0.02)
