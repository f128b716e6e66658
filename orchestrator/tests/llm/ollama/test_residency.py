"""Pulling, loading and keeping a model, against the Ollama stub."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from ollama_stub import PullFault, StubSection
from ollama_support import FAST, PATIENT, PROMPT, connected_model, reserve_port, serve_stub
from orchestrator.conversation.messages.system_status import ServiceHealth
from orchestrator.llm.briefing.engine import BriefingModel
from orchestrator.llm.main_model import MainModel
from orchestrator.llm.ollama.engine import OllamaModel, OllamaSettings
from orchestrator.llm.ollama.residency import Residency
from orchestrator.llm.scripted import LlmSection, ScriptedModel
from orchestrator.llm.streaming import ModelMissing
from prometheus_client import REGISTRY
from service_kit.errors import NotReady, PeerFailed

FETCHED = {"pullable": "mistral", **FAST}


async def until(holds: Callable[[], bool], within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.002)


def stage(model: OllamaModel) -> object:
    return model.describe()["stage"]


async def test_preload_pins_the_model_with_the_reply_options():
    async with connected_model(StubSection(model="mistral", **FAST), preload=True, context_tokens=4096) as (
        model,
        stub,
    ):
        await until(lambda: stage(model) == "loaded")
        await model.probe()
        assert [piece async for piece in model.reply(PROMPT)]
    (load,) = stub.loads
    assert load["keep_alive"] == stub.requests[0]["keep_alive"] == -1
    assert load["options"] == {"num_ctx": 4096}
    assert REGISTRY.get_sample_value("anchor_llm_loaded") == 1
    assert REGISTRY.get_sample_value("anchor_llm_cpu_bytes") == 0


async def test_setting_waits_until_the_model_is_loaded():
    async with connected_model(StubSection(model="mistral", load_ms=50), ready="when_loaded", preload=True) as (
        model,
        _,
    ):
        assert stage(model) == "loaded"


async def test_setting_waits_for_a_server_that_is_not_up():
    with reserve_port() as reserved:
        port = reserved.getsockname()[1]
        settings = OllamaSettings.model_validate(
            {"url": f"http://127.0.0.1:{port}", "model": "mistral", "ready": "when_loaded"}
        )
        model = OllamaModel(settings)
        entering = asyncio.create_task(model.__aenter__())
        await until(lambda: stage(model) == "away")
        async with serve_stub(StubSection(model="mistral"), port):
            await entering
            assert stage(model) == "loaded"
            await model.__aexit__(None, None, None)


async def test_probe_fails_until_the_model_is_loaded():
    async with connected_model(StubSection(model="mistral", load_ms=300), preload=True) as (model, stub):
        await until(lambda: bool(stub.loads))
        with pytest.raises(NotReady, match="loading"):
            await model.probe()


async def test_missing_model_is_pulled_if_allowed(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    async with connected_model(StubSection(pull_step_ms=5, **FETCHED), preload=True, pull=True) as (model, stub):
        await until(lambda: stage(model) == "pulling" and "progress" in model.describe())
        state = model.describe()
        await until(lambda: stage(model) == "loaded")
        assert (stub.pulls, stub.loaded) == (1, {"mistral"})
    assert state["progress"]["total_bytes"] == 1_000_000  # type: ignore[index]
    assert "% pulled at" in str(state["so_far"])
    (line, *_) = [record for record in caplog.records if record.message == "pulling the language model"]
    assert {"completed_bytes", "total_bytes", "bytes_per_s", "eta_s"} <= line.__dict__.keys()


async def test_missing_model_is_found_after_a_manual_pull():
    async with connected_model(StubSection(**FETCHED), preload=True) as (model, stub):
        await until(lambda: stage(model) == "missing")
        assert "run `ollama pull mistral`, or set LLM_OLLAMA_PULL=true" in str(model.describe()["reason"])
        stub.pulled.add("mistral")
        await until(lambda: stage(model) == "loaded")
    assert stub.pulls == 0


async def test_waiting_for_a_missing_model_fails_with_advice():
    with pytest.raises(ModelMissing, match="ollama pull mistral"):
        async with connected_model(StubSection(**FETCHED), ready="when_loaded"):
            pytest.fail("it opened")


@pytest.mark.parametrize("fault", [PullFault.ERROR, PullFault.BROKEN])
async def test_failed_pull_is_retried(fault: PullFault):
    async with connected_model(StubSection(pull_fault=fault, **FETCHED), preload=True, pull=True) as (model, stub):
        await until(lambda: stage(model) == "away")
        assert model.describe()["reason"]
        await until(lambda: stage(model) == "loaded")
    assert stub.pulls == 2


async def test_model_outside_the_gpu_is_warned_about_once(caplog: pytest.LogCaptureFixture):
    section = StubSection(model="mistral", gpu_share=0.75, **FAST)
    async with connected_model(section, preload=True, profile="gpu") as (model, _):
        await until(lambda: stage(model) == "loaded")
        assert "25 % of the language model" in str(model.describe()["reason"])
        assert REGISTRY.get_sample_value("anchor_llm_cpu_bytes") == model.describe()["cpu_bytes"] > 10**9  # type: ignore[operator]
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["language model spilled out of the GPU"]


async def test_cpu_profile_expects_no_gpu_memory():
    async with connected_model(StubSection(model="mistral", gpu_share=0), preload=True, profile="cpu") as (model, _):
        await until(lambda: stage(model) == "loaded")
        assert model.describe()["reason"] == ""


async def test_unloaded_model_is_reloaded():
    async with serve_stub(StubSection(model="mistral")) as (url, stub):
        settings = OllamaSettings.model_validate({**PATIENT, "url": url, "model": "mistral", "preload": True})
        async with OllamaModel(settings) as model:
            await until(lambda: stage(model) == "loaded")
            await model._residency.ensure_loaded()
            assert len(stub.loads) == 1
            stub.loaded.clear()
            with pytest.raises(NotReady, match="has not loaded"):
                await model.probe()
            await model._residency.ensure_loaded()
            assert (len(stub.loads), stage(model)) == (2, "loaded")


class Forgetful:
    """A server that loads a model but does not list it."""

    async def load(self) -> None: ...

    async def pull(self) -> AsyncGenerator[None]:
        yield None

    async def placement(self) -> None: ...


async def test_load_without_a_listed_model_fails():
    residency = Residency(Forgetful(), may_pull=False, gpu_expected=True)  # type: ignore[arg-type]
    with pytest.raises(NotReady, match="does not list"):
        await residency.ensure_loaded()


# With the briefing as fallback ----------------------------------------------------------------------------


@asynccontextmanager
async def main_model(url: str, monkeypatch: pytest.MonkeyPatch, **env: str) -> AsyncGenerator[MainModel]:
    for name, value in {"OLLAMA_URL": url, "OLLAMA_MODEL_NAME": "mistral", "LLM_OLLAMA_CONNECT_S": "30", **env}.items():
        monkeypatch.setenv(name, value)
    fast = {"first_token_delay_ms": 0, "tokens_per_second": 9999}
    briefing = ScriptedModel(LlmSection(replies=("From the file.",), **fast))
    async with MainModel("ollama", briefing, first_token_s=60, max_reply_chars=300, probe_interval_s=0.05) as main:
        yield main


async def text_of(main: MainModel) -> str:
    return "".join([piece async for piece in main.session_model().reply(PROMPT)])


async def test_briefing_answers_while_the_model_is_pulled(
    monkeypatch: pytest.MonkeyPatch,
):
    section = StubSection(pull_step_ms=40, **FETCHED)
    async with (
        serve_stub(section) as (url, stub),
        main_model(url, monkeypatch, LLM_OLLAMA_PULL="true") as main,
    ):
        await until(lambda: "%" in main.status()[0].model)
        (status,) = main.status()
        assert (status.service, status.engine) == ("language-model", "ollama")
        assert status.health is ServiceHealth.SERVICE_HEALTH_LOADING
        assert main.describe()["language_model"]["answered_by"] == "briefing"  # type: ignore[index]
        assert await text_of(main) == "On my own: From the file."
        assert stub.requests == []
        await until(lambda: main.status()[0].health is ServiceHealth.SERVICE_HEALTH_READY)
        assert await text_of(main) == FAST["replies"][0]
        assert main.model == "mistral"


async def test_unreachable_server_delays_no_turn(monkeypatch: pytest.MonkeyPatch):
    async with main_model("http://127.0.0.1:9", monkeypatch) as main:
        assert main.status()[0].health is not ServiceHealth.SERVICE_HEALTH_READY
        await until(lambda: main.describe()["language_model"]["stage"] == "away")  # type: ignore[index]
        assert main.status()[0].health is ServiceHealth.SERVICE_HEALTH_DOWN
        assert await text_of(main) == "On my own: From the file."


async def test_missing_model_fails_the_start(monkeypatch: pytest.MonkeyPatch):
    async with serve_stub(StubSection(**FETCHED)) as (url, _):
        with pytest.raises(PeerFailed, match="ollama pull mistral"):
            async with main_model(url, monkeypatch, LLM_OLLAMA_READY="when_loaded"):
                pytest.fail("it opened")


async def test_briefing_needs_no_server_and_has_no_status():
    briefing = BriefingModel(None)  # type: ignore[arg-type]
    async with MainModel("briefing", briefing, first_token_s=1, max_reply_chars=300) as main:
        assert main.session_model() is briefing
        assert (main.describe(), main.status(), main.model) == ({}, (), "")
