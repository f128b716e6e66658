"""The times of words on their way from the speech engine to the conversation."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import numpy as np
from orchestrator.clients.stt import SttClient
from orchestrator.conversation.model.ports import FinalTranscript
from service_kit.audio import AudioChunk, to_pcm
from stt_service.app import build
from stt_service.settings import SttSettings

SCRIPT = """
[stt]
transcripts = ["what is the news"]
final_after = "flush"
final_delay_ms = 10
"""


async def heard(run_service, tmp_path, script: str) -> FinalTranscript:
    (tmp_path / "script.toml").write_text(script)
    settings = SttSettings(engine="scripted", script=tmp_path / "script.toml", grpc_port=0, http_port=0, drain_s=0)
    async with run_service(build(settings)) as channel, SttClient(channel).open("en") as stream:
        tone = to_pcm(np.sin(np.arange(16_000) * 0.3).astype(np.float32) * 0.5)
        await stream.push_audio(AudioChunk(5000, tone))
        await stream.flush_segment(1)
        async with asyncio.timeout(20), aclosing(stream.transcripts()) as transcripts:
            async for transcript in transcripts:
                if isinstance(transcript, FinalTranscript):
                    return transcript
    raise AssertionError("the call ended without a final transcript")


async def test_words_come_back_on_the_audio_clock(run_service, tmp_path):
    final = await heard(run_service, tmp_path, SCRIPT + "word_times = true\n")
    assert [(word.text, word.start_ms, word.end_ms) for word in final.words] == [
        ("what", 5000, 5200),
        ("is", 5200, 5400),
        ("the", 5400, 5600),
        ("news", 5600, 5800),
    ]
    assert {word.confidence for word in final.words} == {None}


async def test_an_engine_without_times_leaves_them_out(run_service, tmp_path):
    final = await heard(run_service, tmp_path, SCRIPT)
    assert (final.text, final.words, final.language_probability) == ("what is the news", (), None)
