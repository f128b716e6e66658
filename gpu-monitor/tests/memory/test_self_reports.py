"""Asking services what they hold: over real connections, and with services that hang or fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from anchor.memory.v1 import memory_pb2
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from gpu_monitor.memory.self_report import Ask, EngineState, Reporter, SelfReport
from gpu_monitor.memory.self_reports import FORGOTTEN_AFTER_S, SelfReports
from gpu_monitor.reporters import reporters
from gpu_monitor.reporters.engine_memory import EngineMemoryReporter, self_report
from gpu_monitor.reporters.ollama import OllamaReporter
from gpu_monitor.reporters.vllm import VllmReporter
from gpu_monitor.settings import GpuSettings
from service_kit.engines.info import EngineInfo
from service_kit.engines.memory import SERVICE_NAME, EngineMemoryServicer, MemoryKind
from service_kit.errors import AnchorError, PeerFailed
from service_kit.health import Health, Status
from service_kit.http.server import http_server
from service_kit.rpc.server import GrpcServer

VLLM = """
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="voxtral"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="voxtral"} 0.5
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",kv_cache_memory_bytes="1073741824",num_gpu_blocks="546"} 1.0
"""


class HeldReporter:
    """Answers with what it holds; hangs without anything."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.answer: SelfReport | AnchorError | None = SelfReport(other_bytes=5)
        self.asked = 0

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Ask]:
        yield self._ask

    async def _ask(self) -> SelfReport:
        self.asked += 1
        match self.answer:
            case None:
                await asyncio.Event().wait()
                raise AssertionError
            case AnchorError() as error:
                raise error
            case report:
                return report


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@asynccontextmanager
async def asking(*asked: Reporter, clock: Clock | None = None) -> AsyncGenerator[SelfReports]:
    """Self-reports that are asked for every 10 ms, and given up after 50."""
    times = {"clock": clock} if clock else {}
    reports = SelfReports(asked, 0.05, lambda: 0.01, **times)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(reports.run())
        yield reports
        task.cancel()


async def until(met: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not met():
            await asyncio.sleep(0.005)


async def first(reporter: Reporter) -> SelfReport:
    """Its first answer."""
    async with reporter.open() as ask, asyncio.timeout(20):
        return await ask()


@asynccontextmanager
async def http(app: FastAPI) -> AsyncGenerator[str]:
    server = http_server(app, "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


def answering(path: str, body: str, status: int = 200) -> FastAPI:
    app = FastAPI()
    app.get(path)(lambda: PlainTextResponse(body, status))
    return app


class Engine:
    """Holds something on the GPU."""

    async def memory(self) -> dict[MemoryKind, int]:
        return {MemoryKind.WEIGHTS: 7, MemoryKind.CONTEXT: 2}


@asynccontextmanager
async def service(engine: object) -> AsyncGenerator[str]:
    """A service of ours with that engine; its address."""
    servicer = EngineMemoryServicer(engine, EngineInfo("test", "a-model", "0"), "ab" * 32)
    health = Health("test", EngineInfo("test", "none", "0"))
    server = GrpcServer(health, [(SERVICE_NAME, servicer.add_to)], reflect=False)
    port = await server.start("127.0.0.1", 0)
    health.move_to(Status.READY)
    await server.set_ready(True)
    yield f"127.0.0.1:{port}"
    await server.stop(0)


async def test_a_service_of_ours_tells_what_its_engine_holds():
    async with service(Engine()) as target:
        report = await first(EngineMemoryReporter("tts-service", target))
    assert report == SelfReport(
        EngineState.AWAKE,
        models=("a-model",),
        parts={MemoryKind.WEIGHTS: 7, MemoryKind.CONTEXT: 2},
        container_id="ab" * 32,
    )
    assert report.held_bytes == 9


async def test_an_engine_that_cannot_tell_holds_nobody_knows_what():
    async with service(object()) as target:
        assert (await first(EngineMemoryReporter("tts-service", target))).held_bytes is None


@pytest.mark.parametrize(
    ("state", "held"), [(memory_pb2.ENGINE_STATE_PARKED, 0), (memory_pb2.ENGINE_STATE_AWAKE, None)]
)
def test_nothing_is_held_by_an_engine_that_is_parked(state: memory_pb2.EngineState, held: int | None):
    assert self_report(memory_pb2.GetMemoryResponse(state=state)).held_bytes == held


async def test_a_service_that_is_not_there_is_a_failed_peer():
    with pytest.raises(PeerFailed):
        await first(EngineMemoryReporter("tts-service", "127.0.0.1:9"))


def test_what_is_newer_than_this_monitor_is_not_lost():
    # The state is 99, and the kind of 4 bytes 77.
    said = memory_pb2.GetMemoryResponse.FromString(b"\x08\x63\x22\x04\x08\x4d\x10\x04")
    report = self_report(said)
    assert (report.state, report.parts, report.held_bytes) == (EngineState.UNKNOWN, {}, 4)


async def test_ollama_tells_its_models_and_what_they_take_of_the_gpu():
    models = [{"name": "a", "size": 90, "size_vram": 70}, {"name": "b", "size": 9, "size_vram": 0}]
    async with http(answering("/api/ps", json.dumps({"models": models}))) as url:
        report = await first(OllamaReporter(url + "/"))
    assert (report.models, report.held_bytes, "ollama" in report.commands) == (("a", "b"), 70, True)


@pytest.mark.parametrize("body", ['{"models": []}', '{"models": null}'])
async def test_ollama_without_a_model_holds_nothing(body: str):
    async with http(answering("/api/ps", body)) as url:
        report = await first(OllamaReporter(url))
    assert (report.state, report.held_bytes) == (EngineState.PARKED, 0)


@pytest.mark.parametrize(
    ("body", "status"), [("<html>", 200), ('{"models": [{}]}', 200), ('{"models": []}', 500), ("[]", 200)]
)
async def test_an_answer_that_is_none_of_ollamas_is_a_failed_peer(body: str, status: int):
    async with http(answering("/api/ps", body, status)) as url:
        with pytest.raises(PeerFailed, match="self_report_failed"):
            await first(OllamaReporter(url))


async def test_vllm_tells_its_cache_and_that_it_does_not_tell_all():
    async with http(answering("/metrics", VLLM)) as url:
        report = await first(VllmReporter(url + "/v1"))
    assert (report.parts, report.kv_cache_used_share) == ({MemoryKind.KV_CACHE: 1 << 30}, 0.5)
    assert (report.models, report.held_bytes) == (("voxtral",), None)


async def test_vllm_that_sized_its_cache_by_itself_does_not_tell_it():
    async with http(answering("/metrics", VLLM.replace("1073741824", "None"))) as url:
        report = await first(VllmReporter(url))
    assert (report.parts, report.kv_cache_used_share) == ({}, 0.5)


@pytest.mark.parametrize("body", ["anchor_ready 1\n", "not { metrics", ""])
async def test_metrics_that_are_none_of_vllms_are_a_failed_peer(body: str):
    async with http(answering("/metrics", body)) as url:
        with pytest.raises(PeerFailed):
            await first(VllmReporter(url))


async def test_a_service_that_hangs_keeps_nobody_waiting():
    hangs, answers = HeldReporter("hangs"), HeldReporter("answers")
    hangs.answer = None
    async with asking(hangs, answers) as reports:
        await until(lambda: answers.asked > 3 and hangs.asked > 1)
        assert reports.told().keys() == {"answers"}


async def test_the_last_answer_is_kept_with_its_age_then_marked_then_forgotten():
    reporter, clock = HeldReporter("tts-service"), Clock()
    async with asking(reporter, clock=clock) as reports:
        await until(reports.told)
        reporter.answer = PeerFailed("tts.gone", "it is gone")
        asked = reporter.asked
        await until(lambda: reporter.asked > asked + 1)
        assert not reports.told()["tts-service"].stale
        clock.now_s += 20
        told = reports.told()["tts-service"]
        assert (told.stale, told.age_s, told.report.other_bytes) == (True, 20, 5)
        clock.now_s += FORGOTTEN_AFTER_S
        assert reports.told() == {}
        reporter.answer = SelfReport(other_bytes=6)
        await until(reports.told)
        assert reports.told()["tts-service"].report.other_bytes == 6


async def test_what_several_know_of_one_service_is_put_together():
    whole, half = HeldReporter("stt-service"), HeldReporter("stt-service")
    half.answer = SelfReport(complete=False, kv_cache_used_share=0.5)
    async with asking(whole, half) as reports:
        await until(lambda: half.asked > 1 and whole.asked > 1)
        report = reports.told()["stt-service"].report
    assert (report.held_bytes, report.kv_cache_used_share) == (5, 0.5)


async def test_a_mistake_of_ours_is_not_taken_for_a_service_that_fails():
    reporter = HeldReporter("tts-service")

    async def broken() -> SelfReport:
        raise ZeroDivisionError

    reporter._ask = broken  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(ExceptionGroup):
        async with asking(reporter):
            await asyncio.sleep(20)


def named(asked: Sequence[Reporter]) -> list[str]:
    return [reporter.service for reporter in asked]


def test_services_are_asked_as_the_settings_say():
    own = {"services": {"tts-service": "a:1"}}
    assert named(reporters(GpuSettings.model_validate(own))) == ["tts-service"]
    assert named(reporters(GpuSettings.model_validate({**own, "profile": "gpu"}))) == ["tts-service", "ollama"]
    with_vllm = {**own, "vllm_url": "http://b:2"}
    assert named(reporters(GpuSettings.model_validate(with_vllm))) == ["tts-service", "stt-service"]


def test_services_are_read_as_json(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GPU_SERVICES", '{"tts-service": "tts-service:9083"}')
    assert GpuSettings().services == {"tts-service": "tts-service:9083"}
    monkeypatch.setenv("GPU_SERVICES", "{}")
    assert GpuSettings().services == {}
