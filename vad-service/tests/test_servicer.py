"""The contract of `anchor.vad.v1`, over plain gRPC and over the multiplexed channel."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from anchor.vad.v1 import vad_pb2, vad_pb2_grpc
from prometheus_client import REGISTRY
from service_kit.engines.worker import EngineWorker
from service_kit.errors import AnchorError, AtCapacity, InvalidRequest
from service_kit.rpc.channel import read_message, write_message
from service_kit.testing.plugin import serve_grpc, serve_multiplexed, split_pcm
from vad_service.engine import SpeechModel
from vad_service.events import PredictorOpinion
from vad_service.servicer import SERVICE_NAME, TurnDetectionServicer
from vad_service.settings import VadSettings
from vad_service.speech.batching import FrameBatcher
from vad_service.speech.detection import TurnDetector
from vad_service.turn_end.predictor import Pause, PausePredictor, Prediction, TurnEndPredictor

WITHIN_S = 20.0


@pytest.fixture(params=[serve_grpc, serve_multiplexed], ids=["plain", "multiplexed"])
def serve(settings: VadSettings, request: pytest.FixtureRequest):
    """Serve a model: `async with serve(model) as stub`."""

    @asynccontextmanager
    async def serving(
        model: SpeechModel, predictor: TurnEndPredictor | None = None, max_streams: int = 64, max_waiting: int = 4
    ) -> AsyncGenerator[vad_pb2_grpc.TurnDetectionServiceStub]:
        worker = EngineWorker("turn-end", max_waiting)
        batcher = FrameBatcher(model, settings.max_batch, settings.batch_wait_ms)
        turn_end = predictor or PausePredictor(settings)
        detector = TurnDetector(model, batcher, turn_end, worker, settings.edge_thresholds, max_streams)
        try:
            async with request.param(SERVICE_NAME, TurnDetectionServicer(detector).add_to) as channel:
                yield vad_pb2_grpc.TurnDetectionServiceStub(channel)
        finally:
            worker.close()

    return serving


def config(**fields: object) -> vad_pb2.DetectRequest:
    """The first request."""
    return vad_pb2.DetectRequest(config=vad_pb2.DetectionConfig(**{"sample_rate_hz": 16_000, **fields}))


def audio(start_ms: int, pcm: bytes) -> vad_pb2.DetectRequest:
    """A request with audio."""
    request = vad_pb2.DetectRequest()
    request.audio.start_ms, request.audio.pcm = start_ms, pcm
    return request


@asynccontextmanager
async def open_call(stub, **fields):
    call = stub.Detect()
    try:
        await write_message(call, config(**fields), "vad")
        yield call
    finally:
        call.cancel()


async def send_audio(call, pcm: bytes, start_ms: int = 0, chunk_ms: int = 32) -> None:
    for index, piece in enumerate(split_pcm(pcm, chunk_ms * 32)):
        await write_message(call, audio(start_ms + index * chunk_ms, piece), "vad")


def microphones_open() -> float | None:
    return REGISTRY.get_sample_value("anchor_vad_microphones_open")


async def finish(call) -> list[vad_pb2.DetectResponse]:
    """Half-close the call and return the remaining events."""
    await call.done_writing()
    return await remaining_events(call)


async def remaining_events(call) -> list[vad_pb2.DetectResponse]:
    events = []
    while (event := await read_message(call, "vad", WITHIN_S)) is not None:
        events.append(event)
    return events


def kinds(events: list[vad_pb2.DetectResponse]) -> list[str | None]:
    return [event.WhichOneof("event") for event in events]


async def refusal(stub, *requests: vad_pb2.DetectRequest) -> AnchorError:
    """Send `requests`, the last of which is refused, and return the call's error.

    No request may follow the refused one: on a plain gRPC call, a write that meets the refusal loses its status.
    """
    call = stub.Detect()
    for request in requests:
        await call.write(request)
    await call.done_writing()
    with pytest.raises(AnchorError) as refused:
        await remaining_events(call)
    return refused.value


@pytest.mark.parametrize("chunk_ms", [10, 20, 32, 100, 1000])
async def test_an_utterance_has_edges_at_its_start_and_end(serve, silero, utterance, chunk_ms: int):
    async with serve(silero) as stub, open_call(stub) as call:
        await send_audio(call, utterance, chunk_ms=chunk_ms)
        events = await finish(call)
    assert kinds(events) == ["speech_started", "speech_stopped", "turn_end_predicted"]
    started, stopped, predicted = (getattr(event, event.WhichOneof("event")) for event in events)
    assert abs(started.at_ms - 1000) <= 64
    assert started.pre_roll_start_ms == started.at_ms - 300
    # The last vowel fades out.
    assert 1700 <= stopped.at_ms <= 1950
    assert predicted.at_ms == stopped.at_ms
    assert 200 <= predicted.silence_ms < 232
    assert predicted.probability == pytest.approx(0.75)
    assert predicted.predictor == "pause"
    assert not predicted.opinions


async def test_the_start_is_reported_within_100_ms_of_speech(serve, silero, utterance):
    async with serve(silero) as stub, open_call(stub) as call:
        # 1 s of silence, then 100 ms of speech.
        await send_audio(call, utterance[: 1100 * 32], chunk_ms=20)
        assert (await read_message(call, "vad", WITHIN_S)).WhichOneof("event") == "speech_started"


async def test_activity_is_sent_only_on_request(serve, silero, utterance):
    async with serve(silero) as stub:
        async with open_call(stub, activity_interval_ms=100) as call:
            await send_audio(call, utterance)
            events = await finish(call)
        async with open_call(stub) as call:
            await send_audio(call, utterance)
            assert "activity" not in kinds(await finish(call))
    activity = [event.activity for event in events if event.WhichOneof("event") == "activity"]
    assert [later.at_ms - earlier.at_ms for earlier, later in itertools.pairwise(activity)] == [128] * 22
    assert max(event.probability for event in activity) > 0.8
    assert min(event.probability for event in activity) < 0.1


async def test_the_interval_of_activity_changes_in_mid_stream(serve, silero, utterance):
    async with serve(silero) as stub, open_call(stub, activity_interval_ms=500) as call:
        await send_audio(call, utterance[: 1024 * 32])
        for interval_ms, start_ms in ((100, 1024), (0, 2048)):
            interval = vad_pb2.ActivityInterval(interval_ms=interval_ms)
            await write_message(call, vad_pb2.DetectRequest(activity_interval=interval), "vad")
            await send_audio(call, utterance[start_ms * 32 : (start_ms + 1024) * 32], start_ms=start_ms)
        events = await finish(call)
    at_ms = [event.activity.at_ms for event in events if event.WhichOneof("event") == "activity"]
    assert at_ms == [32, 544, *range(1056, 2049, 128)]


async def test_a_half_close_during_speech_ends_the_utterance(serve, silero, utterance):
    async with serve(silero) as stub, open_call(stub) as call:
        await send_audio(call, utterance[: 1500 * 32])
        events = await finish(call)
    assert kinds(events) == ["speech_started", "speech_stopped"]
    assert 1450 <= events[1].speech_stopped.at_ms <= 1500


async def test_a_gap_counts_as_silence(serve, silero, utterance):
    async with serve(silero) as stub, open_call(stub) as call:
        await send_audio(call, utterance[: 1500 * 32])
        await send_audio(call, utterance, start_ms=60_000)
        events = await finish(call)
    assert kinds(events) == ["speech_started", "speech_stopped", "turn_end_predicted"] * 2
    assert events[2].turn_end_predicted.silence_ms > 58_000
    assert abs(events[3].speech_started.at_ms - 61_000) <= 64


async def test_overlapping_audio_is_refused(serve, energy, utterance):
    async with serve(energy) as stub:
        refused = await refusal(stub, config(), audio(0, utterance[:3200]), audio(50, utterance[:3200]))
    assert (type(refused), refused.code) == (InvalidRequest, "vad.audio_overlaps")


@pytest.mark.parametrize(
    ("requests", "code"),
    [
        ([], "vad.config_missing"),
        ([vad_pb2.DetectRequest()], "vad.config_missing"),
        ([audio(0, b"\0\0")], "vad.config_missing"),
        ([config(sample_rate_hz=0)], "vad.sample_rate"),
        ([config(sample_rate_hz=48_000)], "vad.sample_rate"),
        ([config(), config()], "vad.config_repeated"),
        ([config(), vad_pb2.DetectRequest()], "vad.empty_request"),
        ([config(), audio(0, b"\0\0\0")], "vad.odd_audio"),
        ([config(), audio(2**32 - 1, b"\0" * 3200)], "vad.clock_overflow"),
    ],
)
async def test_an_invalid_request_is_refused_with_its_code(serve, energy, requests, code: str):
    async with serve(energy) as stub:
        refused = await refusal(stub, *requests)
    assert (type(refused), refused.code) == (InvalidRequest, code)


async def test_a_stream_over_the_limit_is_refused_until_one_ends(serve, energy, utterance):
    async with serve(energy, max_streams=1) as stub:
        async with open_call(stub) as call:
            await send_audio(call, utterance[: 1100 * 32])
            assert await read_message(call, "vad", WITHIN_S)
            refused = await refusal(stub, config())
            assert (type(refused), refused.code) == (AtCapacity, "vad.full")
        async with asyncio.timeout(WITHIN_S):
            while microphones_open():
                await asyncio.sleep(0.005)
        async with open_call(stub) as call:
            await send_audio(call, utterance)
            assert kinds(await finish(call))[0] == "speech_started"


async def test_cancelling_a_call_frees_its_stream(serve, energy, utterance):
    async with serve(energy) as stub:
        async with open_call(stub) as call:
            await send_audio(call, utterance[: 1100 * 32])
            assert await read_message(call, "vad", WITHIN_S)
            assert microphones_open() == 1
        async with asyncio.timeout(WITHIN_S):
            while microphones_open():
                await asyncio.sleep(0.005)


async def test_thirty_two_concurrent_microphones_get_their_own_edges(serve, silero, utterance):
    async def detect(stub, start_ms: int) -> int:
        async with open_call(stub) as call:
            await send_audio(call, utterance, start_ms, chunk_ms=64)
            return (await finish(call))[0].speech_started.at_ms - start_ms

    async with serve(silero) as stub:
        found = await asyncio.gather(*(detect(stub, 1000 * nth) for nth in range(32)))
    assert set(found) == {found[0]}


class HeldPredictor:
    """A predictor of 400 ms of audio that records its pauses and returns once `released`."""

    name = "held"
    audio_ms = 400

    def __init__(self) -> None:
        self.pauses: list[Pause] = []
        self.released = threading.Event()

    def load(self) -> None: ...

    def predict(self, pause: Pause) -> Prediction:
        self.pauses.append(pause)
        assert self.released.wait(WITHIN_S)
        return Prediction(0.875, (PredictorOpinion("ear", 0.75), PredictorOpinion("eye", 1.0)))


@pytest.fixture
def predictor():
    predictor = HeldPredictor()
    yield predictor
    predictor.released.set()


@pytest.mark.parametrize(("text_language", "language"), [("", "fr"), ("de", "de")])
async def test_a_predictor_gets_audio_transcript_and_language(
    serve, energy, utterance, predictor, text_language, language
):
    predictor.released.set()
    async with serve(energy, predictor) as stub, open_call(stub, language="fr") as call:
        transcript = vad_pb2.PartialTranscript(text="a i u e o", end_ms=1900, language=text_language)
        await write_message(call, vad_pb2.DetectRequest(partial_transcript=transcript), "vad")
        await send_audio(call, utterance)
        event = (await finish(call))[-1].turn_end_predicted
    assert (event.probability, event.predictor) == (0.875, "held")
    assert [(opinion.name, opinion.probability) for opinion in event.opinions] == [("ear", 0.75), ("eye", 1.0)]
    (pause,) = predictor.pauses
    assert (pause.language, pause.transcript.text, pause.transcript.end_ms) == (language, "a i u e o", 1900)
    assert (pause.at_ms, pause.silence_ms) == (event.at_ms, event.silence_ms)
    assert len(pause.audio) == 384 * 16
    assert not pause.audio[-180 * 16 :].any()
    assert pause.audio[: 100 * 16].any()


async def test_audio_and_text_are_predicted_together_after_the_silence(serve, silero, combined, utterance):
    async with serve(silero, combined) as stub, open_call(stub, language="en") as call:
        await send_audio(call, utterance[: 2200 * 32])
        assert kinds([await read_message(call, "vad", WITHIN_S) for _ in range(2)]) == [
            "speech_started",
            "speech_stopped",
        ]
        started_s = time.perf_counter()
        quick = (await read_message(call, "vad", WITHIN_S)).turn_end_predicted
        event = (await read_message(call, "vad", WITHIN_S)).turn_end_predicted
        elapsed_s = time.perf_counter() - started_s
        transcript = vad_pb2.PartialTranscript(text="what is the", end_ms=event.at_ms)
        await write_message(call, vad_pb2.DetectRequest(partial_transcript=transcript), "vad")
        again = (await read_message(call, "vad", WITHIN_S)).turn_end_predicted
    assert event.predictor == again.predictor == "smart-turn+text"
    assert not quick.opinions, "neither part has an opinion yet"
    # A hundred times the duration on an idle core.
    assert elapsed_s < 10
    (audio_opinion,) = event.opinions
    assert (audio_opinion.name, again.opinions[0]) == ("smart-turn", audio_opinion)
    assert (again.opinions[1].name, again.at_ms) == ("text", event.at_ms)
    assert again.probability < min(event.probability, 0.3)


async def test_a_slow_prediction_delays_no_edge_and_is_dropped_on_speech(serve, energy, utterance, predictor):
    async with serve(energy, predictor) as stub, open_call(stub) as call:
        await send_audio(call, utterance)
        async with asyncio.timeout(WITHIN_S):
            while not predictor.pauses:
                await asyncio.sleep(0.005)
        await send_audio(call, utterance[1000 * 32 : 1500 * 32], start_ms=len(utterance) // 32)
        received = kinds([await read_message(call, "vad", WITHIN_S) for _ in range(3)])
        assert received == ["speech_started", "speech_stopped", "speech_started"]
        assert len(predictor.pauses) == 1
        predictor.released.set()
        assert kinds(await finish(call)) == ["speech_stopped"]


async def test_a_full_prediction_queue_drops_the_prediction(serve, energy, utterance, predictor):
    async with serve(energy, predictor, max_waiting=1) as stub, open_call(stub) as first, open_call(stub) as second:
        await send_audio(first, utterance)
        async with asyncio.timeout(WITHIN_S):
            while not predictor.pauses:
                await asyncio.sleep(0.005)
        await send_audio(second, utterance)
        assert kinds(await finish(second)) == ["speech_started", "speech_stopped"]
        predictor.released.set()
        assert kinds(await finish(first)) == ["speech_started", "speech_stopped", "turn_end_predicted"]
