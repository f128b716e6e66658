"""The orchestrator's clients against the services they were made for: the promises of the conversation's ports."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
from orchestrator.clients.stt import SttClient
from orchestrator.clients.tts import TtsClient
from orchestrator.clients.vad import VadClient
from orchestrator.clients.voices import VoiceWatch
from orchestrator.conversation.messages.server import Style
from orchestrator.conversation.model.ports import (
    AudioAnalysed,
    FinalTranscript,
    PartialTranscript,
    PhraseStarted,
    SpeechAudio,
    SpeechMark,
    SpeechStarted,
    SpeechStopped,
    TranscriptionProgress,
    TurnEndPredicted,
)
from service_kit.audio import AudioChunk, to_pcm
from service_kit.errors import AtCapacity, InvalidRequest, PeerFailed
from service_kit.rpc.channel import open_channel
from stt_service.app import build as build_stt
from stt_service.settings import SttSettings
from tts_service.app import build as build_tts
from tts_service.settings import TtsSettings
from vad_service.app import build as build_vad
from vad_service.settings import VadSettings

PORTS = {"grpc_port": 0, "http_port": 0, "drain_s": 0}
SCRIPT = """
[stt]
transcripts = ["what is the news", "tell me more"]
final_after = "flush"
final_delay_ms = 10
[tts]
first_audio_delay_ms = 5
real_time_factor = 0
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.toml"
    path.write_text(SCRIPT)
    return path


def sound(start_ms: int, length_ms: int, loud: bool) -> list[AudioChunk]:
    tone = np.sin(np.arange(512) * 0.3).astype(np.float32) * (0.5 if loud else 0.0)
    return [AudioChunk(at_ms, to_pcm(tone)) for at_ms in range(start_ms, start_ms + length_ms, 32)]


async def take(items, count: int) -> list:
    taken = []
    async with asyncio.timeout(20), aclosing(items) as source:
        async for item in source:
            taken.append(item)
            if len(taken) == count:
                break
    return taken


async def test_speech_edges_come_back_as_events(run_service):
    async with (
        run_service(build_vad(VadSettings(engine="energy", turn_end_predictor="pause", **PORTS))) as channel,
        VadClient(channel).open("en") as stream,
    ):
        for chunk in [*sound(0, 640, False), *sound(640, 640, True), *sound(1280, 640, False)]:
            await stream.push_audio(chunk)
        await stream.push_transcript("what is", 1280, "en")
        events = await take(stream.events(), 7)
    started, stopped, judged = (event for event in events if not isinstance(event, AudioAnalysed))
    reported_ms = [event.until_ms for event in events if isinstance(event, AudioAnalysed)]
    assert reported_ms == [32, 544, 1056, 1568]
    assert isinstance(started, SpeechStarted)
    assert started.pre_roll_start_ms < started.at_ms
    assert started.at_ms == pytest.approx(640, abs=64)
    assert isinstance(stopped, SpeechStopped)
    assert stopped.at_ms == pytest.approx(1280, abs=64)
    assert judged == TurnEndPredicted(stopped.at_ms, judged.probability, "pause", judged.silence_ms)
    assert judged.silence_ms == pytest.approx(200, abs=64)


async def test_predictions_from_the_sound_can_be_left_out(run_service):
    predicts_fully = False
    audio = [*sound(0, 640, False), *sound(640, 640, True), *sound(1280, 640, False)]
    async with (
        run_service(build_vad(VadSettings(engine="energy", turn_end_predictor="pause", **PORTS))) as channel,
        VadClient(channel, lambda: predicts_fully).open("en") as stream,
    ):
        for chunk in audio:
            await stream.push_audio(chunk)
        shed = await take(stream.events(), 6)
        predicts_fully = True
        for chunk in audio:
            await stream.push_audio(AudioChunk(chunk.start_ms + 1920, chunk.pcm))
        async with asyncio.timeout(20), aclosing(stream.events()) as events:
            async for event in events:
                if isinstance(event, TurnEndPredicted) and event.at_ms > 1920:
                    break
    assert not any(isinstance(each, TurnEndPredicted) for each in shed)
    assert sum(isinstance(each, SpeechStopped) for each in shed) == 1
    assert event.at_ms == pytest.approx(1920 + 1280, abs=64)


async def test_partial_transcripts_can_be_left_out(run_service, script):
    async with (
        run_service(build_stt(SttSettings(engine="scripted", script=script, **PORTS))) as channel,
        SttClient(channel, lambda: False).open("en") as stream,
    ):
        for chunk in sound(0, 1280, True):
            await stream.push_audio(chunk)
        await stream.flush_segment(1)
        async with asyncio.timeout(20), aclosing(stream.transcripts()) as source:
            async for transcript in source:
                assert not isinstance(transcript, PartialTranscript)
                if isinstance(transcript, FinalTranscript):
                    break
    assert transcript.text == "what is the news"


async def test_transcripts_come_back_with_their_segments(run_service, script):
    async with (
        run_service(build_stt(SttSettings(engine="scripted", script=script, **PORTS))) as channel,
        SttClient(channel).open("en") as stream,
    ):
        for chunk in sound(0, 640, True):
            await stream.push_audio(chunk)
        await stream.flush_segment(1)
        transcripts = []
        async with asyncio.timeout(20), aclosing(stream.transcripts()) as source:
            async for transcript in source:
                transcripts.append(transcript)
                if isinstance(transcript, FinalTranscript):
                    break
        await stream.commit_segment(1)
        for chunk in sound(3000, 640, True):
            await stream.push_audio(chunk)
        await stream.flush_segment(2)
        async with asyncio.timeout(20), aclosing(stream.transcripts()) as source:
            async for transcript in source:
                if isinstance(transcript, FinalTranscript):
                    break
    transcripts = [item for item in transcripts if not isinstance(item, TranscriptionProgress)]
    assert isinstance(transcripts[0], PartialTranscript)
    first = transcripts[-1]
    assert (first.segment_id, first.revision, first.text, first.language) == (1, 1, "what is the news", "en")
    assert (transcript.segment_id, transcript.text) == (2, "tell me more")


async def test_speech_to_text_reports_that_it_works(run_service, script):
    async with (
        run_service(build_stt(SttSettings(engine="scripted", script=script, **PORTS))) as channel,
        SttClient(channel).open("en") as stream,
    ):
        assert await take(stream.transcripts(), 1) == [TranscriptionProgress(0)]
        for chunk in sound(0, 320, False):
            await stream.push_audio(chunk)
        assert await take(stream.transcripts(), 1) == [TranscriptionProgress(320)]


async def test_a_reply_is_spoken_while_it_is_written(run_service, script):
    async with (
        run_service(build_tts(TtsSettings(engine="scripted", script=script, **PORTS))) as channel,
        TtsClient(channel).open("", "en", Style(pace=1.0)) as stream,
    ):
        await stream.send_text("Good evening, and welcome")
        begun = await take(stream.speech(), 1)
        await stream.send_text(" to the news.")
        await stream.end_text()
        async with asyncio.timeout(20):
            rest = [item async for item in stream.speech()]
    items = [*begun, *rest]
    phrases = [item for item in items if isinstance(item, PhraseStarted)]
    assert (phrases[0].text_start, phrases[0].text_end) == (0, len("Good evening,"))
    assert [item for item in items if isinstance(item, SpeechMark)]
    spoken = [item for item in items if isinstance(item, SpeechAudio)]
    assert spoken[0].offset_ms == 0
    assert all(item.pcm for item in spoken)


async def test_a_refusal_keeps_its_kind_and_code(run_service, script):
    async with run_service(build_tts(TtsSettings(engine="scripted", script=script, **PORTS))) as channel:
        client = TtsClient(channel)
        with pytest.raises(InvalidRequest) as refused:
            async with client.open("nobody", "en", Style()) as stream:
                await take(stream.speech(), 1)
    assert refused.value.code == "tts.unknown_voice"


async def test_a_full_service_says_so(run_multiplexed, script):
    settings = SttSettings(engine="scripted", script=script, max_streams=1, **PORTS)
    async with run_multiplexed(build_stt(settings)) as channel:
        client = SttClient(channel)
        async with client.open("en") as first:
            for chunk in sound(0, 640, True):
                await first.push_audio(chunk)
            await take(first.transcripts(), 1)
            with pytest.raises(AtCapacity):
                async with client.open("en") as second:
                    await take(second.transcripts(), 1)


async def test_a_missing_service_fails_the_call_at_once():
    channel = open_channel("127.0.0.1:1")
    for client in (VadClient(channel), SttClient(channel)):
        with pytest.raises(PeerFailed):
            async with asyncio.timeout(20), client.open("en"):
                pass
    await channel.close()


async def test_the_voice_list_is_loaded(run_service, script):
    async with (
        run_service(build_tts(TtsSettings(engine="scripted", script=script, **PORTS))) as channel,
        VoiceWatch(TtsClient(channel)).running() as voices,
    ):
        async with asyncio.timeout(20):
            while not voices.ids:
                await asyncio.sleep(0.01)
        assert voices.ids == ("tone",)
        assert voices.latest.value[0].engine == "scripted"
