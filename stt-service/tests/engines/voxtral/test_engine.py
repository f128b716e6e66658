"""The Voxtral engine on a fake transcription server: its requests, and the server's failures."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import SecretStr
from service_kit.errors import AnchorError, AtCapacity, InvalidRequest, PeerFailed, Unsupported
from stt_service.engines.voxtral.client import TranscriptionClient
from stt_service.engines.voxtral.engine import VoxtralEngine
from stt_service.retranscribing.hallucinations import ends_in_loop
from stt_service.settings import SttSettings

WORD = 'data: {"id":"trsc-1","object":"transcription.chunk","choices":[{"delta":{"content":" ferry"}}]}\n\n'
END = "data: [DONE]\n\n"


@pytest.fixture
async def microphone(voxtral: SttSettings, serve: Any) -> AsyncGenerator[Any]:
    async with serve(voxtral) as (_, open_microphone), open_microphone() as microphone:
        yield microphone


async def until(condition: Any, within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_clip_is_sent_with_the_servers_form_fields(microphone: Any, server: Any, ferry: bytes) -> None:
    await microphone.configure(language="en")
    await microphone.push_audio(ferry)
    await microphone.flush()
    final = await microphone.final()
    assert (final.language, final.language_source, final.HasField("confidence")) == ("en", 1, False)
    warm_up, clip = server.clips
    assert warm_up.pcm == bytes(32_000)
    assert clip.pcm.startswith(ferry)
    assert clip.form == {
        "model": "voxtral",
        "language": "en",
        "response_format": "json",
        "temperature": "0.0",
        "stream": "true",
        # 16, and 16 per second for nearly two seconds.
        "max_completion_tokens": "47",
    }


async def test_an_unset_language_is_detected_from_the_text(microphone: Any, server: Any, ferry: bytes) -> None:
    server.known = {ferry: "wann fährt die Fähre und was kostet das"}
    await microphone.configure(language="")
    await microphone.push_audio(ferry)
    await microphone.flush()
    final = await microphone.final()
    assert (final.text, final.language, final.language_source) == ("wann fährt die Fähre und was kostet das", "de", 3)
    assert "language" not in server.clips[-1].form


async def test_a_repeated_flush_sends_no_second_request(microphone: Any, server: Any, ferry: bytes) -> None:
    await microphone.configure()
    await microphone.push_audio(ferry)
    await microphone.flush()
    first = await microphone.final()
    await microphone.flush()
    second = await microphone.final()
    assert (first.text, first.revision, second.text, second.revision) == (first.text, 1, first.text, 2)
    assert len(server.clips) == 2


async def test_a_flush_cancels_the_partial_in_progress(microphone: Any, server: Any, ferry: bytes) -> None:
    await microphone.configure(partials=True)
    server.released.clear()
    await microphone.push_audio(ferry)
    await until(lambda: len(server.clips) == 2)
    await microphone.flush()
    await until(lambda: server.aborted == 1)
    server.released.set()
    event = await microphone.event()
    assert event.final_transcript.text == "what is the latest on the ferry"


async def test_partials_are_requested_one_at_a_time(microphone: Any, server: Any, ferry: bytes) -> None:
    await microphone.configure(partials=True)
    server.released.clear()
    await microphone.push_audio(ferry)
    await until(lambda: len(server.clips) == 2)
    await asyncio.sleep(0.1)
    assert len(server.clips) == 2
    server.released.set()
    while len((await microphone.event()).partial_transcript.text.split()) < 7:
        pass
    assert len(server.clips) <= 2 + len(ferry) // 32 // 300


async def test_a_cancelled_call_stops_the_servers_work(voxtral: Any, serve: Any, server: Any, ferry: bytes) -> None:
    async with serve(voxtral) as (_, open_microphone):
        async with open_microphone() as microphone:
            await microphone.configure()
            server.released.clear()
            await microphone.push_audio(ferry)
            await microphone.flush()
            await until(lambda: len(server.clips) == 2)
        await until(lambda: server.aborted == 1)


async def test_noise_gives_an_empty_final_and_is_not_sent(microphone: Any, server: Any) -> None:
    await microphone.configure()
    await microphone.push_audio(bytes(range(256)) * 125)
    await microphone.flush()
    assert (await microphone.final()).text == ""
    assert len(server.clips) == 1


async def test_a_response_that_loops_is_aborted(microphone: Any, server: Any, ferry: bytes) -> None:
    await microphone.configure()
    server.events = itertools.repeat(WORD)
    await microphone.push_audio(ferry)
    await microphone.flush()
    assert (await microphone.final()).text == "ferry"
    await until(lambda: server.aborted == 1)


async def test_a_full_utterance_is_split_and_stays_in_the_segment(
    voxtral: SttSettings, serve: Any, ferry: bytes, football: bytes
) -> None:
    short = voxtral.model_copy(update={"max_utterance_s": 2.2})
    async with serve(short) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure()
        await microphone.push_audio(ferry + football)
        first = await microphone.final()
        await microphone.flush()
        second = await microphone.final()
    assert (first.segment_id, first.revision, first.text) == (1, 1, "what is the latest on the ferry")
    assert (second.segment_id, second.revision) == (1, 2)
    assert second.text.startswith(first.text)


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        ({"status": 400}, PeerFailed, "stt.server_refused"),
        ({"status": 404}, PeerFailed, "stt.model_missing"),
        ({"status": 503}, AtCapacity, "stt.server_busy"),
        ({"events": [WORD]}, PeerFailed, "stt.connection_lost"),
        ({"events": [WORD, "break off"]}, PeerFailed, "stt.connection_lost"),
        ({"events": [WORD, 'data: {"error": {"message": "out of memory", "code": 500}}\n\n', END]}, PeerFailed, None),
        ({"events": ["data: nonsense\n\n"]}, PeerFailed, "stt.server_garbled"),
        ({"events": ["data: []\n\n"]}, PeerFailed, "stt.server_garbled"),
        ({"events": ['data: {"choices": [{}]}\n\n']}, PeerFailed, "stt.server_garbled"),
        ({"events": ["<html>\n"]}, PeerFailed, "stt.server_garbled"),
        ({"events": ["data: " + "x" * 70_000]}, PeerFailed, "stt.server_garbled"),
    ],
)
async def test_a_server_failure_fails_the_call(
    microphone: Any, server: Any, ferry: bytes, answer: dict[str, Any], error: type[AnchorError], code: str | None
) -> None:
    await microphone.configure()
    for name, value in answer.items():
        setattr(server, name, value)
    await microphone.push_audio(ferry)
    await microphone.flush()
    failure = await microphone.failure()
    assert isinstance(failure, error)
    assert failure.code == (code or "stt.server_failed")


async def test_a_slow_server_fails_the_final_but_not_the_partial(
    voxtral: SttSettings, serve: Any, server: Any, ferry: bytes
) -> None:
    hasty = voxtral.model_copy(update={"voxtral_final_s": 1.0, "voxtral_partial_s": 0.1})
    async with serve(hasty) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure(partials=True)
        server.released.clear()
        await microphone.push_audio(ferry)
        await until(lambda: server.aborted >= 1)
        await microphone.flush()
        assert (await microphone.failure()).code == "stt.server_slow"


async def test_an_unreachable_server_fails_the_clip_and_the_start(
    voxtral: SttSettings, ferry: bytes, refusing_port: int
) -> None:
    client = TranscriptionClient(f"http://127.0.0.1:{refusing_port}/v1", "voxtral", "", 1)
    async with aclosing(client):
        with pytest.raises(PeerFailed) as failure:
            await client.transcribe(ferry, "", 5, ends_in_loop)
    assert (failure.value.code, failure.value.retryable) == ("stt.server_unreachable", True)
    with pytest.raises(PeerFailed, match="no transcription server"):
        async with VoxtralEngine(
            voxtral.model_copy(update={"voxtral_url": f"http://127.0.0.1:{refusing_port}/v1", "voxtral_start_s": 0.1})
        ).lifespan():
            pass


async def test_a_configured_api_key_is_sent(voxtral: SttSettings, server: Any) -> None:
    keyed = voxtral.model_copy(update={"voxtral_api_key": SecretStr("open sesame")})
    async with VoxtralEngine(keyed).lifespan():
        assert server.clips[-1].authorization == "Bearer open sesame"


@pytest.mark.parametrize("page", [b"{}", b"[]", b'{"data": [{}]}', b"nonsense"])
async def test_a_malformed_list_of_models_is_refused(voxtral: SttSettings, server: Any, page: bytes) -> None:
    server.models_page = page
    with pytest.raises(PeerFailed) as failure:
        async with VoxtralEngine(voxtral.model_copy(update={"voxtral_start_s": 0.1})).lifespan():
            pass
    assert failure.value.code == "stt.server_garbled"


async def test_a_server_without_the_model_is_refused(voxtral: SttSettings, server: Any) -> None:
    server.models = ["whisper"]
    with pytest.raises(PeerFailed, match="the server has whisper, but not 'voxtral'"):
        async with VoxtralEngine(voxtral).lifespan():
            pass
    assert server.clips == []


async def test_the_engine_waits_for_a_server_that_is_starting(voxtral: SttSettings, server: Any) -> None:
    server.starting = True
    ready = asyncio.Event()

    async def start() -> None:
        async with VoxtralEngine(voxtral).lifespan():
            ready.set()

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(start())
        await asyncio.sleep(0.1)
        assert not ready.is_set()
        server.starting = False
        await ready.wait()
    assert [clip.pcm for clip in server.clips] == [bytes(32_000)]


async def test_a_server_that_does_not_start_in_time_is_an_error(voxtral: SttSettings, server: Any) -> None:
    server.starting = True
    with pytest.raises(AtCapacity, match="upstream is not there yet"):
        async with VoxtralEngine(voxtral.model_copy(update={"voxtral_start_s": 0.2})).lifespan():
            pass


async def test_other_languages_are_refused(voxtral: SttSettings, serve: Any) -> None:
    async with serve(voxtral) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure(language="ja")
        with pytest.raises(InvalidRequest) as refusal:
            await microphone.event()
        assert isinstance(refusal.value, Unsupported)
