"""Parking and waking the main model, against the Ollama stub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from ollama_stub import StubSection
from ollama_support import FAST, PROMPT, connected_model, reserve_port, serve_stub
from orchestrator.conversation.messages.system_status import ServiceHealth
from orchestrator.llm.main_model import MainModel, MainModelControl
from orchestrator.llm.ollama.engine import OllamaModel, OllamaSettings
from orchestrator.llm.scripted import LlmSection, ScriptedModel
from orchestrator.memory_pressure.parkable_engine import ParkingState
from service_kit.errors import AtCapacity, NotReady, PeerFailed, Unsupported

THERE = {"model": "mistral", **FAST}


async def until(holds: Callable[[], bool], within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.002)


def stage(model: OllamaModel) -> object:
    return model.describe()["stage"]


@asynccontextmanager
async def main_model(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[MainModel]:
    monkeypatch.setenv("OLLAMA_URL", url)
    monkeypatch.setenv("OLLAMA_MODEL_NAME", "mistral")
    for name in ("CONNECT_S", "BETWEEN_TOKENS_S"):
        monkeypatch.setenv(f"LLM_OLLAMA_{name}", "30")
    briefing = ScriptedModel(LlmSection(replies=("From the file.",), first_token_delay_ms=0, tokens_per_second=9999))
    async with MainModel("ollama", briefing, first_token_s=60, max_reply_chars=300, probe_interval_s=0.05) as main:
        await until(lambda: main.status()[0].health is ServiceHealth.SERVICE_HEALTH_READY)
        yield main


async def text_of(main: MainModel) -> str:
    return "".join([piece async for piece in main.session_model().reply(PROMPT)])


async def test_parked_model_is_unloaded_and_stays_unloaded():
    async with connected_model(StubSection(**THERE, unload_ms=300), preload=True) as (model, stub):
        await until(lambda: stage(model) == "loaded")
        await model.park()
        assert stub.loaded == set()
        assert stage(model) == "parked"
        with pytest.raises(NotReady, match="parked"):
            await model.probe()
        assert len(stub.loads) == 1
        await model.wake()
        assert (stage(model), stub.loaded) == ("loaded", {"mistral"})
        assert len(stub.loads) == 2
        await model.probe()


async def test_model_without_preload_can_be_parked():
    async with connected_model(StubSection(**THERE), preload=False) as (model, stub):
        assert [piece async for piece in model.reply(PROMPT)]
        await model.park()
        assert (stage(model), stub.loaded) == ("parked", set())


async def test_loading_model_cannot_be_parked():
    async with connected_model(StubSection(**THERE, load_ms=200), preload=True) as (model, stub):
        await until(lambda: bool(stub.loads))
        with pytest.raises(AtCapacity):
            await model.park()
        await until(lambda: stage(model) == "loaded")


async def test_failed_unload_is_raised_and_the_model_is_not_parked():
    async with connected_model(StubSection(**THERE, unload_ms=60_000), preload=True, unload_s=0.3) as (model, _):
        await until(lambda: stage(model) == "loaded")
        with pytest.raises(PeerFailed) as kept:
            await model.park()
        assert kept.value.code == "llm.not_unloaded"
        assert stage(model) == "loaded"


async def test_first_reply_loads_a_model_without_preload(monkeypatch):
    monkeypatch.setenv("LLM_OLLAMA_PRELOAD", "false")
    async with serve_stub(StubSection(**THERE)) as (url, stub), main_model(url, monkeypatch) as main:
        assert stub.loads == []
        assert await text_of(main) == FAST["replies"][0]


async def test_model_loads_once_the_server_is_back_after_a_failed_wake(monkeypatch):
    with reserve_port() as reserved:
        port = reserved.getsockname()[1]
        async with serve_stub(StubSection(**THERE), port) as (url, _):
            context = main_model(url, monkeypatch)
            main = await context.__aenter__()
            await main.park()
        with pytest.raises(PeerFailed):
            await main.wake()
        assert not main.parked
        assert main.status()[0].health is ServiceHealth.SERVICE_HEALTH_DOWN
        assert await text_of(main) == "On my own: From the file."
        async with serve_stub(StubSection(**THERE), port):
            await until(lambda: main.status()[0].health is ServiceHealth.SERVICE_HEALTH_READY)
            assert await text_of(main) == FAST["replies"][0]
            await context.__aexit__(None, None, None)


async def test_briefing_answers_while_the_model_is_parked(monkeypatch):
    async with serve_stub(StubSection(**THERE, load_ms=100)) as (url, stub), main_model(url, monkeypatch) as main:
        memory = MainModelControl(main)
        assert await memory.state() is ParkingState.AWAKE
        await memory.park()
        assert await memory.state() is ParkingState.PARKED
        assert main.status()[0].health is ServiceHealth.SERVICE_HEALTH_LOADING
        assert await text_of(main) == "On my own: From the file."
        # The server received no request, which would have loaded the model.
        assert stub.requests == []
        await memory.wake()
        assert await text_of(main) == FAST["replies"][0]


async def test_model_answers_again_after_a_cancelled_wake(monkeypatch):
    async with serve_stub(StubSection(**THERE, load_ms=400)) as (url, _), main_model(url, monkeypatch) as main:
        await main.park()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await main.wake()
        # The model's residency continues to load it; until then, no reply waits for it.
        assert await text_of(main) == "On my own: From the file."
        await until(lambda: main.status()[0].health is ServiceHealth.SERVICE_HEALTH_READY)
        assert await text_of(main) == FAST["replies"][0]


async def test_park_waits_for_a_residency_check():
    async with serve_stub(StubSection(**THERE)) as (url, stub):
        settings = OllamaSettings.model_validate({"url": url, "model": "mistral", "preload": False})
        async with OllamaModel(settings) as model:
            residency = model._residency
            await residency.ensure_loaded()
            looking = asyncio.create_task(residency.ensure_loaded())
            await asyncio.sleep(0)
            await residency.park()
            assert (residency.parked, stub.loaded, len(stub.loads)) == (True, set(), 1)
            await looking


async def test_failed_park_leaves_the_model_answering(monkeypatch):
    monkeypatch.setenv("LLM_OLLAMA_UNLOAD_S", "0.2")
    async with (
        serve_stub(StubSection(**THERE, unload_ms=60_000)) as (url, _),
        main_model(url, monkeypatch) as main,
    ):
        with pytest.raises(PeerFailed):
            await main.park()
        assert await text_of(main) == FAST["replies"][0]


async def test_briefing_cannot_be_parked():
    briefing = ScriptedModel(LlmSection())
    async with MainModel("briefing", briefing, first_token_s=1, max_reply_chars=300) as main:
        assert await MainModelControl(main).state() is ParkingState.FIXED
        with pytest.raises(Unsupported, match="briefing"):
            await main.park()


async def test_the_reason_of_a_failing_model_is_shown_while_it_fails(monkeypatch: pytest.MonkeyPatch):
    async with serve_stub(StubSection(**THERE)) as (url, _), main_model(url, monkeypatch) as main:
        assert main.degraded() == ()
        main._breaker.on_failure(0, reason=PeerFailed("llm.refused", "HTTP 401: " + "x" * 1_000))
        (entry,) = main.degraded()
        assert entry.code == "llm.failing"
        assert entry.message.startswith("the language model fails (llm.refused): HTTP 401")
        assert len(entry.message) < 300
        assert main.describe()["degraded"] == entry.message
        main._breaker.on_success()
        assert main.degraded() == ()
        assert "degraded" not in main.describe()
