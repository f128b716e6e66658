"""Client of vad-service; implements the conversation's `VoiceActivity`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from anchor.audio.v1 import audio_pb2
from anchor.vad.v1 import vad_pb2, vad_pb2_grpc
from grpc import aio
from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.observability.context import to_metadata
from service_kit.rpc.channel import read_message, write_message

from orchestrator.clients.readiness import require_ready
from orchestrator.conversation.messages.server import PredictorOpinion
from orchestrator.conversation.model.ports import (
    ACTIVITY_INTERVAL_MS,
    AudioAnalysed,
    SpeechStarted,
    SpeechStopped,
    TurnEndPredicted,
    VadEvent,
)
from orchestrator.conversation.observability.turn_trace import CURRENT_TURN_TRACE

_PEER = "vad"
_SERVICE = "anchor.vad.v1.TurnDetectionService"


_Call = aio.StreamStreamCall[vad_pb2.DetectRequest, vad_pb2.DetectResponse]


class VadStream:
    """One `Detect` call."""

    def __init__(self, call: _Call, predicts_fully: Callable[[], bool]) -> None:
        self._call = call
        self._predicts_fully = predicts_fully
        self._depth_sent = True
        self._turn = CURRENT_TURN_TRACE.get()
        self._sent_traceparent = ""

    async def push_audio(self, chunk: AudioChunk) -> None:
        if self._turn and self._turn.traceparent != self._sent_traceparent:
            await self._send_traced_turn(self._turn.traceparent)
        if (full := self._predicts_fully()) != self._depth_sent:
            self._depth_sent = full
            depth = vad_pb2.PredictionDepth(full=full)
            await write_message(self._call, vad_pb2.DetectRequest(prediction_depth=depth), _PEER)
        audio = audio_pb2.AudioChunk(start_ms=chunk.start_ms, pcm=chunk.pcm)
        await write_message(self._call, vad_pb2.DetectRequest(audio=audio), _PEER)

    async def _send_traced_turn(self, traceparent: str) -> None:
        self._sent_traceparent = traceparent
        turn = vad_pb2.TracedTurn(traceparent=traceparent)
        await write_message(self._call, vad_pb2.DetectRequest(traced_turn=turn), _PEER)

    async def push_transcript(self, text: str, end_ms: int, language: str) -> None:
        partial = vad_pb2.PartialTranscript(text=text, end_ms=end_ms, language=language)
        await write_message(self._call, vad_pb2.DetectRequest(partial_transcript=partial), _PEER)

    async def request_activity(self, interval_ms: int) -> None:
        interval = vad_pb2.ActivityInterval(interval_ms=interval_ms)
        await write_message(self._call, vad_pb2.DetectRequest(activity_interval=interval), _PEER)

    async def events(self) -> AsyncGenerator[VadEvent | AudioAnalysed]:
        while (response := await read_message(self._call, _PEER)) is not None:
            match response.WhichOneof("event"):
                case "speech_started":
                    started = response.speech_started
                    yield SpeechStarted(started.at_ms, started.pre_roll_start_ms)
                case "speech_stopped":
                    yield SpeechStopped(response.speech_stopped.at_ms)
                case "turn_end_predicted":
                    predicted = response.turn_end_predicted
                    yield TurnEndPredicted(
                        predicted.at_ms,
                        predicted.probability,
                        predicted.predictor,
                        predicted.silence_ms,
                        tuple(PredictorOpinion(opinion.name, opinion.probability) for opinion in predicted.opinions),
                    )
                case "activity":
                    yield AudioAnalysed(response.activity.at_ms, response.activity.probability)
                case _:
                    # Unknown events of a newer service are ignored.
                    continue


class VadClient:
    """Opens `Detect` calls on one channel."""

    def __init__(self, channel: aio.Channel, predicts_fully: Callable[[], bool] = lambda: True) -> None:
        """`predicts_fully` is asked with each message of audio: whether turn ends are predicted from the sound too."""
        self._channel = channel
        self._predicts_fully = predicts_fully
        self._stub = vad_pb2_grpc.TurnDetectionServiceStub(channel)

    @asynccontextmanager
    async def open(self, language: str) -> AsyncGenerator[VadStream]:
        """Detect speech on one microphone; leaving the context ends the call. Raises `PeerFailed` or `NotReady`."""
        await require_ready(self._channel, _SERVICE, _PEER)
        call: _Call = self._stub.Detect(metadata=to_metadata())
        try:
            config = vad_pb2.DetectionConfig(
                sample_rate_hz=MICROPHONE.rate_hz, language=language, activity_interval_ms=ACTIVITY_INTERVAL_MS
            )
            await write_message(call, vad_pb2.DetectRequest(config=config), _PEER)
            yield VadStream(call, self._predicts_fully)
        finally:
            call.cancel()
