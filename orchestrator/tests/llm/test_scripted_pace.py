"""The timing of the scripted language model, on the virtual clock."""

from __future__ import annotations

import asyncio

import pytest
from orchestrator.conversation.model.ports import Persona, Prompt
from orchestrator.llm.scripted import LlmSection, ScriptedModel
from service_kit.engines.script import Fault

pytestmark = pytest.mark.virtual_clock

FAST = {"first_token_delay_ms": 0, "tokens_per_second": 10_000}
PROMPT = Prompt(text="And now?", language="en", persona=Persona(id="nadia", name="Nadia", instructions=""))


async def test_tokens_arrive_at_the_scripted_times():
    model = ScriptedModel(LlmSection(replies=("One two three four five six seven,",), first_token_delay_ms=40))
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    times_ms: list[float] = []
    async for piece in model.reply(PROMPT):
        times_ms.append((loop.time() - started_s) * 1000)
        if piece == " two":
            # A slow reader delays the next tokens; the last one is on time again.
            await asyncio.sleep(0.05)
    assert len(times_ms) == 8
    assert times_ms[0] == pytest.approx(40, abs=1)
    assert times_ms[-1] == pytest.approx(40 + 7 * 20, abs=1)
    assert min(times_ms) >= 39


async def test_hanging_reply_yields_nothing_until_closed():
    pieces = ScriptedModel(LlmSection(fault=Fault.HANG, **FAST)).reply(PROMPT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await anext(pieces)
    await pieces.aclose()
