"""The status of the other services, and the GPU monitor's reports."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from anchor.gpu.v1 import gpu_pb2, gpu_pb2_grpc
from app_server import serve_app
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response
from grpc import aio
from orchestrator.clients.status import StatusWatch
from orchestrator.conversation.messages.system_status import (
    Degradation,
    GpuPressure,
    GpuServiceMemory,
    GpuStatus,
    ServiceHealth,
    SystemStatus,
)
from orchestrator.memory_pressure.degradation_ladder import PressureLevel
from service_kit.engines.info import EngineInfo
from service_kit.errors import EngineFailed
from service_kit.health import Health, Status
from service_kit.http.routes import http_app
from service_kit.rpc.server import GrpcServer

READY = ServiceHealth.SERVICE_HEALTH_READY
LOADING = ServiceHealth.SERVICE_HEALTH_LOADING
DOWN = ServiceHealth.SERVICE_HEALTH_DOWN


@asynccontextmanager
async def listening(app: FastAPI) -> AsyncGenerator[str]:
    """Serve `app`; yields its URL."""
    async with serve_app(app) as address:
        yield f"http://{address}"


async def until(watch: StatusWatch, holds: Callable[[SystemStatus], bool]) -> SystemStatus:
    async with asyncio.timeout(20):
        while not holds(status := await watch.system_status()):
            await asyncio.sleep(0.01)
    return status


def health_of(status: SystemStatus) -> ServiceHealth:
    return status.services[0].health


async def test_status_is_read_from_the_ready_endpoint():
    health = Health("stt", EngineInfo("pocketsphinx", "en-us", "5", ("en",)))
    async with (
        listening(http_app(health, dict)) as address,
        StatusWatch({"stt": address}, None, interval_s=0.02).running() as watch,
    ):
        assert health_of(await watch.system_status()) is ServiceHealth.SERVICE_HEALTH_UNSPECIFIED
        await until(watch, lambda status: health_of(status) is LOADING)
        health.move_to(Status.READY)
        status = await until(watch, lambda status: health_of(status) is READY)
        levels = status.services[0]
        assert (levels.engine, levels.model, levels.version) == ("pocketsphinx", "en-us", "5")
        assert levels.languages == ("en",)
        assert status.gpu is None
        health.move_to(Status.FAILED)
        await until(watch, lambda status: health_of(status) is DOWN)


async def test_degraded_service_is_reported_until_it_has_recovered():
    reported: list[tuple[Degradation, ...]] = []
    reasons = {"degraded": "whisper-base is damaged"}
    health = Health("stt", EngineInfo("pocketsphinx", "en-us", "5"))
    health.details = lambda: reasons
    health.move_to(Status.READY)
    async with (
        listening(http_app(health, dict)) as address,
        StatusWatch({"stt": address}, None, on_degraded=reported.append, interval_s=0.02).running() as watch,
    ):
        await until(watch, lambda _: len(reported) == 1)
        reasons = {"degraded": ""}
        await until(watch, lambda _: len(reported) == 2)
    assert reported == [(Degradation("stt.degraded", "stt: whisper-base is damaged"),), ()]


async def test_ready_service_tells_what_it_runs():
    told: list[tuple[str, object]] = []
    health = Health("stt", EngineInfo("whisper", "whisper-base", "4"))
    health.details = lambda: {"max_streams": 34}

    def on_ready(service: str, fields: Mapping[str, object]) -> None:
        told.append((service, (fields["engine"], fields["model"], fields["max_streams"])))

    async with (
        listening(http_app(health, dict)) as address,
        StatusWatch({"stt": address}, None, on_ready=on_ready, interval_s=0.02).running() as watch,
    ):
        await until(watch, lambda status: health_of(status) is LOADING)
        assert told == []
        health.move_to(Status.READY)
        await until(watch, lambda _: bool(told))
    assert told[0] == ("stt", ("whisper", "whisper-base", 34))


async def test_vanished_service_is_down_and_keeps_its_engine_name():
    health = Health("stt", EngineInfo("pocketsphinx", "en-us", "5"))
    health.move_to(Status.READY)
    async with AsyncExitStack() as stack:
        async with listening(http_app(health, dict)) as address:
            watch = StatusWatch({"stt": address, "gone": "http://127.0.0.1:9"}, None, interval_s=0.02)
            await stack.enter_async_context(watch.running())
            await until(watch, lambda status: [each.health for each in status.services] == [READY, DOWN])
        status = await until(watch, lambda status: health_of(status) is DOWN)
    assert status.services[0].engine == "pocketsphinx"


async def hangs() -> Response:
    await asyncio.sleep(1)
    return Response()


async def not_json() -> Response:
    return PlainTextResponse("It works!")


async def not_an_object() -> Response:
    return PlainTextResponse("[]", media_type="application/json")


@pytest.mark.parametrize("answer", [hangs, not_json, not_an_object])
async def test_service_with_an_invalid_answer_is_down(answer: Callable[[], Awaitable[Response]]):
    app = FastAPI()
    app.get("/ready")(answer)
    async with (
        listening(app) as address,
        StatusWatch({"odd": address}, None, interval_s=0.02, deadline_s=0.1).running() as watch,
    ):
        await until(watch, lambda status: health_of(status) is DOWN)


class GpuMonitor(gpu_pb2_grpc.GpuMonitorServiceServicer):
    """Sends one report, fails on demand, and on the next call reports on demand that there is no GPU."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def Watch(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: gpu_pb2.WatchRequest, context: aio.ServicerContext[gpu_pb2.WatchRequest, gpu_pb2.WatchResponse]
    ) -> None:
        self.calls += 1
        if self.calls == 1:
            cool = gpu_pb2.Device(memory_total_bytes=24 << 30, memory_used_bytes=4 << 30)
            warm = gpu_pb2.Device(memory_total_bytes=24 << 30, memory_used_bytes=8 << 30, temperature_celsius=61)
            report = gpu_pb2.GpuReport(
                availability=gpu_pb2.GPU_AVAILABILITY_PRESENT,
                devices=[cool, warm],
                services=[
                    gpu_pb2.ServiceMemory(
                        service="tts",
                        used_bytes=9 << 30,
                        planned_bytes=10 << 30,
                        trend=gpu_pb2.MemoryTrend(leaking=True),
                    ),
                    gpu_pb2.ServiceMemory(service="llm"),
                ],
            )
            pressure = gpu_pb2.PressureChanged(level=gpu_pb2.PRESSURE_LEVEL_HIGH)
            await context.write(gpu_pb2.WatchResponse(pressure_changed=pressure))
            await context.write(gpu_pb2.WatchResponse(report=report))
            await self.fails.wait()
            raise EngineFailed("gpu.engine_failed", "the driver broke")
        await self.goes_on.wait()
        report = gpu_pb2.GpuReport(
            availability=gpu_pb2.GPU_AVAILABILITY_ABSENT, unavailable_reason="no NVIDIA driver here"
        )
        await context.write(gpu_pb2.WatchResponse(report=report))
        await asyncio.Event().wait()


async def test_gpu_status_survives_failures_of_the_monitor():
    monitor = GpuMonitor()
    async with served(monitor) as target, StatusWatch({}, target, interval_s=0.05, deadline_s=60).running() as watch:
        status = await until(watch, lambda status: status.gpu is not None)
        assert status.gpu == GpuStatus(
            present=True,
            memory_total_mib=48 * 1024,
            memory_used_mib=12 * 1024,
            services=(GpuServiceMemory("tts", 9 * 1024, 10 * 1024, leaking=True), GpuServiceMemory("llm")),
            pressure=GpuPressure.GPU_PRESSURE_HIGH,
            temperature_celsius=61,
        )
        monitor.fails.set()
        await until(watch, lambda status: status.gpu is None)
        monitor.goes_on.set()
        status = await until(watch, lambda status: status.gpu is not None)
        assert status.gpu == GpuStatus(present=False, unavailable_reason="no NVIDIA driver here")
    assert monitor.calls == 2


@asynccontextmanager
async def served(monitor: gpu_pb2_grpc.GpuMonitorServiceServicer) -> AsyncGenerator[str]:
    """Serve a monitor; yields its target."""
    health = Health("gpu-monitor", EngineInfo("test", "none", "0"))
    server = GrpcServer(
        health,
        [("gpu", lambda server: gpu_pb2_grpc.add_GpuMonitorServiceServicer_to_server(monitor, server))],
        reflect=False,
    )
    port = await server.start("127.0.0.1", 0)
    health.move_to(Status.READY)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


class ControlledMonitor(gpu_pb2_grpc.GpuMonitorServiceServicer):
    """Sends the responses that its test queues."""

    def __init__(self) -> None:
        self.script: asyncio.Queue[gpu_pb2.WatchResponse] = asyncio.Queue()

    def send_report(self, *devices: int) -> None:
        report = gpu_pb2.GpuReport(devices=[gpu_pb2.Device(index=index) for index in devices])
        self.script.put_nowait(gpu_pb2.WatchResponse(report=report))

    def send_pressure(self, level: gpu_pb2.PressureLevel, device: int = 0) -> None:
        changed = gpu_pb2.PressureChanged(device_index=device, level=level)
        self.script.put_nowait(gpu_pb2.WatchResponse(pressure_changed=changed))

    async def Watch(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: gpu_pb2.WatchRequest, context: aio.ServicerContext[gpu_pb2.WatchRequest, gpu_pb2.WatchResponse]
    ) -> None:
        while True:
            await context.write(await self.script.get())


@asynccontextmanager
async def watch_levels(monitor: ControlledMonitor) -> AsyncGenerator[tuple[StatusWatch, list[PressureLevel | None]]]:
    """Yield a watch of `monitor` and the list of its levels, without repetitions."""
    levels: list[PressureLevel | None] = []

    def append_level(level: PressureLevel | None) -> None:
        if levels[-1:] != [level]:
            levels.append(level)

    async with (
        served(monitor) as target,
        StatusWatch({}, target, on_pressure=append_level, deadline_s=60).running() as watch,
    ):
        yield watch, levels


async def test_device_without_pressure_reports_none():
    monitor = ControlledMonitor()
    async with watch_levels(monitor) as (watch, levels):
        monitor.send_report(0)
        monitor.send_report(0)
        await until(watch, lambda status: bool(status.gpu) and status.gpu.pressure is GpuPressure.GPU_PRESSURE_NONE)
    assert levels == [None, PressureLevel.NONE]


async def test_pressure_is_that_of_the_fullest_device():
    monitor = ControlledMonitor()
    async with watch_levels(monitor) as (watch, levels):
        monitor.send_report(0, 1)
        monitor.send_pressure(gpu_pb2.PRESSURE_LEVEL_CRITICAL, device=1)
        monitor.send_report(0, 1)
        await until(watch, lambda status: bool(status.gpu) and status.gpu.pressure is GpuPressure.GPU_PRESSURE_CRITICAL)
        monitor.send_pressure(gpu_pb2.PRESSURE_LEVEL_NONE, device=1)
        await until(watch, lambda status: bool(status.gpu) and status.gpu.pressure is GpuPressure.GPU_PRESSURE_NONE)
    assert levels == [None, PressureLevel.CRITICAL, PressureLevel.NONE]


async def test_elevated_pressure_is_passed_on():
    monitor = ControlledMonitor()
    async with watch_levels(monitor) as (watch, levels):
        monitor.send_report(0)
        monitor.send_pressure(gpu_pb2.PRESSURE_LEVEL_ELEVATED)
        await until(watch, lambda status: bool(status.gpu) and status.gpu.pressure is GpuPressure.GPU_PRESSURE_ELEVATED)
    assert levels[-1] is PressureLevel.ELEVATED


async def test_device_with_a_lost_driver_has_unknown_pressure():
    monitor = ControlledMonitor()
    async with watch_levels(monitor) as (watch, levels):
        monitor.send_report(0)
        monitor.send_pressure(gpu_pb2.PRESSURE_LEVEL_HIGH)
        await until(watch, lambda status: bool(status.gpu) and status.gpu.pressure is GpuPressure.GPU_PRESSURE_HIGH)
        monitor.send_pressure(gpu_pb2.PRESSURE_LEVEL_UNSPECIFIED)
        unknown = GpuPressure.GPU_PRESSURE_UNSPECIFIED
        await until(watch, lambda status: bool(status.gpu) and status.gpu.pressure is unknown)
    assert levels == [None, PressureLevel.HIGH, None]


async def test_without_a_monitor_there_is_no_gpu_status():
    async with StatusWatch({}, "127.0.0.1:9", interval_s=0.02).running() as watch:
        await asyncio.sleep(0.1)
        assert await watch.system_status() == SystemStatus((), None)


@pytest.mark.parametrize("reported", ["en", None, 5, [1, None, "", "EN", "a\nb", "x" * 99], {"en": 1}])
async def test_unfit_languages_of_a_service_are_left_out(reported: object):
    app = FastAPI()

    @app.get("/ready")
    async def ready() -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        return {"status": "ready", "engine": "whisper", "languages": reported}

    async with (
        listening(app) as address,
        StatusWatch({"stt": address}, None, interval_s=0.02).running() as watch,
    ):
        status = await until(watch, lambda status: health_of(status) is READY)
    assert status.services[0].languages == ()
