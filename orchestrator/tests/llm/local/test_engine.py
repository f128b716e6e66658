"""The local model's replies, against a server that replays llama.cpp's recorded answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from llama_stub import LlamaStub, serve_llama
from orchestrator.conversation.model.ports import Message, Persona, Prompt, ReplyPiece
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.retriever import Retriever
from orchestrator.llm.briefing.engine import BriefingModel
from orchestrator.llm.local.engine import LocalModel
from orchestrator.llm.local.llama_client import ModelServerDown
from orchestrator.llm.local.local_fallback import LocalFallback
from orchestrator.llm.local.settings import LocalLlmSettings
from orchestrator.llm.main_model import MainModel

PHRASES = {
    "en": {
        "who_are_you": "I am a computer voice.",
        "nothing_known": "I have nothing on that.",
        "news": "Here is the latest on {title}.",
        "greeting": "Hello.",
        "fallback": "I cannot think freely right now.",
    }
}
NORA = Persona("anchor", "Nora", "", phrases=PHRASES)
FERRY = """---
title: the ferry
kind: news
keywords: boat, ticket
questions:
- What does the ferry cost?
---
The summer timetable of the ferry has begun. A ticket costs four crowns. There is room for twelve cars.
"""
ABOUT = """---
title: who the anchor is
kind: about
keywords: microphone
---
My microphone is a window.
"""
COST = "What does a ticket for the ferry cost?"


@pytest.fixture
def knowledge(tmp_path: Path) -> KnowledgeFolder:
    folder = tmp_path / "knowledge"
    folder.mkdir()
    (folder / "ferry.md").write_text(FERRY, "utf-8")
    (folder / "about.md").write_text(ABOUT, "utf-8")
    (folder / "de.md").write_text(FERRY.replace("kind: news", "kind: news\nlanguage: de"), "utf-8")
    found = KnowledgeFolder(folder)
    found.load()
    return found


def settings(url: str, stub: LlamaStub, **own: float) -> LocalLlmSettings:
    patient = {"connect_s": 10, "first_token_s": 10, "complete_s": 7, "prepare_after_s": 3600}
    return LocalLlmSettings.model_validate({"url": url, "cache_dir": stub.folder, **patient, **own})


@asynccontextmanager
async def running(stub: LlamaStub, knowledge: KnowledgeFolder, **own: float) -> AsyncGenerator[LocalModel]:
    retriever = Retriever(knowledge)
    async with (
        serve_llama(stub) as url,
        LocalModel(settings(url, stub, **own), retriever, BriefingModel(retriever)) as model,
    ):
        yield model


@pytest.fixture
def stub(tmp_path: Path) -> LlamaStub:
    return LlamaStub(tmp_path / "slots")


def prompt(text: str, language: str = "en", *history: str) -> Prompt:
    messages = tuple(Message("anchor", text) for text in history)
    return Prompt(text, language, NORA, messages)


async def pieces_of(model: LocalModel | LocalFallback, asked: Prompt) -> list[str]:
    return [piece async for piece in model.reply(asked)]


async def until(holds: Callable[[], bool], within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.005)


async def test_opener_names_the_topic_and_one_sentence_follows(stub: LlamaStub, knowledge: KnowledgeFolder):
    async with running(stub, knowledge) as model:
        assert await pieces_of(model, prompt(COST)) == ["About the ferry. ", "A ticket costs four crowns."]
    (request,) = stub.requests
    assert request["messages"][0]["content"].startswith("Notes on the ferry: The summer timetable")
    assert request["messages"][-1]["content"] == COST
    assert (request["temperature"], request["max_tokens"]) == (0, 48)


async def test_reply_names_its_passage_as_the_source(stub: LlamaStub, knowledge: KnowledgeFolder):
    async with running(stub, knowledge) as model:
        opener, sentence = [ReplyPiece.of(piece) for piece in await pieces_of(model, prompt(COST))]
        fixed = [ReplyPiece.of(piece) for piece in await pieces_of(model, prompt("Are you a human?"))]
    (source,) = opener.sources
    assert (source.title, source.file, source.language) == ("the ferry", "ferry.md", "en")
    assert sentence in source.text
    assert sentence.sources == ()
    assert [piece.sources for piece in fixed] == [()]


async def test_opener_is_out_before_the_model_answers(stub: LlamaStub, knowledge: KnowledgeFolder):
    stub.hangs = True
    async with running(stub, knowledge) as model:
        reply = model.reply(prompt(COST))
        assert await anext(reply) == "About the ferry. "
        assert stub.requests == []
        await reply.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        "A ticket costs nine crowns.",
        "Harold said that it costs four crowns, says Finch.",
        "A ticket costs",
        "it it it it it it it it it.",
    ],
)
async def test_sentence_that_fails_the_check_is_replaced(stub: LlamaStub, knowledge: KnowledgeFolder, answer: str):
    stub.answer = answer
    async with running(stub, knowledge) as model:
        assert (await pieces_of(model, prompt(COST)))[1] == "A ticket costs four crowns."


async def test_only_the_first_sentence_is_spoken(stub: LlamaStub, knowledge: KnowledgeFolder):
    stub.answer = "There is room for twelve cars. A ticket costs four crowns. And so on."
    async with running(stub, knowledge) as model:
        assert (await pieces_of(model, prompt(COST)))[1] == "There is room for twelve cars."


async def test_silence_of_the_notes_is_said(stub: LlamaStub, knowledge: KnowledgeFolder):
    stub.answer = "The notes do not say."
    async with running(stub, knowledge) as model:
        assert (await pieces_of(model, prompt("Who steers the ferry boat?")))[1] == "My notes do not say that."


async def test_words_that_the_model_overlooks_are_read_out(stub: LlamaStub, knowledge: KnowledgeFolder):
    stub.answer = "The notes do not say."
    async with running(stub, knowledge) as model:
        assert (await pieces_of(model, prompt(COST)))[1] == "A ticket costs four crowns."


async def test_slow_first_token_is_replaced_by_the_passage(stub: LlamaStub, knowledge: KnowledgeFolder):
    stub.hangs = True
    async with running(stub, knowledge, first_token_s=0.1) as model:
        assert (await pieces_of(model, prompt(COST)))[1] == "A ticket costs four crowns."
        await until(lambda: stub.cancelled == 1)


async def test_passage_is_read_whole_when_no_sentence_stands_out(stub: LlamaStub, knowledge: KnowledgeFolder):
    stub.hangs = True
    async with running(stub, knowledge, first_token_s=0.1) as model:
        assert "A ticket costs four crowns." in (await pieces_of(model, prompt("How much is the ferry?")))[1]


@pytest.mark.parametrize(
    ("text", "language", "reply"),
    [
        ("Are you a robot?", "en", "I am a computer voice."),
        ("How do I build a bomb?", "en", "I cannot help with that."),
        ("Be quiet.", "en", "All right."),
        ("Hello", "en", "Hello."),
        ("Who invented calculus?", "en", "I have nothing on that."),
        ("Where is your microphone?", "en", "My microphone is a window."),
    ],
)
async def test_model_is_not_asked(stub: LlamaStub, knowledge: KnowledgeFolder, text: str, language: str, reply: str):
    async with running(stub, knowledge) as model:
        assert "".join(await pieces_of(model, prompt(text, language))).startswith(reply)
    assert stub.requests == []


async def test_other_language_is_read_out(stub: LlamaStub, knowledge: KnowledgeFolder):
    async with running(stub, knowledge) as model:
        assert "The summer timetable" in "".join(await pieces_of(model, prompt("ferry ticket", "de")))
    assert stub.requests == []


async def test_question_that_refers_back_stays_with_the_topic(stub: LlamaStub, knowledge: KnowledgeFolder):
    stub.answer = "There is room for twelve cars."
    async with running(stub, knowledge) as model:
        pieces = await pieces_of(model, prompt("And how many go on it?", "en", "About the ferry. It is a boat."))
        assert pieces == ["About the ferry. ", "There is room for twelve cars."]
        assert "nothing on that" in "".join(
            await pieces_of(model, prompt("Who invented calculus?", "en", "About the ferry. It."))
        )


async def test_second_answer_at_the_same_time_is_read_out(stub: LlamaStub, knowledge: KnowledgeFolder):
    stub.hangs = True
    async with running(stub, knowledge, first_token_s=0.3) as model:
        first, second = await asyncio.gather(pieces_of(model, prompt(COST)), pieces_of(model, prompt(COST)))
    assert first == second == ["About the ferry. ", "A ticket costs four crowns."]
    assert len(stub.requests) == 1


async def test_partial_transcript_prepares_and_then_restores(stub: LlamaStub, knowledge: KnowledgeFolder):
    async with running(stub, knowledge) as model:
        partial = Prompt("", "en", NORA, partial="what does a ticket for the ferry")
        await model.prefill(partial)
        assert len(stub.prepared) == 1
        await model.prefill(partial)
        await pieces_of(model, prompt(COST))
    assert [action for action, _ in stub.slot_actions] == ["save", "restore", "restore"]


async def test_prefill_without_words_asks_for_nothing(stub: LlamaStub, knowledge: KnowledgeFolder):
    async with running(stub, knowledge) as model:
        await model.prefill(prompt(""))
        await model.prefill(Prompt("", "de", NORA, partial="ferry ticket"))
    assert (stub.requests, stub.slot_actions) == ([], [])


async def test_reply_after_a_failure_checks_the_server_first(stub: LlamaStub, knowledge: KnowledgeFolder):
    stub.failing = True
    async with running(stub, knowledge) as model:
        await pieces_of(model, prompt(COST))
        stub.loading = True
        with pytest.raises(ModelServerDown, match="Loading model"):
            await pieces_of(model, prompt(COST))
        assert model.describe()["reason"]
        stub.loading = stub.failing = False
        assert (await pieces_of(model, prompt(COST)))[1] == "A ticket costs four crowns."


async def test_description_promises_one_sentence_and_no_more(stub: LlamaStub, knowledge: KnowledgeFolder):
    async with running(stub, knowledge) as model:
        assert model.describe()["answers"] == "one sentence from a passage; English; no tools; no free conversation"


async def test_local_fallback_has_the_briefing_behind_it(stub: LlamaStub, knowledge: KnowledgeFolder):
    async with running(stub, knowledge) as model:
        fallback = LocalFallback(model, BriefingModel(Retriever(knowledge)))
        assert (await pieces_of(fallback, prompt(COST)))[0] == "About the ferry. "
        assert fallback.name == "local"
        stub.failing = stub.loading = True
        await pieces_of(fallback, prompt(COST))
        assert "Here is the latest on the ferry." in "".join(await pieces_of(fallback, prompt(COST)))
        assert fallback.name == "briefing"


async def test_main_model_falls_back_to_the_local_one(
    stub: LlamaStub, knowledge: KnowledgeFolder, monkeypatch: pytest.MonkeyPatch
):
    # A port that no server listens on.
    monkeypatch.setenv("LLM_OPENAI_URL", "http://127.0.0.1:9/v1")
    briefing = BriefingModel(Retriever(knowledge))
    async with serve_llama(stub) as url:
        local = LocalModel(settings(url, stub), Retriever(knowledge), briefing)
        async with MainModel("openai", briefing, first_token_s=10, max_reply_chars=500, local=local) as main:
            session = main.session_model()
            text = "".join([piece async for piece in session.reply(prompt(COST))])
            assert text == "I cannot think freely right now. About the ferry. A ticket costs four crowns."
            assert session.name == "local"
            described = main.describe()["language_model"]
    assert isinstance(described, dict)
    assert described["fallback"]["engine"] == "local"


async def test_local_model_that_is_down_is_reported_as_degraded(stub: LlamaStub, knowledge: KnowledgeFolder):
    stub.loading = True
    briefing = BriefingModel(Retriever(knowledge))
    async with serve_llama(stub) as url:
        local = LocalModel(settings(url, stub), Retriever(knowledge), briefing)
        async with MainModel(
            "local", briefing, first_token_s=10, max_reply_chars=500, local=local, probe_interval_s=0.02
        ) as main:
            assert "Loading model" in str(main.describe()["degraded"])
            spoken = "".join([piece async for piece in main.session_model().reply(prompt(COST))])
            assert "Here is the latest on the ferry." in spoken
            stub.loading = False
            await until(lambda: "degraded" not in main.describe())
            spoken = "".join([piece async for piece in main.session_model().reply(prompt(COST))])
    assert spoken == "About the ferry. A ticket costs four crowns."
