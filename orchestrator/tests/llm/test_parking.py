"""A language model that gives its memory back and takes it again, against a server that speaks Ollama's wire format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from ollama_stub import StubSection
from ollama_support import FAST, PROMPT, answering, bound, listening
from orchestrator.conversation.messages.system_status import ServiceHealth
from orchestrator.llm.main_model import MainModel, MainModelParking
from orchestrator.llm.ollama.engine import OllamaModel, OllamaSettings
from orchestrator.llm.scripted import LlmSection, ScriptedModel
from orchestrator.memory_pressure.parked_engine import ParkingState
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
    async with MainModel("ollama", briefing, first_token_s=60, max_reply_chars=300, probe_every_s=0.05) as main:
        await until(lambda: main.status()[0].health is ServiceHealth.SERVICE_HEALTH_READY)
        yield main


async def text_of(main: MainModel) -> str:
    return "".join([piece async for piece in main.session_model().reply(PROMPT)])


async def test_a_parked_model_is_gone_from_the_server_when_park_returns_and_stays_away():
    async with answering(StubSection(**THERE, unload_ms=300), preload=True) as (model, stub):
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


async def test_a_model_that_is_loaded_only_when_needed_can_be_parked_too():
    async with answering(StubSection(**THERE), preload=False) as (model, stub):
        assert [piece async for piece in model.reply(PROMPT)]
        await model.park()
        assert (stage(model), stub.loaded) == ("parked", set())


async def test_what_is_being_loaded_cannot_be_parked_at_the_same_time():
    async with answering(StubSection(**THERE, load_ms=200), preload=True) as (model, stub):
        await until(lambda: bool(stub.loads))
        with pytest.raises(AtCapacity):
            await model.park()
        await until(lambda: stage(model) == "loaded")


async def test_a_server_that_keeps_the_model_is_told_of_and_nothing_counts_as_parked():
    async with answering(StubSection(**THERE, unload_ms=60_000), preload=True, unload_s=0.3) as (model, _):
        await until(lambda: stage(model) == "loaded")
        with pytest.raises(PeerFailed) as kept:
            await model.park()
        assert kept.value.code == "llm.not_unloaded"
        assert stage(model) == "loaded"


async def test_a_model_that_its_first_reply_loads_is_asked_for_that_reply(monkeypatch):
    monkeypatch.setenv("LLM_OLLAMA_PRELOAD", "false")
    async with listening(StubSection(**THERE)) as (url, stub), main_model(url, monkeypatch) as main:
        assert stub.loads == []
        assert await text_of(main) == FAST["replies"][0]


async def test_a_wake_whose_server_is_gone_fails_and_the_model_is_loaded_when_it_is_back(monkeypatch):
    with bound() as reserved:
        port = reserved.getsockname()[1]
        async with listening(StubSection(**THERE), port) as (url, _):
            context = main_model(url, monkeypatch)
            main = await context.__aenter__()
            await main.park()
        with pytest.raises(PeerFailed):
            await main.wake()
        assert not main.parked
        assert main.status()[0].health is ServiceHealth.SERVICE_HEALTH_DOWN
        assert await text_of(main) == "On my own: From the file."
        async with listening(StubSection(**THERE), port):
            await until(lambda: main.status()[0].health is ServiceHealth.SERVICE_HEALTH_READY)
            assert await text_of(main) == FAST["replies"][0]
            await context.__aexit__(None, None, None)


async def test_while_the_model_is_parked_the_briefing_answers_at_once_and_afterwards_the_model_does(monkeypatch):
    async with listening(StubSection(**THERE, load_ms=100)) as (url, stub), main_model(url, monkeypatch) as main:
        memory = MainModelParking(main)
        assert await memory.state() is ParkingState.AWAKE
        await memory.park()
        assert await memory.state() is ParkingState.PARKED
        assert main.status()[0].health is ServiceHealth.SERVICE_HEALTH_LOADING
        assert await text_of(main) == "On my own: From the file."
        # It was not asked, which would have loaded it.
        assert stub.requests == []
        await memory.wake()
        assert await text_of(main) == FAST["replies"][0]


async def test_a_wake_that_is_given_up_does_not_leave_the_briefing_answering_for_good(monkeypatch):
    async with listening(StubSection(**THERE, load_ms=400)) as (url, _), main_model(url, monkeypatch) as main:
        await main.park()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await main.wake()
        # The model's residency goes on; until it is through, nobody waits for it.
        assert await text_of(main) == "On my own: From the file."
        await until(lambda: main.status()[0].health is ServiceHealth.SERVICE_HEALTH_READY)
        assert await text_of(main) == FAST["replies"][0]


async def test_a_look_whether_the_model_is_still_there_does_not_keep_it_from_being_parked():
    async with listening(StubSection(**THERE)) as (url, stub):
        settings = OllamaSettings.model_validate({"url": url, "model": "mistral", "preload": False})
        async with OllamaModel(settings) as model:
            residency = model._residency
            await residency.wait_until_settled()
            looking = asyncio.create_task(residency.wait_until_settled())
            await asyncio.sleep(0)
            await residency.park()
            assert (residency.parked, stub.loaded, len(stub.loads)) == (True, set(), 1)
            await looking


async def test_a_park_that_fails_leaves_the_model_answering(monkeypatch):
    monkeypatch.setenv("LLM_OLLAMA_UNLOAD_S", "0.2")
    async with (
        listening(StubSection(**THERE, unload_ms=60_000)) as (url, _),
        main_model(url, monkeypatch) as main,
    ):
        with pytest.raises(PeerFailed):
            await main.park()
        assert await text_of(main) == FAST["replies"][0]


async def test_the_briefing_holds_nothing_that_it_could_give_back():
    briefing = ScriptedModel(LlmSection())
    async with MainModel("briefing", briefing, first_token_s=1, max_reply_chars=300) as main:
        assert await MainModelParking(main).state() is ParkingState.FIXED
        with pytest.raises(Unsupported, match="briefing"):
            await main.park()
