"""The contract of `anchor.vad.v1`, over real gRPC."""

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
from service_kit.testing.plugin import serve_multiplexed, split_pcm
from vad_service.engine import SpeechModel
from vad_service.servicer import SERVICE_NAME, TurnDetectionServicer
from vad_service.settings import VadSettings
from vad_service.speech.batching import SharedModel
from vad_service.speech.detection import TurnDetector
from vad_service.speech.events import Opinion
from vad_service.turn_end.predictor import Judgement, Pause, PauseRule, TurnEndPredictor

WITHIN_S = 20.0


@pytest.fixture
def serve(settings: VadSettings):
    """Serves a model over real gRPC: `async with serve(model) as stub`."""

    @asynccontextmanager
    async def over_grpc(
        model: SpeechModel, predictor: TurnEndPredictor | None = None, max_streams: int = 64, max_waiting: int = 4
    ) -> AsyncGenerator[vad_pb2_grpc.TurnDetectionServiceStub]:
        worker = EngineWorker("turn-end", max_waiting)
        shared = SharedModel(model, settings.max_batch, settings.batch_wait_ms)
        judge = predictor or PauseRule(settings)
        detector = TurnDetector(model, shared, judge, worker, settings.edge_rules, max_streams)
        try:
            async with serve_multiplexed(SERVICE_NAME, TurnDetectionServicer(detector).add_to) as channel:
                yield vad_pb2_grpc.TurnDetectionServiceStub(channel)
        finally:
            worker.close()

    return over_grpc


def config(**fields: object) -> vad_pb2.DetectRequest:
    """The first request."""
    return vad_pb2.DetectRequest(config=vad_pb2.DetectionConfig(**{"sample_rate_hz": 16_000, **fields}))


def audio(start_ms: int, pcm: bytes) -> vad_pb2.DetectRequest:
    """A request with audio."""
    request = vad_pb2.DetectRequest()
    request.audio.start_ms, request.audio.pcm = start_ms, pcm
    return request


@asynccontextmanager
async def detecting(stub, **fields):
    call = stub.Detect()
    try:
        await write_message(call, config(**fields), "vad")
        yield call
    finally:
        call.cancel()


async def say(call, pcm: bytes, start_ms: int = 0, chunk_ms: int = 32) -> None:
    for index, piece in enumerate(split_pcm(pcm, chunk_ms * 32)):
        await write_message(call, audio(start_ms + index * chunk_ms, piece), "vad")


def microphones_open() -> float | None:
    return REGISTRY.get_sample_value("anchor_vad_microphones_open")


async def rest(call) -> list[vad_pb2.DetectResponse]:
    await call.done_writing()
    return await rest_of(call)


async def rest_of(call) -> list[vad_pb2.DetectResponse]:
    events = []
    while (event := await read_message(call, "vad", WITHIN_S)) is not None:
        events.append(event)
    return events


def kinds(events: list[vad_pb2.DetectResponse]) -> list[str | None]:
    return [event.WhichOneof("event") for event in events]


async def refusal(stub, *requests: vad_pb2.DetectRequest) -> AnchorError:
    call = stub.Detect()
    for request in requests:
        await call.write(request)
    await call.done_writing()
    with pytest.raises(AnchorError) as refused:
        await rest_of(call)
    return refused.value


@pytest.mark.parametrize("chunk_ms", [10, 20, 32, 100, 1000])
async def test_an_utterance_has_edges_where_it_begins_and_ends(serve, silero, utterance, chunk_ms: int):
    async with serve(silero) as stub, detecting(stub) as call:
        await say(call, utterance, chunk_ms=chunk_ms)
        events = await rest(call)
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


async def test_the_start_is_told_within_100_ms_of_audio(serve, silero, utterance):
    async with serve(silero) as stub, detecting(stub) as call:
        # 1 s of silence, then speech: 1.1 s must do.
        await say(call, utterance[: 1100 * 32], chunk_ms=20)
        assert (await read_message(call, "vad", WITHIN_S)).WhichOneof("event") == "speech_started"


async def test_activity_comes_only_when_asked_for(serve, silero, utterance):
    async with serve(silero) as stub:
        async with detecting(stub, activity_interval_ms=100) as call:
            await say(call, utterance)
            events = await rest(call)
        async with detecting(stub) as call:
            await say(call, utterance)
            assert "activity" not in kinds(await rest(call))
    activity = [event.activity for event in events if event.WhichOneof("event") == "activity"]
    assert [later.at_ms - earlier.at_ms for earlier, later in itertools.pairwise(activity)] == [128] * 22
    assert max(event.probability for event in activity) > 0.8
    assert min(event.probability for event in activity) < 0.1


async def test_leaving_during_speech_closes_the_utterance(serve, silero, utterance):
    async with serve(silero) as stub, detecting(stub) as call:
        await say(call, utterance[: 1500 * 32])
        events = await rest(call)
    assert kinds(events) == ["speech_started", "speech_stopped"]
    assert 1450 <= events[1].speech_stopped.at_ms <= 1500


async def test_a_gap_is_silence(serve, silero, utterance):
    async with serve(silero) as stub, detecting(stub) as call:
        await say(call, utterance[: 1500 * 32])
        await say(call, utterance, start_ms=60_000)
        events = await rest(call)
    assert kinds(events) == ["speech_started", "speech_stopped", "turn_end_predicted"] * 2
    assert events[2].turn_end_predicted.silence_ms > 58_000
    assert abs(events[3].speech_started.at_ms - 61_000) <= 64


async def test_audio_out_of_order_is_refused(serve, energy, utterance):
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
async def test_what_breaks_the_contract_is_refused_with_its_code(serve, energy, requests, code: str):
    async with serve(energy) as stub:
        refused = await refusal(stub, *requests)
    assert (type(refused), refused.code) == (InvalidRequest, code)


async def test_one_microphone_too_many_is_refused_until_another_leaves(serve, energy, utterance):
    async with serve(energy, max_streams=1) as stub:
        async with detecting(stub) as call:
            await say(call, utterance[: 1100 * 32])
            assert await read_message(call, "vad", WITHIN_S)
            refused = await refusal(stub, config())
            assert (type(refused), refused.code) == (AtCapacity, "vad.full")
        async with asyncio.timeout(WITHIN_S):
            while microphones_open():
                await asyncio.sleep(0.005)
        async with detecting(stub) as call:
            await say(call, utterance)
            assert kinds(await rest(call))[0] == "speech_started"


async def test_cancelling_frees_the_stream_at_once(serve, energy, utterance):
    async with serve(energy) as stub:
        async with detecting(stub) as call:
            await say(call, utterance[: 1100 * 32])
            assert await read_message(call, "vad", WITHIN_S)
            assert microphones_open() == 1
        async with asyncio.timeout(WITHIN_S):
            while microphones_open():
                await asyncio.sleep(0.005)


async def test_thirty_two_microphones_at_once_get_their_own_edges(serve, silero, utterance):
    async def listen(stub, start_ms: int) -> int:
        async with detecting(stub) as call:
            await say(call, utterance, start_ms, chunk_ms=64)
            return (await rest(call))[0].speech_started.at_ms - start_ms

    async with serve(silero) as stub:
        found = await asyncio.gather(*(listen(stub, 1000 * nth) for nth in range(32)))
    assert set(found) == {found[0]}


class Listening:
    """A predictor that wants 400 ms, remembers what it was asked, and answers when it may."""

    name = "listening"
    audio_ms = 400

    def __init__(self) -> None:
        self.asked: list[Pause] = []
        self.may_answer = threading.Event()

    def load(self) -> None: ...

    def predict(self, pause: Pause) -> Judgement:
        self.asked.append(pause)
        assert self.may_answer.wait(WITHIN_S)
        return Judgement(0.875, (Opinion("ear", 0.75), Opinion("eye", 1.0)))


@pytest.fixture
def listening():
    predictor = Listening()
    yield predictor
    predictor.may_answer.set()


async def test_a_predictor_gets_audio_transcript_and_language(serve, energy, utterance, listening):
    listening.may_answer.set()
    async with serve(energy, listening) as stub, detecting(stub, language="fr") as call:
        transcript = vad_pb2.PartialTranscript(text="a i u e o", end_ms=1900)
        await write_message(call, vad_pb2.DetectRequest(partial_transcript=transcript), "vad")
        await say(call, utterance)
        event = (await rest(call))[-1].turn_end_predicted
    assert (event.probability, event.predictor) == (0.875, "listening")
    assert [(opinion.name, opinion.probability) for opinion in event.opinions] == [("ear", 0.75), ("eye", 1.0)]
    (pause,) = listening.asked
    assert (pause.language, pause.transcript.text, pause.transcript.end_ms) == ("fr", "a i u e o", 1900)
    assert (pause.at_ms, pause.silence_ms) == (event.at_ms, event.silence_ms)
    assert len(pause.audio) == 384 * 16
    assert not pause.audio[-180 * 16 :].any()
    assert pause.audio[: 100 * 16].any()


async def test_voice_and_words_are_judged_together_soon_after_the_silence(serve, silero, combined, utterance):
    async with serve(silero, combined) as stub, detecting(stub, language="en") as call:
        await say(call, utterance[: 2200 * 32])
        assert kinds([await read_message(call, "vad", WITHIN_S) for _ in range(2)]) == [
            "speech_started",
            "speech_stopped",
        ]
        asked_s = time.perf_counter()
        glance = (await read_message(call, "vad", WITHIN_S)).turn_end_predicted
        event = (await read_message(call, "vad", WITHIN_S)).turn_end_predicted
        told_within_s = time.perf_counter() - asked_s
        transcript = vad_pb2.PartialTranscript(text="what is the", end_ms=event.at_ms)
        await write_message(call, vad_pb2.DetectRequest(partial_transcript=transcript), "vad")
        again = (await read_message(call, "vad", WITHIN_S)).turn_end_predicted
    assert event.predictor == again.predictor == "smart-turn+text"
    assert not glance.opinions, "nobody has said anything yet"
    # A hundred times what it takes on a core of its own.
    assert told_within_s < 10
    (voice,) = event.opinions
    assert (voice.name, again.opinions[0]) == ("smart-turn", voice)
    assert (again.opinions[1].name, again.at_ms) == ("text", event.at_ms)
    assert again.probability < min(event.probability, 0.3)


async def test_a_slow_predictor_holds_up_no_edge_and_is_not_told_when_speech_resumed(
    serve, energy, utterance, listening
):
    async with serve(energy, listening) as stub, detecting(stub) as call:
        await say(call, utterance)
        async with asyncio.timeout(WITHIN_S):
            while not listening.asked:
                await asyncio.sleep(0.005)
        await say(call, utterance[1000 * 32 : 1500 * 32], start_ms=len(utterance) // 32)
        told = kinds([await read_message(call, "vad", WITHIN_S) for _ in range(3)])
        assert told == ["speech_started", "speech_stopped", "speech_started"]
        assert len(listening.asked) == 1
        listening.may_answer.set()
        assert kinds(await rest(call)) == ["speech_stopped"]


async def test_with_too_many_predictions_waiting_a_pause_goes_unjudged(serve, energy, utterance, listening):
    async with serve(energy, listening, max_waiting=1) as stub, detecting(stub) as first, detecting(stub) as second:
        await say(first, utterance)
        async with asyncio.timeout(WITHIN_S):
            while not listening.asked:
                await asyncio.sleep(0.005)
        await say(second, utterance)
        assert kinds(await rest(second)) == ["speech_started", "speech_stopped"]
        listening.may_answer.set()
        assert kinds(await rest(first)) == ["speech_started", "speech_stopped", "turn_end_predicted"]
