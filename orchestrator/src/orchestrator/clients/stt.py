"""Client of stt-service; implements the conversation's `SpeechToText`."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from anchor.audio.v1 import audio_pb2
from anchor.stt.v1 import stt_pb2, stt_pb2_grpc
from grpc import aio
from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.observability.context import to_metadata
from service_kit.rpc.channel import read_message, write_message

from orchestrator.clients.readiness import require_ready
from orchestrator.conversation.messages.server import Word
from orchestrator.conversation.model.ports import (
    FinalTranscript,
    PartialTranscript,
    Transcript,
    TranscriptionProgress,
)
from orchestrator.conversation.observability.turn_trace import CURRENT_TURN_TRACE

_PEER = "stt"
_SERVICE = "anchor.stt.v1.SpeechToTextService"

# How often the service reports that it works, in milliseconds.
_WORKING_INTERVAL_MS = 500

_Call = aio.StreamStreamCall[stt_pb2.TranscribeRequest, stt_pb2.TranscribeResponse]
# No words: a terminal acts on them, and a database refuses some.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def _without_control(text: str) -> str:
    return _CONTROL.sub(" ", text).strip() if _CONTROL.search(text) else text


def _final_transcript(final: stt_pb2.FinalTranscript) -> FinalTranscript:
    return FinalTranscript(
        segment_id=final.segment_id,
        revision=final.revision,
        text=_without_control(final.text),
        end_ms=final.end_ms,
        language=final.language,
        alternatives=tuple(map(_without_control, final.alternatives)),
        confidence=final.confidence if final.HasField("confidence") else None,
        words=tuple(
            Word(
                _without_control(word.text),
                word.start_ms,
                word.end_ms,
                word.confidence if word.HasField("confidence") else None,
            )
            for word in final.words
        ),
        language_probability=final.language_probability if final.HasField("language_probability") else None,
    )


class SttStream:
    """One `Transcribe` call."""

    def __init__(self, call: _Call) -> None:
        self._call = call
        self._turn = CURRENT_TURN_TRACE.get()

    async def push_audio(self, chunk: AudioChunk) -> None:
        audio = audio_pb2.AudioChunk(start_ms=chunk.start_ms, pcm=chunk.pcm)
        await write_message(self._call, stt_pb2.TranscribeRequest(audio=audio), _PEER)

    async def flush_segment(self, segment_id: int) -> None:
        flush = stt_pb2.Flush(segment_id=segment_id, traceparent=self._turn.traceparent if self._turn else "")
        await write_message(self._call, stt_pb2.TranscribeRequest(flush=flush), _PEER)

    async def commit_segment(self, segment_id: int) -> None:
        await write_message(self._call, stt_pb2.TranscribeRequest(commit=stt_pb2.Commit(segment_id=segment_id)), _PEER)

    async def transcripts(self) -> AsyncGenerator[Transcript | TranscriptionProgress]:
        while (response := await read_message(self._call, _PEER)) is not None:
            match response.WhichOneof("event"):
                case "partial_transcript":
                    partial = response.partial_transcript
                    confidence = partial.confidence if partial.HasField("confidence") else None
                    yield PartialTranscript(
                        partial.segment_id,
                        _without_control(partial.text),
                        partial.end_ms,
                        partial.language,
                        confidence,
                    )
                case "final_transcript":
                    yield _final_transcript(response.final_transcript)
                case "working":
                    yield TranscriptionProgress(response.working.received_ms)
                case _:
                    continue


class SttClient:
    """Opens `Transcribe` calls on one channel."""

    def __init__(self, channel: aio.Channel, wants_partials: Callable[[], bool] = lambda: True) -> None:
        """`wants_partials` is asked whenever a stream is opened."""
        self._channel = channel
        self._wants_partials = wants_partials
        self._stub = stt_pb2_grpc.SpeechToTextServiceStub(channel)

    @asynccontextmanager
    async def open(self, language: str) -> AsyncGenerator[SttStream]:
        """Transcribe one microphone; leaving the context ends the call. Raises `PeerFailed` or `NotReady`."""
        await require_ready(self._channel, _SERVICE, _PEER)
        call: _Call = self._stub.Transcribe(metadata=to_metadata())
        try:
            config = stt_pb2.TranscriptionConfig(
                language=language,
                sample_rate_hz=MICROPHONE.rate_hz,
                partial_transcripts=self._wants_partials(),
                working_interval_ms=_WORKING_INTERVAL_MS,
            )
            await write_message(call, stt_pb2.TranscribeRequest(config=config), _PEER)
            yield SttStream(call)
        finally:
            call.cancel()
