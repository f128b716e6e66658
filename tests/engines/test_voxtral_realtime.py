"""stt-service with a Voxtral Realtime of random weights in vLLM's own server, on the processor, over real gRPC.

Its text is one word for every 80 ms, since what it reads words by and what it writes them by are one matrix.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator

import pytest
from microphone import OpenMicrophone, hearing, speech
from service_kit.errors import AnchorError
from stt_service.settings import SttSettings
from vllm_server import VllmServer, needs_vllm, running
from voxtral_files import WORDS, write_realtime

pytestmark = needs_vllm()

RUNNING = "vllm:num_requests_running"
GENERATED = "vllm:generation_tokens_total"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    folder = tmp_path_factory.mktemp("realtime") / "realtime"
    write_realtime(folder)
    yield from running(folder, "voxtral-realtime")


@pytest.fixture
async def service(server: VllmServer) -> AsyncGenerator[OpenMicrophone]:
    settings = SttSettings(
        engine="voxtral-realtime",
        voxtral_realtime_url=f"{server.root}/v1",
        voxtral_realtime_start_s=300,
        max_streams=4,
    )
    async with hearing(settings) as open_microphone:
        yield open_microphone


async def test_words_come_while_they_are_spoken_and_the_last_at_the_flush(
    service: OpenMicrophone, server: VllmServer
) -> None:
    before = server.metric(GENERATED)
    async with service() as microphone:
        await microphone.configure(language="en", partials=True)
        await microphone.speak(speech(2), pause_s=0.1)
        partial = (await microphone.event()).partial_transcript
        assert set(partial.text.split()) <= set(WORDS)
        assert 0 < partial.end_ms < 2000
        await microphone.send(flush={"segment_id": 1})
        final = await microphone.final()
    assert (final.start_ms, final.end_ms, final.language) == (0, 2000, "en")
    # A word said again and again is believed once.
    assert final.text in WORDS
    # 25 steps of 80 ms, and those that end an utterance: 6 of delay, and 11 behind them.
    assert 25 <= server.metric(GENERATED) - before <= 25 + 17


async def test_speech_after_a_flush_is_heard_with_what_was_before_it(service: OpenMicrophone) -> None:
    async with service() as microphone:
        await microphone.configure(language="en")
        for spoken_ms in (1000, 2000):
            await microphone.speak(speech(1))
            await microphone.send(flush={"segment_id": 1})
            final = await microphone.final()
            assert (final.end_ms, final.text in WORDS) == (spoken_ms, True)


async def test_microphones_at_one_time_all_get_their_finals(service: OpenMicrophone) -> None:
    async def talk() -> str:
        async with service() as microphone:
            await microphone.configure(language="en", partials=True)
            await microphone.speak(speech(1), pause_s=0.05)
            await microphone.send(flush={"segment_id": 1})
            return (await microphone.final()).text

    async with asyncio.TaskGroup() as tasks:
        talks = [tasks.create_task(talk()) for _ in range(3)]
    assert {talk.result() for talk in talks} <= set(WORDS)


async def test_a_caller_that_goes_away_ends_the_servers_work(service: OpenMicrophone, server: VllmServer) -> None:
    async with service() as microphone:
        await microphone.configure(language="en", partials=True)
        await microphone.speak(speech(1))
        assert (await microphone.event()).HasField("partial_transcript")
        assert server.metric(RUNNING) + server.metric("vllm:num_requests_waiting") == 1
    async with asyncio.timeout(60):
        while await asyncio.to_thread(lambda: server.metric(RUNNING) + server.metric("vllm:num_requests_waiting")):
            await asyncio.sleep(0.02)


async def test_a_server_that_dies_is_an_error(service: OpenMicrophone, server: VllmServer) -> None:
    async with service() as microphone:
        await microphone.configure(language="en", partials=True)
        await microphone.speak(speech(1))
        assert (await microphone.event()).HasField("partial_transcript")
        server.kill_core()
        await microphone.send(flush={"segment_id": 1})
        with pytest.raises(AnchorError) as failure:
            await microphone.final()
    assert failure.value.code in ("stt.server_failed", "stt.connection_lost")
    await asyncio.to_thread(server.until_gone)
