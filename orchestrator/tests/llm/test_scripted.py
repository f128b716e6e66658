"""The scripted language model: turns and faults."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.conversation.model.ports import Message, Persona, Prompt
from orchestrator.llm.registry import served_model
from orchestrator.llm.scripted import LlmSection, ScriptedModel, tokenize
from service_kit.engines.script import Fault
from service_kit.errors import AnchorError, EngineFailed, InvalidRequest

PERSONA = Persona(id="nadia", name="Nadia", instructions="")
FAST = {"first_token_delay_ms": 0, "tokens_per_second": 10_000}


def prompt(*history: Message) -> Prompt:
    return Prompt(text="And now?", language="en", persona=PERSONA, history=history)


async def text_of(pieces: AsyncIterator[str]) -> str:
    return "".join([piece async for piece in pieces])


async def collect(pieces: AsyncIterator[str], heard: list[str]) -> None:
    async for piece in pieces:
        heard.append(piece)  # noqa: PERF401 - pieces before a failure count


@given(st.text())
def test_tokens_joined_are_the_text(text: str):
    assert "".join(tokenize(text)) == text


def test_punctuation_is_a_separate_token():
    assert tokenize("Good evening, it's ten o'clock here tonight, friends.") == [
        *("Good", " evening", ",", " it's", " ten", " o'clock", " here", " tonight"),
        *(",", " friends", "."),
    ]


async def test_each_turn_has_its_reply_however_often_requested():
    model = ScriptedModel(LlmSection(replies=("First.", "Second."), **FAST))
    first, second, third = (
        prompt(),
        prompt(Message("user", "a"), Message("anchor", "First.")),
        prompt(Message("user", "a"), Message("user", "b")),
    )
    said = [await text_of(model.reply(each)) for each in (first, first, second, third)]
    assert said == ["First.", "First.", "Second.", "First."]


async def test_fault_breaks_its_reply():
    model = ScriptedModel(
        LlmSection(replies=("One two.",), fault=Fault.ERROR, fault_at=2, fault_after_tokens=1, **FAST)
    )
    assert await text_of(model.reply(prompt())) == "One two."
    heard: list[str] = []
    with pytest.raises(EngineFailed, match=r"llm\.engine_failed"):
        await collect(model.reply(prompt()), heard)
    assert heard == ["One"]
    assert await text_of(model.reply(prompt())) == "One two."


async def test_lasting_fault_breaks_every_later_reply():
    model = ScriptedModel(LlmSection(fault=Fault.EMPTY, fault_lasts=True, **FAST))
    assert [await text_of(model.reply(prompt())) for _ in range(2)] == ["", ""]


async def test_garbage_is_not_speakable_text():
    model = ScriptedModel(LlmSection(fault=Fault.GARBAGE, **FAST))
    assert "\x00" in await text_of(model.reply(prompt()))


async def test_closing_ends_an_endless_reply():
    pieces = ScriptedModel(LlmSection(replies=("On.",), fault=Fault.ENDLESS, **FAST)).reply(prompt())
    heard = [await anext(pieces) for _ in range(500)]
    await pieces.aclose()
    assert heard.count("On") == 167


def test_fault_die_ends_the_process():
    code = (
        "import asyncio\n"
        "from orchestrator.llm.scripted import Fault, fall\n"
        "asyncio.run(fall(Fault.DIE))\n"
        "print('still here')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout) == (1, b"")


async def test_registry_opens_the_script_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    script = tmp_path / "script.toml"
    script.write_text('[llm]\nreplies = ["From the file."]\nfirst_token_delay_ms = 0\n')
    monkeypatch.setenv("ANCHOR_SCRIPT", str(script))
    async with served_model("scripted") as model:
        assert (model.name, model.model, model.describe()) == ("scripted", "", {})
        await model.probe()
        assert await text_of(model.reply(prompt())) == "From the file."


@pytest.mark.parametrize("name", ["ollama", "openai"])
async def test_registry_opens_clients_without_a_server(name: str):
    async with served_model(name) as model:
        assert model.name == name
        with pytest.raises(AnchorError):
            await model.probe()


def test_unknown_engine_is_refused_with_the_known_names():
    with pytest.raises(InvalidRequest, match="briefing, local, ollama, openai, scripted"):
        served_model("llama")


async def test_every_error_has_an_llm_code():
    pieces = ScriptedModel(LlmSection(fault=Fault.ERROR, **FAST)).reply(prompt())
    with pytest.raises(AnchorError) as caught:
        await anext(pieces)
    assert caught.value.code.startswith("llm.")
