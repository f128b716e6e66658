"""Spoken questions are answered from the right passage: the real recogniser and briefing, without services.

The recordings are synthetic voices that ship with the project (`content/questions`).
"""

from __future__ import annotations

import tomllib
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from orchestrator.conversation.model.ports import Prompt
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.passages import split_sentences
from orchestrator.knowledge.personas import DEFAULT_PERSONA, load_personas
from orchestrator.knowledge.retriever import Retriever
from orchestrator.llm.briefing.engine import BriefingModel
from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.testing.plugin import split_pcm
from stt_service.engine import FinalTranscript, Segment, TranscriptionConfig
from stt_service.engines.pocketsphinx.engine import PocketsphinxEngine
from stt_service.settings import SttSettings

CONTENT = Path(__file__).parents[2] / "content"
RIGHT = 0.9
CHUNK_MS = 100
# Silence around the speech, as from a microphone.
SILENCE = bytes(MICROPHONE.bytes_for(300))


@pytest.fixture
async def recogniser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PocketsphinxEngine]:
    settings = SttSettings(
        knowledge_dir=CONTENT / "knowledge",
        models_dir=tmp_path_factory.mktemp("models"),
        # This measures words, not speed.
        second_opinion_ms=60_000,
    )
    engine = PocketsphinxEngine(settings)
    async with engine.lifespan():
        yield engine


async def transcribe(engine: PocketsphinxEngine, recording: Path) -> FinalTranscript:
    with wave.open(str(recording)) as file:
        pcm = SILENCE + file.readframes(file.getnframes()) + SILENCE
    segment = Segment(1, 0, int(MICROPHONE.ms_of(len(pcm))))
    async with engine.open_stream(TranscriptionConfig("en")) as stream:
        for number, piece in enumerate(split_pcm(pcm, MICROPHONE.bytes_for(CHUNK_MS))):
            await stream.push_audio(AudioChunk(number * CHUNK_MS, piece), segment)
        await stream.flush_segment(segment)
        await stream.end_audio()
        finals = [event async for event in stream.transcripts() if isinstance(event, FinalTranscript)]
    return finals[-1]


async def test_nine_of_ten_spoken_questions_get_the_right_topic(recogniser: PocketsphinxEngine):
    questions = tomllib.loads((CONTENT / "questions" / "questions.toml").read_text("utf-8"))["question"]
    knowledge = KnowledgeFolder(CONTENT / "knowledge")
    knowledge.load()
    index = await knowledge.current_index()
    briefing = BriefingModel(Retriever(knowledge))
    anchor = load_personas(CONTENT / "personas")[DEFAULT_PERSONA]
    missed: list[str] = []
    for question in questions:
        final = await transcribe(recogniser, CONTENT / "questions" / question["file"])
        prompt = Prompt(final.text, "en", anchor, alternatives=final.alternatives)
        reply = "".join([piece async for piece in briefing.reply(prompt)])
        topics = {found[0].id for sentence in split_sentences(reply) if (found := index.find_sentence(sentence))}
        if topics != {question["topic"]}:
            missed.append(f"{question['text']} -> {final.text!r}, {final.alternatives} -> {topics or reply}")
    assert len(questions) >= 12
    assert 1 - len(missed) / len(questions) >= RIGHT, "\n".join(missed)
