"""The gRPC service `anchor.vad.v1.TurnDetectionService`: converts between protobuf and domain types."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from anchor.vad.v1 import vad_pb2, vad_pb2_grpc
from grpc import aio
from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.errors import InvalidRequest

from vad_service.events import Activity, Event, SpeechStarted, SpeechStopped, TurnEndPredicted
from vad_service.speech.detection import ActivityInterval, DetectionConfig, PredictionDepth, TurnDetector
from vad_service.speech.utterance_trace import UtteranceTrace
from vad_service.turn_end.predictor import PartialTranscript

SERVICE_NAME: str = vad_pb2.DESCRIPTOR.services_by_name["TurnDetectionService"].full_name

Requests = AsyncIterator[vad_pb2.DetectRequest]
Context = aio.ServicerContext[vad_pb2.DetectRequest, vad_pb2.DetectResponse]


class TurnDetectionServicer(vad_pb2_grpc.TurnDetectionServiceServicer):
    """Detects turns on one microphone per call."""

    def __init__(self, detector: TurnDetector) -> None:
        self._detector = detector

    async def Detect(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request_iterator: Requests, context: Context
    ) -> None:
        requests = aiter(request_iterator)
        config = _config(await anext(requests, vad_pb2.DetectRequest()))

        trace = UtteranceTrace()

        async def emit(event: Event) -> None:
            trace.record(event)
            await context.write(_response(event))

        async with aclosing(_read_inputs(requests, trace)) as inputs:
            await self._detector.detect(config, inputs, emit)

    def add_to(self, server: aio.Server) -> None:
        """Register this servicer with `server`."""
        vad_pb2_grpc.add_TurnDetectionServiceServicer_to_server(self, server)


def _config(request: vad_pb2.DetectRequest) -> DetectionConfig:
    if request.WhichOneof("request") != "config":
        raise InvalidRequest("vad.config_missing", "the first request must carry the config")
    config = request.config
    if config.sample_rate_hz != MICROPHONE.rate_hz:
        raise InvalidRequest(
            "vad.sample_rate", f"sample_rate_hz must be {MICROPHONE.rate_hz}, not {config.sample_rate_hz}"
        )
    return DetectionConfig(config.language, config.activity_interval_ms)


async def _read_inputs(requests: Requests, trace: UtteranceTrace):
    async for request in requests:
        match request.WhichOneof("request"):
            case "audio":
                yield AudioChunk(request.audio.start_ms, request.audio.pcm)
            case "partial_transcript":
                partial = request.partial_transcript
                yield PartialTranscript(partial.text, partial.end_ms, partial.language)
            case "traced_turn":
                trace.set_turn(request.traced_turn.traceparent)
            case "prediction_depth":
                yield PredictionDepth(request.prediction_depth.full)
            case "activity_interval":
                yield ActivityInterval(request.activity_interval.interval_ms)
            case "config":
                raise InvalidRequest("vad.config_repeated", "the config must come only once")
            case _:
                raise InvalidRequest("vad.empty_request", "a request must carry audio or a transcript")


def _response(event: Event) -> vad_pb2.DetectResponse:
    match event:
        case SpeechStarted(at_ms, pre_roll_start_ms):
            started = vad_pb2.SpeechStarted(at_ms=at_ms, pre_roll_start_ms=pre_roll_start_ms)
            return vad_pb2.DetectResponse(speech_started=started)
        case SpeechStopped(at_ms):
            return vad_pb2.DetectResponse(speech_stopped=vad_pb2.SpeechStopped(at_ms=at_ms))
        case TurnEndPredicted():
            return vad_pb2.DetectResponse(turn_end_predicted=_turn_end_predicted(event))
        case Activity(at_ms, probability):
            return vad_pb2.DetectResponse(activity=vad_pb2.Activity(at_ms=at_ms, probability=probability))


def _turn_end_predicted(event: TurnEndPredicted) -> vad_pb2.TurnEndPredicted:
    opinions = [vad_pb2.PredictorOpinion(name=each.name, probability=each.probability) for each in event.opinions]
    return vad_pb2.TurnEndPredicted(
        at_ms=event.at_ms,
        silence_ms=event.silence_ms,
        probability=event.probability,
        predictor=event.predictor,
        opinions=opinions,
    )
