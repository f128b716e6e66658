"""The Voxtral Realtime engine on a fake server: its messages, partials during speech, and the server's failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from pydantic import SecretStr
from realtime_server import BREAK_OFF, SILENT
from service_kit.audio import AudioChunk
from service_kit.errors import AnchorError, AtCapacity, InvalidRequest, PeerFailed, Unsupported, root_cause
from stt_service.engine import Segment, SttStream, Transcript, TranscriptionConfig
from stt_service.engines.voxtral_realtime.engine import VoxtralRealtimeEngine
from stt_service.settings import SttSettings

DELTA = json.dumps({"type": "transcription.delta", "delta": " ferry"})
DONE = json.dumps({"type": "transcription.done", "text": "ferry", "usage": None})
ERROR = json.dumps({"type": "error", "error": "out of memory", "code": "processing_error"})


@pytest.fixture
async def microphone(voxtral_realtime: SttSettings, serve: Any) -> AsyncGenerator[Any]:
    async with serve(voxtral_realtime) as (_, open_microphone), open_microphone() as microphone:
        yield microphone


async def until(condition: Any, within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


async def transcribe(engine: VoxtralRealtimeEngine, pcm: bytes) -> None:
    """Push and flush a segment, without reading its transcripts."""
    segment = Segment(1, 0, 2000)
    async with engine.open_stream(TranscriptionConfig()) as stream:
        await stream.push_audio(AudioChunk(0, pcm), segment)
        await stream.flush_segment(segment)


async def test_messages_have_the_order_the_server_expects(microphone: Any, realtime_server: Any, ferry: bytes) -> None:
    await microphone.configure(language="en")
    await microphone.push_audio(ferry)
    await microphone.flush()
    final = await microphone.final()
    assert (final.text, final.language, final.language_source) == ("what is the latest on the ferry", "en", 1)
    assert not final.HasField("confidence")
    assert not final.words
    warm_up, messages = realtime_server.messages
    assert [message["type"] for message in warm_up[:2]] == ["session.update", "input_audio_buffer.commit"]
    assert messages[0] == {"type": "session.update", "model": "voxtral-realtime"}
    assert messages[1] == {"type": "input_audio_buffer.commit"}
    assert {message["type"] for message in messages[2:-1]} == {"input_audio_buffer.append"}
    assert messages[-1] == {"type": "input_audio_buffer.commit", "final": True}
    assert realtime_server.clips[1].startswith(ferry)
    await until(lambda: realtime_server.open == 0)


async def test_partials_arrive_during_speech(microphone: Any, realtime_server: Any, ferry: bytes) -> None:
    await microphone.configure(partials=True)
    await microphone.push_audio(ferry[: len(ferry) * 3 // 4])
    event = await microphone.event()
    while "latest" not in event.partial_transcript.text:
        event = await microphone.event()
    assert "ferry" not in event.partial_transcript.text
    # The same transcription continues: no audio is sent twice.
    await microphone.push_audio(ferry[len(ferry) * 3 // 4 :])
    await microphone.flush()
    assert (await microphone.final()).text == "what is the latest on the ferry"
    assert len(realtime_server.clips) == 2


async def test_partials_respect_their_minimum_interval(voxtral_realtime: SttSettings, serve: Any, ferry: bytes) -> None:
    seldom = voxtral_realtime.model_copy(update={"partial_interval_ms": 60_000})
    async with serve(seldom) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure(partials=True)
        await microphone.push_audio(ferry)
        await microphone.flush()
        assert (await microphone.event()).final_transcript.text == "what is the latest on the ferry"


async def test_an_unset_language_is_detected_from_the_text(microphone: Any, realtime_server: Any, ferry: bytes) -> None:
    realtime_server.text_of = lambda _: "wann fährt die Fähre und was kostet das"
    await microphone.configure(language="")
    await microphone.push_audio(ferry)
    await microphone.flush()
    final = await microphone.final()
    assert (final.language, final.language_source) == ("de", 3)


async def test_speech_after_a_flush_restarts_the_utterances_transcription(
    microphone: Any, realtime_server: Any, ferry: bytes, football: bytes
) -> None:
    await microphone.configure()
    await microphone.push_audio(ferry)
    await microphone.flush()
    first = await microphone.final()
    await microphone.flush()
    assert (await microphone.final()).text == first.text
    assert len(realtime_server.clips) == 2
    await microphone.push_audio(football)
    await microphone.flush()
    third = await microphone.final()
    assert (third.revision, third.text) == (3, "what is the latest on the ferry who won the football match")
    assert realtime_server.clips[2].startswith(ferry)
    assert realtime_server.clips[2].find(football[:64_000]) > 0


async def test_a_long_utterance_is_not_transcribed_again(
    voxtral_realtime: SttSettings, serve: Any, realtime_server: Any, ferry: bytes, football: bytes
) -> None:
    once = voxtral_realtime.model_copy(update={"voxtral_realtime_again_s": 1.0})
    async with serve(once) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure()
        await microphone.push_audio(ferry)
        await microphone.flush()
        assert (await microphone.final()).text == "what is the latest on the ferry"
        await microphone.push_audio(football)
        await microphone.flush()
        assert (await microphone.final()).text == "what is the latest on the ferry who won the football match"
    assert realtime_server.clips[2].startswith(football)


async def test_a_full_utterance_ends_in_a_pause_and_stays_in_the_segment(
    voxtral_realtime: SttSettings, serve: Any, realtime_server: Any, ferry: bytes, football: bytes
) -> None:
    short = voxtral_realtime.model_copy(update={"max_utterance_s": 4.5})
    async with serve(short) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure()
        await microphone.push_audio(ferry + bytes(12_800) + football + football)
        await microphone.flush()
        final = await microphone.final()
        while len(final.text.split()) < 12:
            final = await microphone.final()
    assert final.segment_id == 1
    assert final.text.startswith("what is the latest on the ferry")
    assert len(realtime_server.clips) > 2
    assert all(len(clip) <= 5.0 * 32_000 for clip in realtime_server.clips)


async def test_noise_gives_an_empty_final_and_is_not_sent(microphone: Any, realtime_server: Any) -> None:
    await microphone.configure()
    await microphone.push_audio(bytes(range(256)) * 125)
    await microphone.flush()
    assert (await microphone.final()).text == ""
    assert len(realtime_server.clips) == 1


async def test_a_hallucination_is_dropped(microphone: Any, realtime_server: Any, ferry: bytes) -> None:
    realtime_server.text_of = lambda _: "Thanks for watching!"
    await microphone.configure()
    await microphone.push_audio(ferry)
    await microphone.flush()
    assert (await microphone.final()).text == ""


async def test_a_commit_without_a_flush_cancels_the_transcription(
    microphone: Any, realtime_server: Any, ferry: bytes
) -> None:
    await microphone.configure()
    await microphone.push_audio(ferry)
    await until(lambda: len(realtime_server.clips) == 2)
    await microphone.commit()
    await until(lambda: realtime_server.open == 0)
    await microphone.flush(2)
    final = await microphone.final()
    assert (final.segment_id, final.text) == (2, "")


async def test_equal_partials_of_two_segments_are_both_sent(
    microphone: Any, realtime_server: Any, ferry: bytes
) -> None:
    realtime_server.text_of = lambda pcm: "yes" if len(pcm) > 16_000 else ""
    await microphone.configure(partials=True)
    for segment_id in (1, 2):
        await microphone.push_audio(ferry)
        shown = (await microphone.event(within_s=20)).partial_transcript
        assert (shown.segment_id, shown.text) == (segment_id, "yes")
        await microphone.commit(segment_id)


@pytest.mark.parametrize("turns", range(6))
async def test_late_text_of_a_segment_is_not_sent_in_the_next(
    voxtral_realtime: SttSettings, realtime_server: Any, ferry: bytes, turns: int
) -> None:
    """`turns` is the number of loop iterations between the text and the end of its segment."""
    engine = VoxtralRealtimeEngine(voxtral_realtime.model_copy(update={"partial_interval_ms": 0}))
    first, second = Segment(1, 0, 1000), Segment(2, 1000, 2000)
    shown: list[Transcript] = []
    came = asyncio.Event()

    async def read(stream: SttStream) -> None:
        async for transcript in stream.transcripts():
            shown.append(transcript)
            came.set()

    async with engine.lifespan(), engine.open_stream(TranscriptionConfig(partial_transcripts=True)) as stream:
        realtime_server.step_message = DELTA
        reading = asyncio.create_task(read(stream))
        await stream.push_audio(AudioChunk(0, ferry[:32_000]), first)
        await came.wait()
        await realtime_server.sockets[-1].send_text(DELTA)
        for _ in range(turns):
            await asyncio.sleep(0)
        await stream.commit_segment(first)
        await stream.push_audio(AudioChunk(1000, bytes(32_000)), second)
        await until(lambda: realtime_server.open == 0)
        await stream.end_audio()
        await reading
    assert {transcript.segment.id for transcript in shown} == {1}


async def test_a_cancelled_call_closes_the_connection(
    voxtral_realtime: SttSettings, serve: Any, realtime_server: Any, ferry: bytes
) -> None:
    async with serve(voxtral_realtime) as (_, open_microphone):
        async with open_microphone() as microphone:
            await microphone.configure()
            await microphone.push_audio(ferry)
            await until(lambda: realtime_server.open == 1)
        await until(lambda: realtime_server.open == 0)


async def test_a_slow_server_slows_the_audio_and_loses_no_words(
    voxtral_realtime: SttSettings, serve: Any, realtime_server: Any, ferry: bytes
) -> None:
    async with serve(voxtral_realtime) as (_, open_microphone), open_microphone() as microphone:
        realtime_server.step_s = 0.04
        await microphone.configure()
        await microphone.push_audio(ferry)
        await microphone.flush()
        assert (await microphone.final()).text == "what is the latest on the ferry"


async def test_a_transcript_that_ends_early_is_an_error(microphone: Any, realtime_server: Any, ferry: bytes) -> None:
    await microphone.configure()
    realtime_server.step_message = DONE
    await microphone.send(audio={"start_ms": 0, "pcm": ferry})
    assert (await microphone.failure()).code == "stt.server_failed"


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ({"refusal_status": 401}, PeerFailed, "stt.server_refused"),
        ({"refusal_status": 503}, AtCapacity, "stt.server_busy"),
        ({"models": ["whisper"]}, PeerFailed, "stt.model_missing"),
        ({"greeting": SILENT}, PeerFailed, "stt.server_slow"),
        ({"greeting": DELTA}, PeerFailed, "stt.server_garbled"),
        ({"step_message": SILENT}, PeerFailed, "stt.server_slow"),
        ({"step_message": BREAK_OFF}, PeerFailed, "stt.connection_lost"),
        ({"step_message": "nonsense"}, PeerFailed, "stt.server_garbled"),
        ({"step_message": b"\x00\xff"}, PeerFailed, "stt.server_garbled"),
        ({"step_message": "[]"}, PeerFailed, "stt.server_garbled"),
        ({"step_message": '{"type": "transcription.delta", "delta": 7}'}, PeerFailed, "stt.server_garbled"),
        ({"step_message": '{"type": "transcription.delta"}'}, PeerFailed, "stt.server_garbled"),
        (
            {"step_message": json.dumps({"type": "later.version", "text": "x" * 70_000})},
            PeerFailed,
            "stt.server_garbled",
        ),
        ({"step_message": ERROR}, PeerFailed, "stt.server_failed"),
        ({"end_message": BREAK_OFF}, PeerFailed, "stt.connection_lost"),
        ({"end_message": SILENT}, PeerFailed, "stt.server_slow"),
        ({"end_message": ERROR}, PeerFailed, "stt.server_failed"),
    ],
)
async def test_a_server_failure_fails_the_call(
    voxtral_realtime: SttSettings,
    realtime_server: Any,
    ferry: bytes,
    fault: dict[str, Any],
    error: type[AnchorError],
    code: str,
) -> None:
    # Short only where a timeout ends the call.
    hasty = {"connect_s": 1.0, "first_s": 1.0, "final_s": 1.0} if code == "stt.server_slow" else {}
    settings = voxtral_realtime.model_copy(update={f"voxtral_realtime_{name}": value for name, value in hasty.items()})
    engine = VoxtralRealtimeEngine(settings)
    async with engine.lifespan():
        for name, value in fault.items():
            setattr(realtime_server, name, value)
        with pytest.raises(ExceptionGroup) as failures:
            await transcribe(engine, ferry)
    failure = root_cause(failures.value)
    assert isinstance(failure, error)
    assert failure.code == code
    await until(lambda: realtime_server.open == 0)


async def test_a_lost_connection_during_an_utterance_ends_the_call(
    microphone: Any, realtime_server: Any, ferry: bytes
) -> None:
    await microphone.configure()
    realtime_server.step_message = BREAK_OFF
    await microphone.send(audio={"start_ms": 0, "pcm": ferry})
    assert (await microphone.failure()).code == "stt.connection_lost"


async def test_messages_of_a_later_version_are_ignored(microphone: Any, realtime_server: Any, ferry: bytes) -> None:
    realtime_server.step_message, realtime_server.end_message = '{"type": "later.version"}', DONE
    await microphone.configure()
    await microphone.push_audio(ferry[:16_000])
    await microphone.flush()
    assert (await microphone.final()).text == "ferry"


async def test_a_configured_api_key_is_sent(voxtral_realtime: SttSettings, realtime_server: Any) -> None:
    keyed = voxtral_realtime.model_copy(update={"voxtral_realtime_api_key": SecretStr("open sesame")})
    async with VoxtralRealtimeEngine(keyed).lifespan():
        assert realtime_server.headers[-1]["authorization"] == "Bearer open sesame"


async def test_a_server_without_the_model_is_refused(voxtral_realtime: SttSettings, realtime_server: Any) -> None:
    realtime_server.models = ["whisper"]
    with pytest.raises(PeerFailed, match="the server has whisper, but not 'voxtral-realtime'"):
        async with VoxtralRealtimeEngine(voxtral_realtime).lifespan():
            pass
    assert realtime_server.clips == []


async def test_a_server_that_does_not_start_in_time_is_an_error(
    voxtral_realtime: SttSettings, refusing_port: int
) -> None:
    gone = {"voxtral_realtime_url": f"http://127.0.0.1:{refusing_port}/v1", "voxtral_realtime_start_s": 0.1}
    with pytest.raises(PeerFailed) as failure:
        async with VoxtralRealtimeEngine(voxtral_realtime.model_copy(update=gone)).lifespan():
            pass
    assert failure.value.code == "stt.server_unreachable"


async def test_other_languages_are_refused(microphone: Any) -> None:
    await microphone.configure(language="sv")
    with pytest.raises(InvalidRequest) as refusal:
        await microphone.event()
    assert isinstance(refusal.value, Unsupported)
