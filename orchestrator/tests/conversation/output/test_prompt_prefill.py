"""Prompt prefill while the user speaks, against a stub server with Ollama's wire format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

from ollama_stub import OllamaStub, StubSection
from ollama_support import PATIENT
from orchestrator.conversation.model.ports import Message, Persona, Prompt
from orchestrator.conversation.output.prompt_prefill import PromptPrefill
from orchestrator.llm.ollama.engine import OllamaModel, OllamaSettings
from prometheus_client import REGISTRY
from service_kit.engines.script import Fault
from service_kit.http.server import http_server

PROMPT = Prompt(
    text="",
    language="en",
    persona=Persona(id="nadia", name="Nadia", instructions="You are Nadia."),
    history=(Message("user", "Hello"), Message("anchor", "Good even", interrupted=True)),
)
FAST = {"first_token_delay_ms": 0, "tokens_per_second": 5000}


@asynccontextmanager
async def prefilling(section: StubSection) -> AsyncGenerator[tuple[PromptPrefill, OllamaModel, OllamaStub]]:
    """A prefill of a model whose server is the stub, on a free port."""
    stub = OllamaStub(section)
    server = http_server(stub.app(), "127.0.0.1", 0)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with (
            OllamaModel(
                OllamaSettings.model_validate({**PATIENT, "url": f"http://127.0.0.1:{port}", "model": "m"})
            ) as model,
            asyncio.TaskGroup() as group,
        ):
            yield PromptPrefill(model, group), model, stub
    finally:
        server.should_exit = True
        await task


def prefill_count(outcome: str) -> float:
    return REGISTRY.get_sample_value("anchor_llm_warmings_total", {"outcome": outcome}) or 0.0


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_prefilled_messages_are_the_prefix_of_the_request():
    before = prefill_count("finished")
    async with prefilling(StubSection(**FAST)) as (prefill, model, stub):
        prefill.start(PROMPT)
        await until(lambda: prefill_count("finished") == before + 1)
        await prefill.stop()
        assert [piece async for piece in model.reply(replace(PROMPT, text="What is new?"))]
    read, real = stub.requests
    assert read["messages"] == real["messages"][:-1]
    assert [message["role"] for message in read["messages"]] == ["system", "user", "assistant"]
    assert (read["options"]["num_predict"], real["options"]["num_predict"]) == (1, 400)


async def test_stop_closes_the_prefill_request_first():
    before = prefill_count("cut_off")
    hanging = StubSection(fault=Fault.HANG, fault_at=1, **FAST)
    async with prefilling(hanging) as (prefill, model, stub):
        prefill.start(PROMPT)
        await until(lambda: stub.open == 1)
        await prefill.stop()
        assert prefill_count("cut_off") == before + 1
        await until(lambda: stub.open == 0)
        assert len(stub.requests) == 1
        assert [piece async for piece in model.reply(replace(PROMPT, text="What is new?"))]


async def test_only_one_prefill_runs_at_a_time():
    async with prefilling(StubSection(fault=Fault.HANG, fault_at=1, **FAST)) as (prefill, _, stub):
        prefill.start(PROMPT)
        prefill.start(PROMPT)
        await until(lambda: stub.open == 1)
        prefill.start(PROMPT)
        await prefill.stop()
        assert len(stub.requests) == 1


async def test_prefill_failure_is_counted_only():
    before = prefill_count("failed")
    async with prefilling(StubSection(fault=Fault.ERROR, fault_at=1, **FAST)) as (prefill, _, _stub):
        prefill.start(PROMPT)
        await until(lambda: prefill_count("failed") == before + 1)
        await prefill.stop()


async def test_stop_without_a_prefill_returns_at_once():
    async with prefilling(StubSection(**FAST)) as (prefill, _, stub):
        await prefill.stop()
    assert not stub.requests
