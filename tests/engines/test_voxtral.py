"""stt-service with a Voxtral of random weights in vLLM's own server, on the processor, over real gRPC.

The model says its hundred words in their order, wherever it begins; that it is asked, capped, cancelled and missed as
it should be is what counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from anchor.stt.v1 import stt_pb2
from microphone import Microphone, OpenMicrophone, hearing, speech
from service_kit.errors import AnchorError, PeerFailed
from stt_service.engines.voxtral.client import ModelMissing
from stt_service.settings import SttSettings
from vllm_server import VllmServer, needs_vllm, running
from voxtral_files import WORDS, write_voxtral

pytestmark = needs_vllm()

DEMO = Path(__file__).parents[2] / "content/questions/demo.wav"
# 16 tokens for each second, and 16: long enough to be met while it is written.
LONG_S = 25
RUNNING = "vllm:num_requests_running"
GENERATED = "vllm:generation_tokens_total"
PROMPTED = "vllm:prompt_tokens_total"
FINISHED = "vllm:request_success_total"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    folder = tmp_path_factory.mktemp("voxtral") / "voxtral"
    write_voxtral(folder)
    yield from running(folder, "voxtral")


@pytest.fixture
def settings(server: VllmServer) -> SttSettings:
    return SttSettings(engine="voxtral", voxtral_url=f"{server.root}/v1", voxtral_start_s=300, max_streams=4)


@pytest.fixture
async def service(settings: SttSettings) -> AsyncGenerator[OpenMicrophone]:
    async with hearing(settings) as open_microphone:
        yield open_microphone


async def spoken(microphone: Microphone, seconds: float, language: str = "en") -> None:
    """Say `seconds` in one go, and ask for the final."""
    await microphone.configure(language=language)
    await microphone.speak(speech(seconds))
    await microphone.send(flush={"segment_id": 1})


async def until(condition: Callable[[], bool], within_s: float = 60) -> None:
    """Ask again and again, beside the loop."""
    until_s = time.monotonic() + within_s
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < until_s
        await asyncio.sleep(0.01)


def in_order(text: str) -> bool:
    """Whether every word is the one after the word before it."""
    places = [WORDS.index(word) for word in text.split()]
    return all(later == (earlier + 1) % len(WORDS) for earlier, later in pairwise(places))


def test_without_its_audio_packages_the_server_refuses_every_recording(tmp_path: Path) -> None:
    """Why compose.yaml has an image of its own: vLLM's stock one lacks them."""
    write_voxtral(tmp_path / "voxtral")
    server = VllmServer(tmp_path / "voxtral", "voxtral", tmp_path / "voxtral.log", hidden="soundfile")
    server.start()
    try:
        server.until_there()
        refused = httpx.post(
            f"{server.root}/v1/audio/transcriptions",
            files={"file": ("demo.wav", DEMO.read_bytes())},
            data={"model": "voxtral", "max_completion_tokens": "5"},
            timeout=60,
            trust_env=False,
        )
    finally:
        server.stop()
    assert (refused.status_code, "audio" in refused.text) == (400, True), refused.text
    assert "soundfile" in server.said()


async def test_a_final_is_what_the_model_wrote_up_to_its_cap(service: OpenMicrophone, server: VllmServer) -> None:
    before = server.metric(GENERATED)
    async with service() as microphone:
        await spoken(microphone, 2)
        final = await microphone.final()
    assert len(final.text.split()) == 48
    assert in_order(final.text)
    assert server.metric(GENERATED) - before == 48
    assert (final.start_ms, final.end_ms, final.language) == (0, 2000, "en")
    assert final.language_source == stt_pb2.LANGUAGE_SOURCE_CONFIG


async def test_partials_come_while_somebody_speaks(service: OpenMicrophone) -> None:
    async with service() as microphone:
        await microphone.configure(language="en", partials=True)
        await microphone.speak(speech(3), pause_s=0.1)
        partial = (await microphone.event()).partial_transcript
        assert in_order(partial.text)
        assert 0 < partial.end_ms < 3000
        await microphone.send(flush={"segment_id": 1})
        assert len((await microphone.final()).text.split()) == 64


async def test_the_language_stands_in_the_prompt(service: OpenMicrophone, server: VllmServer) -> None:
    prompts: list[float] = []
    for language in ("", "de"):
        before = server.metric(PROMPTED)
        async with service() as microphone:
            await spoken(microphone, 1, language)
            await microphone.final()
        prompts.append(server.metric(PROMPTED) - before)
    # 375 for the clip of 30 s, five signs, and `lang:de`: a letter a token here.
    assert prompts == [380, 387]


async def test_silence_is_not_sent(service: OpenMicrophone, server: VllmServer) -> None:
    before = server.metric(PROMPTED)
    async with service() as microphone:
        await microphone.configure(language="en")
        await microphone.speak(bytes(64_000))
        await microphone.send(flush={"segment_id": 1})
        assert (await microphone.final()).text == ""
    assert server.metric(PROMPTED) == before


async def test_microphones_at_one_time_all_get_the_same_words(service: OpenMicrophone) -> None:
    async def talk() -> str:
        async with service() as microphone:
            await spoken(microphone, 2)
            return (await microphone.final()).text

    async with asyncio.TaskGroup() as tasks:
        talks = [tasks.create_task(talk()) for _ in range(4)]
    assert len({talk.result() for talk in talks}) == 1


async def test_a_caller_that_goes_away_ends_the_servers_work(service: OpenMicrophone, server: VllmServer) -> None:
    finished, generated = server.metric(FINISHED), server.metric(GENERATED)
    with server.held():
        async with service() as microphone:
            await spoken(microphone, LONG_S)
            await until(lambda: server.under_way() == 1)
        # The kernel has told the server before it goes on.
        await until(lambda: server.under_way() == 0)
    await until(lambda: server.metric(RUNNING) == 0)
    # What is broken off does not count as finished.
    assert server.metric(FINISHED) == finished
    assert server.metric(GENERATED) - generated < 16 * LONG_S


async def test_a_model_that_the_server_has_not_is_named(settings: SttSettings) -> None:
    other = settings.model_copy(update={"voxtral_model": "voxtral-24b"})
    with pytest.raises(ModelMissing, match="voxtral-24b"):
        async with hearing(other):
            pass


async def test_a_server_that_dies_is_an_error_and_one_that_is_back_is_used_again(
    service: OpenMicrophone, server: VllmServer, settings: SttSettings
) -> None:
    async with service() as microphone:
        with server.held():
            await spoken(microphone, LONG_S)
            await until(lambda: server.under_way() == 1)
            server.kill_core()
        with pytest.raises(AnchorError) as failure:
            await microphone.final()
    assert failure.value.code == "stt.server_failed"
    await asyncio.to_thread(server.until_gone)
    async with service() as microphone:
        await spoken(microphone, 1)
        with pytest.raises(AnchorError) as failure:
            await microphone.final()
    assert failure.value.code == "stt.server_unreachable"
    with pytest.raises(PeerFailed, match=r"no transcription server"):
        async with hearing(settings.model_copy(update={"voxtral_start_s": 0.1})):
            pass

    server.start()
    async with hearing(settings) as back, back() as microphone:
        await spoken(microphone, 1)
        assert in_order((await microphone.final()).text)
    async with service() as microphone:
        await spoken(microphone, 1)
        assert in_order((await microphone.final()).text)
