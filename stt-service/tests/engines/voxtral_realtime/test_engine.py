"""Voxtral Realtime behind a realtime server: what it is told, what comes back while one speaks, and how it can fail."""

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


async def failure_of(microphone: Any) -> AnchorError:
    with pytest.raises(AnchorError) as failure:
        await microphone.final()
    return failure.value


async def transcribe(engine: VoxtralRealtimeEngine, pcm: bytes) -> None:
    """All of a segment, without a reader."""
    segment = Segment(1, 0, 2000)
    async with engine.open(TranscriptionConfig()) as stream:
        await stream.feed(AudioChunk(0, pcm), segment)
        await stream.flush(segment)


async def test_the_server_is_told_in_its_own_order(microphone: Any, realtime_server: Any, ferry: bytes) -> None:
    await microphone.configure(language="en")
    await microphone.speak(ferry)
    await microphone.flush()
    final = await microphone.final()
    assert (final.text, final.language, final.language_source) == ("what is the latest on the ferry", "en", 1)
    assert not final.HasField("confidence")
    assert not final.words
    warm_up, told = realtime_server.messages
    assert [message["type"] for message in warm_up[:2]] == ["session.update", "input_audio_buffer.commit"]
    assert told[0] == {"type": "session.update", "model": "voxtral-realtime"}
    assert told[1] == {"type": "input_audio_buffer.commit"}
    assert {message["type"] for message in told[2:-1]} == {"input_audio_buffer.append"}
    assert told[-1] == {"type": "input_audio_buffer.commit", "final": True}
    assert realtime_server.clips[1].startswith(ferry)
    await until(lambda: realtime_server.open == 0)


async def test_words_come_while_one_speaks(microphone: Any, realtime_server: Any, ferry: bytes) -> None:
    await microphone.configure(partials=True)
    await microphone.speak(ferry[: len(ferry) * 3 // 4])
    event = await microphone.event()
    while "latest" not in event.partial_transcript.text:
        event = await microphone.event()
    assert "ferry" not in event.partial_transcript.text
    # The same transcript goes on: nothing is heard twice.
    await microphone.speak(ferry[len(ferry) * 3 // 4 :])
    await microphone.flush()
    assert (await microphone.final()).text == "what is the latest on the ferry"
    assert len(realtime_server.clips) == 2


async def test_partials_are_no_more_than_were_asked_for(
    voxtral_realtime: SttSettings, serve: Any, ferry: bytes
) -> None:
    seldom = voxtral_realtime.model_copy(update={"partial_interval_ms": 60_000})
    async with serve(seldom) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure(partials=True)
        await microphone.speak(ferry)
        await microphone.flush()
        assert (await microphone.event()).final_transcript.text == "what is the latest on the ferry"


async def test_a_language_that_is_not_set_is_told_from_the_text(
    microphone: Any, realtime_server: Any, ferry: bytes
) -> None:
    realtime_server.heard = lambda _: "wann fährt die Fähre und was kostet das"
    await microphone.configure(language="")
    await microphone.speak(ferry)
    await microphone.flush()
    final = await microphone.final()
    assert (final.language, final.language_source) == ("de", 3)


async def test_who_goes_on_after_a_flush_is_heard_again_from_the_beginning(
    microphone: Any, realtime_server: Any, ferry: bytes, football: bytes
) -> None:
    await microphone.configure()
    await microphone.speak(ferry)
    await microphone.flush()
    first = await microphone.final()
    await microphone.flush()
    assert (await microphone.final()).text == first.text
    assert len(realtime_server.clips) == 2
    await microphone.speak(football)
    await microphone.flush()
    third = await microphone.final()
    assert (third.revision, third.text) == (3, "what is the latest on the ferry who won the football match")
    assert realtime_server.clips[2].startswith(ferry)
    assert realtime_server.clips[2].find(football[:64_000]) > 0


async def test_a_long_utterance_is_not_heard_again(
    voxtral_realtime: SttSettings, serve: Any, realtime_server: Any, ferry: bytes, football: bytes
) -> None:
    once = voxtral_realtime.model_copy(update={"voxtral_realtime_again_s": 1.0})
    async with serve(once) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure()
        await microphone.speak(ferry)
        await microphone.flush()
        assert (await microphone.final()).text == "what is the latest on the ferry"
        await microphone.speak(football)
        await microphone.flush()
        assert (await microphone.final()).text == "what is the latest on the ferry who won the football match"
    assert realtime_server.clips[2].startswith(football)


async def test_a_full_utterance_ends_in_a_pause_and_is_kept(
    voxtral_realtime: SttSettings, serve: Any, realtime_server: Any, ferry: bytes, football: bytes
) -> None:
    short = voxtral_realtime.model_copy(update={"max_utterance_s": 4.5})
    async with serve(short) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure()
        await microphone.speak(ferry + bytes(12_800) + football + football)
        await microphone.flush()
        final = await microphone.final()
        while len(final.text.split()) < 12:
            final = await microphone.final()
    assert final.segment_id == 1
    assert final.text.startswith("what is the latest on the ferry")
    assert len(realtime_server.clips) > 2
    assert all(len(clip) <= 5.0 * 32_000 for clip in realtime_server.clips)


async def test_noise_is_no_words_and_not_sent(microphone: Any, realtime_server: Any) -> None:
    await microphone.configure()
    await microphone.speak(bytes(range(256)) * 125)
    await microphone.flush()
    assert (await microphone.final()).text == ""
    assert len(realtime_server.clips) == 1


async def test_what_nobody_said_is_left_out(microphone: Any, realtime_server: Any, ferry: bytes) -> None:
    realtime_server.heard = lambda _: "Thanks for watching!"
    await microphone.configure()
    await microphone.speak(ferry)
    await microphone.flush()
    assert (await microphone.final()).text == ""


async def test_a_commit_without_a_flush_gives_the_utterance_up(
    microphone: Any, realtime_server: Any, ferry: bytes
) -> None:
    await microphone.configure()
    await microphone.speak(ferry)
    await until(lambda: len(realtime_server.clips) == 2)
    await microphone.commit()
    await until(lambda: realtime_server.open == 0)
    await microphone.flush(2)
    final = await microphone.final()
    assert (final.segment_id, final.text) == (2, "")


async def test_the_same_words_are_shown_again_in_the_next_segment(
    microphone: Any, realtime_server: Any, ferry: bytes
) -> None:
    realtime_server.heard = lambda pcm: "yes" if len(pcm) > 16_000 else ""
    await microphone.configure(partials=True)
    for segment_id in (1, 2):
        await microphone.speak(ferry)
        shown = (await microphone.event(within_s=20)).partial_transcript
        assert (shown.segment_id, shown.text) == (segment_id, "yes")
        await microphone.commit(segment_id)


@pytest.mark.parametrize("turns", range(6))
async def test_words_of_a_segment_that_is_over_are_not_shown_in_the_next(
    voxtral_realtime: SttSettings, realtime_server: Any, ferry: bytes, turns: int
) -> None:
    """`turns` of the loop go by between the words and the end of their segment."""
    engine = VoxtralRealtimeEngine(voxtral_realtime.model_copy(update={"partial_interval_ms": 0}))
    first, second = Segment(1, 0, 1000), Segment(2, 1000, 2000)
    shown: list[Transcript] = []
    came = asyncio.Event()

    async def read(stream: SttStream) -> None:
        async for transcript in stream.transcripts():
            shown.append(transcript)
            came.set()

    async with engine.lifespan(), engine.open(TranscriptionConfig(partial_transcripts=True)) as stream:
        realtime_server.says = DELTA
        reading = asyncio.create_task(read(stream))
        await stream.feed(AudioChunk(0, ferry[:32_000]), first)
        await came.wait()
        await realtime_server.sockets[-1].send_text(DELTA)
        for _ in range(turns):
            await asyncio.sleep(0)
        await stream.commit(first)
        await stream.feed(AudioChunk(1000, bytes(32_000)), second)
        await until(lambda: realtime_server.open == 0)
        await stream.finish()
        await reading
    assert {transcript.segment.id for transcript in shown} == {1}


async def test_a_caller_that_goes_away_closes_the_connection(
    voxtral_realtime: SttSettings, serve: Any, realtime_server: Any, ferry: bytes
) -> None:
    async with serve(voxtral_realtime) as (_, open_microphone):
        async with open_microphone() as microphone:
            await microphone.configure()
            await microphone.speak(ferry)
            await until(lambda: realtime_server.open == 1)
        await until(lambda: realtime_server.open == 0)


async def test_a_slow_server_holds_the_speaker_back_and_no_more(
    voxtral_realtime: SttSettings, serve: Any, realtime_server: Any, ferry: bytes
) -> None:
    async with serve(voxtral_realtime) as (_, open_microphone), open_microphone() as microphone:
        realtime_server.step_s = 0.04
        await microphone.configure()
        await microphone.speak(ferry)
        await microphone.flush()
        assert (await microphone.final()).text == "what is the latest on the ferry"


async def test_a_transcript_that_ends_by_itself_is_a_failure(
    microphone: Any, realtime_server: Any, ferry: bytes
) -> None:
    await microphone.configure()
    realtime_server.says = DONE
    await microphone.send(audio={"start_ms": 0, "pcm": ferry})
    assert (await failure_of(microphone)).code == "stt.server_failed"


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ({"refuses": 401}, PeerFailed, "stt.server_refused"),
        ({"refuses": 503}, AtCapacity, "stt.server_busy"),
        ({"models": ["whisper"]}, PeerFailed, "stt.model_missing"),
        ({"greets": SILENT}, PeerFailed, "stt.server_slow"),
        ({"greets": DELTA}, PeerFailed, "stt.server_garbled"),
        ({"says": SILENT}, PeerFailed, "stt.server_slow"),
        ({"says": BREAK_OFF}, PeerFailed, "stt.connection_lost"),
        ({"says": "nonsense"}, PeerFailed, "stt.server_garbled"),
        ({"says": b"\x00\xff"}, PeerFailed, "stt.server_garbled"),
        ({"says": "[]"}, PeerFailed, "stt.server_garbled"),
        ({"says": '{"type": "transcription.delta", "delta": 7}'}, PeerFailed, "stt.server_garbled"),
        ({"says": '{"type": "transcription.delta"}'}, PeerFailed, "stt.server_garbled"),
        ({"says": json.dumps({"type": "later.version", "text": "x" * 70_000})}, PeerFailed, "stt.server_garbled"),
        ({"says": ERROR}, PeerFailed, "stt.server_failed"),
        ({"ends": BREAK_OFF}, PeerFailed, "stt.connection_lost"),
        ({"ends": SILENT}, PeerFailed, "stt.server_slow"),
        ({"ends": ERROR}, PeerFailed, "stt.server_failed"),
    ],
)
async def test_a_server_that_fails_fails_the_call(
    voxtral_realtime: SttSettings,
    realtime_server: Any,
    ferry: bytes,
    fault: dict[str, Any],
    error: type[AnchorError],
    code: str,
) -> None:
    # Short only where they are what ends the call.
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


async def test_a_server_that_goes_away_in_mid_utterance_ends_the_call_at_once(
    microphone: Any, realtime_server: Any, ferry: bytes
) -> None:
    await microphone.configure()
    realtime_server.says = BREAK_OFF
    await microphone.send(audio={"start_ms": 0, "pcm": ferry})
    assert (await failure_of(microphone)).code == "stt.connection_lost"


async def test_messages_of_a_later_version_are_passed_over(microphone: Any, realtime_server: Any, ferry: bytes) -> None:
    realtime_server.says, realtime_server.ends = '{"type": "later.version"}', DONE
    await microphone.configure()
    await microphone.speak(ferry[:16_000])
    await microphone.flush()
    assert (await microphone.final()).text == "ferry"


async def test_the_key_is_shown_where_there_is_one(voxtral_realtime: SttSettings, realtime_server: Any) -> None:
    keyed = voxtral_realtime.model_copy(update={"voxtral_realtime_api_key": SecretStr("open sesame")})
    async with VoxtralRealtimeEngine(keyed).lifespan():
        assert realtime_server.headers[-1]["authorization"] == "Bearer open sesame"


async def test_it_is_ready_when_the_server_knows_the_model(voxtral_realtime: SttSettings, realtime_server: Any) -> None:
    realtime_server.models = ["whisper"]
    with pytest.raises(PeerFailed, match="the server has whisper, but not 'voxtral-realtime'"):
        async with VoxtralRealtimeEngine(voxtral_realtime).lifespan():
            pass
    assert realtime_server.clips == []


async def test_a_server_that_is_not_there_in_time_is_given_up(
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
