"""The contract of all engines, over real gRPC: plain calls, and calls on the multiplexed channel."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from anchor.tts.v1 import tts_pb2 as pb
from anchor.tts.v1 import tts_pb2_grpc
from grpc import aio
from service_kit.audio import to_float
from service_kit.engines.info import engine_class
from service_kit.errors import AnchorError, AtCapacity, PeerFailed, from_rpc_error
from service_kit.testing.plugin import serve_grpc, serve_multiplexed
from tts_service.engines import ENGINES
from tts_service.metrics import AUDIO_SECONDS
from tts_service.servicer import SERVICE_NAME, TtsServicer
from tts_service.settings import TtsSettings
from tts_service.voices.reference_audio import MAX_RECORDING_BYTES, MAX_REFERENCE_S

WITHIN_S = 60.0
KOKORO = Path(__file__).parents[2] / "models" / "kokoro"
TEXT = "Good evening, here are the news. It costs $3.50 *today*, says Dr. Smith. 😀 Bye!"


# Takes settings; yields a stub of a service with these settings.
OpenStub = Callable[..., AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def serve_engine(serve: Any, **settings: object) -> AsyncGenerator[tts_pb2_grpc.TextToSpeechServiceAsyncStub]:
    settings_ = TtsSettings(**settings)  # type: ignore[arg-type]
    engine = engine_class(ENGINES, settings_.engine)(settings_)
    servicer = TtsServicer(engine, settings_.max_streams)

    def add(server: aio.Server) -> None:
        tts_pb2_grpc.add_TextToSpeechServiceServicer_to_server(servicer, server)

    async with engine.lifespan(), serve(SERVICE_NAME, add, max_message_bytes=MAX_RECORDING_BYTES) as channel:
        yield tts_pb2_grpc.TextToSpeechServiceStub(channel)


@pytest.fixture(params=[serve_grpc, serve_multiplexed], ids=["grpc", "multiplexed"])
def serve(request: pytest.FixtureRequest) -> object:
    """How calls travel. On plain gRPC a write that meets a refusal loses the refusal's status (INTERNAL instead).

    Tests of refusals therefore write nothing after the refused message.
    """
    return request.param


@pytest.fixture
def open_stub(serve: object) -> OpenStub:
    return partial(serve_engine, serve)


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    def write(lines: str) -> Path:
        path = tmp_path / "script.toml"
        path.write_text(f"[tts]\nfirst_audio_delay_ms = 5\nreal_time_factor = 0.0\n{lines}", "utf-8")
        return path

    return write


# Kokoro takes a minute of work on two cores, and 92 MB that `make setup` does not fetch: with ANCHOR_TEST_KOKORO=1,
# after `anchor pull kokoro`.
SPEAKING = ["espeak", "hibari", "scripted", *(["kokoro"] if os.environ.get("ANCHOR_TEST_KOKORO") == "1" else [])]


@pytest.fixture(params=SPEAKING)
async def stub(
    request: pytest.FixtureRequest, open_stub: OpenStub, script: Callable[[str], Path]
) -> AsyncIterator[object]:
    options = {"engine": request.param, "script": script(""), "max_streams": 2, "kokoro_model": KOKORO}
    async with open_stub(**options, engine_silent_s=WITHIN_S) as stub:
        yield stub


def audio_seconds() -> float:
    """Speech sent so far, in seconds, by the service's metric."""
    return next(sample.value for sample in next(iter(AUDIO_SECONDS.collect())).samples)


def config(**fields: object) -> pb.SynthesizeRequest:
    return pb.SynthesizeRequest(config=pb.SynthesisConfig(**{"language": "en", **fields}))  # type: ignore[arg-type]


def text(delta: str) -> pb.SynthesizeRequest:
    return pb.SynthesizeRequest(text=pb.TextDelta(text=delta))


END = pb.SynthesizeRequest(end_of_text=pb.EndOfText())


async def exchange(stub: object, *requests: pb.SynthesizeRequest) -> list[pb.SynthesizeResponse]:
    """Send the requests without a half-close, and read to the end. Raises the call's failure."""
    call = stub.Synthesize()  # type: ignore[attr-defined]
    responses: list[pb.SynthesizeResponse] = []
    try:
        async with asyncio.timeout(WITHIN_S):
            for request in requests:
                try:
                    await call.write(request)
                except asyncio.InvalidStateError:
                    break
            while (response := await call.read()) is not aio.EOF:
                responses.append(response)
            if not (await call.code()).value[0] == 0:
                raise aio.AioRpcError(
                    await call.code(),
                    await call.initial_metadata(),
                    await call.trailing_metadata(),
                    await call.details(),
                )
    except aio.AioRpcError as error:
        raise from_rpc_error(error, "tts") from error
    finally:
        call.cancel()
    return responses


async def failure(stub: object, *requests: pb.SynthesizeRequest) -> str:
    with pytest.raises(AnchorError) as caught:
        await exchange(stub, *requests)
    return caught.value.code


async def test_audio_is_contiguous_and_marks_precede_their_words(stub: object) -> None:
    deltas = [text(TEXT[start : start + 4]) for start in range(0, len(TEXT), 4)]
    responses = await exchange(stub, config(), *deltas, END)
    sent_ms, marks, phrases = 0, [], []
    for response in responses:
        if response.HasField("audio"):
            assert response.audio.offset_ms == sent_ms
            sent_ms += len(response.audio.pcm) // 48
        elif response.HasField("phrase_started"):
            phrases.append(response.phrase_started)
        else:
            assert response.speech_mark.offset_ms >= sent_ms
            marks.append(response.speech_mark)
    marked = [TEXT[mark.text_start : mark.text_end] for mark in marks]
    assert marked == [word for word in TEXT.split() if any(map(str.isalnum, word))]
    assert [mark.offset_ms for mark in marks] == sorted(mark.offset_ms for mark in marks)
    assert phrases[0].text_start == 0
    assert all(first.text_end <= second.text_start for first, second in pairwise(phrases))
    assert 3000 < sent_ms < 12_000
    sound = to_float(b"".join(response.audio.pcm for response in responses))
    assert np.sqrt(np.mean(sound**2)) > 0.02
    assert np.abs(sound).max() <= 10 ** (-1 / 20) + 0.001


async def test_audio_starts_before_the_end_of_the_text(stub: object) -> None:
    call = stub.Synthesize()  # type: ignore[attr-defined]
    for request in (config(), *map(text, ("Good", " evening", " to", " you", ","))):
        await call.write(request)
    async with asyncio.timeout(WITHIN_S):
        while not (await call.read()).HasField("audio"):
            pass
    call.cancel()


async def test_text_without_words_ends_without_audio(stub: object) -> None:
    assert await exchange(stub, config(), END) == []
    assert await exchange(stub, config(), text(" ... 😀 **"), text(""), END) == []


async def test_half_close_ends_the_text(stub: object) -> None:
    call = stub.Synthesize()  # type: ignore[attr-defined]
    await call.write(config())
    await call.write(text("Hello there"))
    await call.done_writing()
    assert await call.read() is not aio.EOF
    call.cancel()


@pytest.mark.parametrize(
    ("requests", "code"),
    [
        ((text("hello"),), "tts.config_missing"),
        ((config(), config()), "tts.config_twice"),
        ((config(), pb.SynthesizeRequest()), "tts.request_empty"),
        ((config(voice="unknown"),), "tts.unknown_voice"),
        ((config(language="xx"),), "tts.unknown_language"),
        ((config(style=pb.SpeechStyle(pace=9)),), "tts.style_out_of_range"),
        ((config(), text("x" * 20_001)), "tts.text_too_long"),
    ],
)
async def test_invalid_request_is_refused_with_its_code(
    stub: object, requests: tuple[pb.SynthesizeRequest, ...], code: str
) -> None:
    assert await failure(stub, *requests) == code


async def test_stream_limit_holds_and_cancelling_frees_a_slot(stub: object) -> None:
    calls = [stub.Synthesize() for _ in range(2)]  # type: ignore[attr-defined]
    for call in calls:
        await call.write(config())
        await call.write(text("Good evening to everybody, "))
        await call.read()
    # No message at all: the server refuses the call before it reads one.
    assert await failure(stub) == "tts.at_capacity"
    for call in calls:
        call.cancel()
    async with asyncio.timeout(WITHIN_S):
        while True:
            # On plain gRPC a write that meets the refusal turns it into `PeerFailed`.
            with suppress(AtCapacity, PeerFailed):
                assert await exchange(stub, config(), text("Hello."), END)
                break
            await asyncio.sleep(0.01)


async def test_voices_are_listed_and_cloning_is_unsupported(stub: object) -> None:
    listed = (await stub.ListVoices(pb.ListVoicesRequest(language="en"))).voices  # type: ignore[attr-defined]
    assert listed
    assert all("en" in voice.languages and voice.engine for voice in listed)
    # What `Style` does to each engine is tested with the engines.
    expected = {"espeak": ["pace", "warmth", "energy"], "hibari": ["pace"], "kokoro": ["pace"], "scripted": []}
    assert all(voice.style_fields == expected[voice.engine] for voice in listed)
    for call in (
        stub.AddVoice(pb.AddVoiceRequest(name="me")),  # type: ignore[attr-defined]
        stub.DeleteVoice(pb.DeleteVoiceRequest(voice_id="me")),  # type: ignore[attr-defined]
    ):
        with pytest.raises(aio.AioRpcError) as refusal:
            await call
        assert from_rpc_error(refusal.value, "tts").code == "tts.cloning_unsupported"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("error", "tts.scripted_error"),
        ("empty", "tts.no_audio"),
        ("garbage", "tts.garbage"),
        ("endless", "tts.endless"),
        ("hang", "tts.engine_silent"),
    ],
)
async def test_engine_fault_fails_only_its_own_reply(
    open_stub: OpenStub, script: Callable[[str], Path], fault: str, code: str
) -> None:
    path = script(f'fault = "{fault}"\nfault_at = 2\n')
    # Short only for the fault that this timeout ends.
    silent_s = 1.0 if fault == "hang" else WITHIN_S
    async with open_stub(engine="scripted", script=path, engine_silent_s=silent_s) as stub:
        assert await exchange(stub, config(), text("Hello."), END)
        assert await failure(stub, config(), text("Hello.")) == code
        assert await exchange(stub, config(), text("Hello."), END)


async def test_synthesis_waits_for_a_client_that_does_not_read(
    serve: object, open_stub: OpenStub, script: Callable[[str], Path]
) -> None:
    async with open_stub(engine="scripted", script=script("")) as stub:
        before_s = audio_seconds()
        call = stub.Synthesize()
        await call.write(config())
        await call.write(text("This is a sentence of some length. " * 500))
        async with asyncio.timeout(WITHIN_S):
            while audio_seconds() - before_s <= 4:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        sent_s = audio_seconds() - before_s
        call.cancel()
    # The whole text is 1050 s of speech. Bounds: the multiplexed call's window of 5.5 s, else `max_ahead_s`, and one
    # phrase.
    assert sent_s < (8 if serve is serve_multiplexed else 14)


async def test_synthesis_is_at_most_max_ahead_of_playout(open_stub: OpenStub, script: Callable[[str], Path]) -> None:
    async with open_stub(engine="scripted", script=script("")) as stub:
        call = stub.Synthesize()
        await call.write(config())
        await call.write(text("This is a sentence of some length. " * 500))
        read_s, loop = 0.0, asyncio.get_running_loop()
        requested_s, started_s = loop.time(), None
        async with asyncio.timeout(WITHIN_S):
            while started_s is None or read_s - (loop.time() - started_s) <= 8:
                read_s += len((await call.read()).audio.pcm) / 48_000  # type: ignore[union-attr]
                started_s = started_s or loop.time()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    read_s += len((await call.read()).audio.pcm) / 48_000  # type: ignore[union-attr]
        ahead_s = read_s - (loop.time() - requested_s)
        call.cancel()
    # The bound is `max_ahead_s` and one phrase.
    assert ahead_s < 14


async def test_a_caller_that_paces_its_text_gets_every_word_at_once(
    open_stub: OpenStub, script: Callable[[str], Path]
) -> None:
    written = ", ".join(map(str, range(1, 61))) + ". " + "A plain sentence of some length for a reader. " * 12 + "Done."
    async with open_stub(engine="scripted", script=script("")) as stub:
        began_s = asyncio.get_running_loop().time()
        responses = await exchange(stub, config(paced_by_text=True), text(written), END)
        took_s = asyncio.get_running_loop().time() - began_s
    speech_s = sum(len(response.audio.pcm) for response in responses) / 48_000
    marks = [response.speech_mark for response in responses if response.HasField("speech_mark")]
    assert [written[mark.text_start : mark.text_end] for mark in marks] == written.split()
    assert speech_s > 30
    assert took_s < speech_s / 2


async def test_trace_has_a_span_for_each_phrase(
    open_stub: OpenStub, script: Callable[[str], Path], spans: Callable[[], list[Any]]
) -> None:
    turn = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with open_stub(engine="scripted", script=script("")) as stub:
        call = stub.Synthesize(metadata=(("traceparent", turn),))  # type: ignore[call-overload]
        for request in (config(), text("Good evening. Here are the news."), END):
            await call.write(request)
        async with asyncio.timeout(WITHIN_S):
            while await call.read() is not aio.EOF:
                pass
            while len(spans()) < 3:
                await asyncio.sleep(0.01)
    *phrases, reply = spans()
    assert reply.name == f"{SERVICE_NAME}/Synthesize"
    assert f"{reply.parent.span_id:016x}" == turn[36:52]
    assert [span.name for span in phrases] == ["phrase", "phrase"]
    assert {span.parent.span_id for span in phrases} == {reply.context.span_id}
    assert [event.name for event in phrases[0].events] == ["first audio"]
    assert not any("evening" in span.to_json() for span in spans())


async def test_longest_recording_fits_into_a_message(open_stub: OpenStub) -> None:
    bytes_per_s = 48_000 * 2 * 2
    request = pb.AddVoiceRequest(reference_wav=bytes(int(MAX_REFERENCE_S * bytes_per_s)))
    async with open_stub(engine="scripted") as stub:
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.AddVoice(request)
    # The request reached the servicer: this engine clones no voices.
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
