"""The contract of `anchor.stt.v1` for every engine over the multiplexed channel, and for one over plain gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import grpc
import pytest
from service_kit.errors import AtCapacity, InvalidRequest, PeerFailed
from service_kit.testing.plugin import serve_grpc, serve_multiplexed
from stt_service.settings import SttSettings
from transcribe_client import serve_engine

# Each engine's transcript of the clip "ferry".
TRANSCRIPTS = {
    "scripted": "what is the latest news",
    "whisper": "What is the latest on the ferry?",
    "pocketsphinx": "what is the latest on the ferry",
    "voxtral": "what is the latest on the ferry",
    "voxtral-realtime": "what is the latest on the ferry",
}


@pytest.fixture(params=[serve_grpc, serve_multiplexed], ids=["plain", "multiplexed"])
def transport(request: pytest.FixtureRequest) -> Any:
    return request.param


# Engine and transport, which does not depend on the engine.
SERVED = [("scripted", serve_grpc), *((engine, serve_multiplexed) for engine in TRANSCRIPTS)]


@pytest.fixture(params=SERVED, ids=lambda served: f"{served[0]}-{served[1].__name__}")
async def served(
    request: pytest.FixtureRequest, settings: SttSettings, voxtral: SttSettings, voxtral_realtime: SttSettings
) -> AsyncGenerator[Any]:
    name, transport = request.param
    prepared = {"voxtral": voxtral, "voxtral-realtime": voxtral_realtime}
    if name == "whisper":
        prepared["whisper"] = request.getfixturevalue("whisper")
    chosen = prepared.get(name) or settings.model_copy(update={"engine": name})
    async with serve_engine(chosen, transport) as (engine, open_microphone):
        yield engine, open_microphone


@pytest.fixture
def transcript(served: Any) -> str:
    """The engine's transcript of the clip "ferry"."""
    return TRANSCRIPTS[served[0].info.name]


@pytest.fixture
async def microphone(served: Any) -> AsyncGenerator[Any]:
    async with served[1]() as microphone:
        yield microphone


async def test_each_flush_gives_a_revision_of_the_whole_segment(
    microphone: Any, transcript: str, ferry: bytes, football: bytes
) -> None:
    await microphone.configure()
    await microphone.push_audio(ferry)
    await microphone.flush()
    first = await microphone.final()
    assert (first.segment_id, first.revision, first.text) == (1, 1, transcript)
    assert (first.start_ms, first.language) == (0, "en")
    assert first.end_ms == pytest.approx(len(ferry) / 32, abs=32)
    await microphone.push_audio(football)
    await microphone.flush()
    second = await microphone.final()
    while second.revision == 1:
        # A final of the first half may come before the flush.
        second = await microphone.final()
    assert (second.segment_id, second.revision, second.start_ms) == (1, 2, 0)
    assert second.text.startswith(transcript)
    assert second.end_ms == pytest.approx((len(ferry) + len(football)) / 32, abs=64)


async def test_a_commit_starts_the_next_segment(microphone: Any, ferry: bytes, football: bytes) -> None:
    await microphone.configure()
    await microphone.push_audio(ferry)
    await microphone.flush(1)
    assert (await microphone.final()).segment_id == 1
    await microphone.commit(1)
    await microphone.push_audio(football)
    await microphone.flush(2)
    final = await microphone.final()
    assert (final.segment_id, final.revision) == (2, 1)
    assert final.start_ms == pytest.approx(len(ferry) / 32, abs=32)
    assert "ferry" not in final.text


async def test_silence_gives_an_empty_final(microphone: Any) -> None:
    await microphone.configure()
    await microphone.flush()
    assert (await microphone.final()).text == ""
    await microphone.push_audio(bytes(32_000))
    await microphone.flush()
    final = await microphone.final()
    assert (final.text, final.revision) == ("", 2)


async def test_a_half_close_delivers_pending_finals_and_ends_the_call(
    microphone: Any, transcript: str, ferry: bytes
) -> None:
    await microphone.configure()
    await microphone.push_audio(ferry)
    await microphone.flush()
    await microphone.call.done_writing()
    assert (await microphone.final()).text == transcript
    assert await microphone.event() is None
    assert await microphone.call.code() is grpc.StatusCode.OK


async def test_partials_grow_towards_the_final(microphone: Any, transcript: str, ferry: bytes) -> None:
    await microphone.configure(partials=True)
    await microphone.push_audio(ferry)
    partials: list[str] = []
    while not partials or len(partials[-1].split()) < 5:
        event = await microphone.event()
        assert event.partial_transcript.segment_id == 1
        partials.append(event.partial_transcript.text)
    assert partials[-1].split()[:3] == transcript.split()[:3]


async def test_a_cancelled_call_frees_its_stream(served: Any, ferry: bytes) -> None:
    _, open_microphone = served
    async with open_microphone() as first, open_microphone() as second:
        for microphone in (first, second):
            await microphone.configure()
            await microphone.push_audio(ferry)
            await microphone.flush()
            await microphone.final()
        for microphone in (first, second):
            # Transcribing may have taken so long that the stream counts as idle.
            await microphone.push_audio(bytes(1_024))
        async with open_microphone() as third:
            # Nothing is written: over plain gRPC, a write that meets the refusal may lose its status.
            assert isinstance(refused := await third.failure(), AtCapacity)
            assert refused.code == "stt.at_capacity"
        first.call.cancel()
        async with asyncio.timeout(60):
            while True:
                async with open_microphone() as fourth:
                    try:
                        await fourth.configure()
                        await fourth.flush()
                        assert (await fourth.final()).text == ""
                        break
                    except (AtCapacity, PeerFailed):
                        # The refusal, or the end of the call before the flush.
                        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("requests", "code"),
    [
        ([], "stt.config_missing"),
        ([{"flush": {"segment_id": 1}}], "stt.config_missing"),
        ([{"config": {"sample_rate_hz": 48_000}}], "stt.sample_rate"),
        ([{"config": {"sample_rate_hz": 16_000}}] * 2, "stt.config_repeated"),
        ([{"config": {"sample_rate_hz": 16_000}}, {"audio": {"pcm": b"odd"}}], "stt.odd_bytes"),
        (
            [{"config": {"sample_rate_hz": 16_000}}, {"audio": {"start_ms": 2**32 - 1, "pcm": bytes(64)}}],
            "stt.clock_overflow",
        ),
        ([{"config": {"sample_rate_hz": 16_000}}, {}], "stt.unknown_message"),
        ([{"config": {"sample_rate_hz": 16_000}}, {"flush": {"segment_id": 2}}], "stt.wrong_segment"),
        ([{"config": {"sample_rate_hz": 16_000}}, {"commit": {"segment_id": 0}}], "stt.wrong_segment"),
    ],
)
async def test_an_invalid_request_is_refused_with_its_code(
    settings: SttSettings, serve: Any, requests: list[Any], code: str
) -> None:
    """The refused request is the last: on a plain gRPC call, a write that meets the refusal loses its status."""
    scripted = settings.model_copy(update={"engine": "scripted"})
    async with serve(scripted) as (_, open_microphone), open_microphone() as microphone:
        for request in requests:
            await microphone.send(**request)
        await microphone.call.done_writing()
        assert isinstance(refused := await microphone.failure(), InvalidRequest)
        assert refused.code == code


async def test_a_final_carries_word_times(settings: SttSettings, serve: Any, ferry: bytes, tmp_path: Path) -> None:
    script = tmp_path / "script.toml"
    script.write_text('[stt]\ntranscripts = ["when does it leave"]\nfinal_after = "flush"\nword_times = true\n')
    scripted = settings.model_copy(update={"engine": "scripted", "script": script})
    async with serve(scripted) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure()
        await microphone.push_audio(ferry)
        await microphone.flush()
        final = await microphone.final()
    assert [word.text for word in final.words] == final.text.split()
    assert [(word.start_ms, word.end_ms) for word in final.words][:2] == [(0, 200), (200, 400)]
    assert not final.words[0].HasField("confidence")
    assert not final.HasField("language_probability")
