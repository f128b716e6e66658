"""`anchor.stt.v1.SpeechToTextService`: protobuf to domain and back, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import closing, contextmanager
from typing import Any

from anchor.stt.v1 import stt_pb2, stt_pb2_grpc
from grpc import aio
from service_kit.audio import MICROPHONE, SAMPLE_BYTES, AudioChunk
from service_kit.errors import AtCapacity, InvalidRequest

from stt_service.engine import Final, Partial, SttEngine, SttStream, TranscriptionConfig
from stt_service.segments import Segments
from stt_service.transcript_trace import TranscriptTrace

NAME = stt_pb2.DESCRIPTOR.services_by_name["SpeechToTextService"].full_name
Context = aio.ServicerContext[stt_pb2.TranscribeRequest, stt_pb2.TranscribeResponse]


class SpeechToTextServicer(stt_pb2_grpc.SpeechToTextServiceServicer):
    """Transcribes microphones, `max_streams` at one time."""

    def __init__(self, engine: SttEngine, max_streams: int, max_segment_ms: float) -> None:
        self._engine = engine
        self._max_streams = max_streams
        self._max_segment_ms = max_segment_ms
        self._streams = 0

    def add_to(self, server: aio.Server) -> None:
        """Register with a server."""
        stt_pb2_grpc.add_SpeechToTextServiceServicer_to_server(self, server)

    async def Transcribe(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request_iterator: AsyncIterator[stt_pb2.TranscribeRequest], context: Context
    ) -> None:
        """Transcribe one microphone: one task feeds the engine, one writes what it says."""
        with self._place():
            config = _config(await anext(request_iterator, None))
            segments = Segments(self._max_segment_ms)
            with closing(TranscriptTrace()) as trace:
                async with self._engine.open(config) as stream, asyncio.TaskGroup() as tasks:
                    tasks.create_task(_feed(request_iterator, stream, segments, trace), name="stt feed")
                    tasks.create_task(_write(stream, segments, trace, context), name="stt write")

    @contextmanager
    def _place(self) -> Generator[None]:
        if self._streams >= self._max_streams:
            raise AtCapacity("stt.at_capacity", f"all {self._max_streams} microphones are in use")
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1


async def _feed(
    requests: AsyncIterator[stt_pb2.TranscribeRequest], stream: SttStream, segments: Segments, trace: TranscriptTrace
) -> None:
    async for request in requests:
        match request.WhichOneof("request"):
            case "audio":
                chunk = _chunk(request.audio)
                await stream.feed(chunk, segments.hear(chunk))
            case "flush":
                trace.asked(request.flush.segment_id, request.flush.traceparent)
                await stream.flush(segments.flush(request.flush.segment_id))
            case "commit":
                await stream.commit(segments.commit(request.commit.segment_id))
            case "config":
                raise InvalidRequest("stt.config_repeated", "config comes once, and first")
            case _:
                raise InvalidRequest("stt.unknown_message", "a request is audio, flush or commit")
    await stream.finish()


async def _write(stream: SttStream, segments: Segments, trace: TranscriptTrace, context: Context) -> None:
    async for transcript in stream.transcripts():
        match transcript:
            case Partial():
                await context.write(stt_pb2.TranscribeResponse(partial_transcript=_partial(transcript)))
            case Final():
                final = _final(transcript, segments.revision(transcript))
                await context.write(stt_pb2.TranscribeResponse(final_transcript=final))
                trace.answered(final.segment_id, final.revision)


def _config(request: stt_pb2.TranscribeRequest | None) -> TranscriptionConfig:
    if request is None or request.WhichOneof("request") != "config":
        raise InvalidRequest("stt.config_missing", "config must come first")
    config = request.config
    if config.sample_rate_hz != MICROPHONE.rate_hz:
        raise InvalidRequest("stt.sample_rate", f"audio must come at {MICROPHONE.rate_hz} Hz")
    return TranscriptionConfig(config.language, config.partial_transcripts)


def _chunk(audio: Any) -> AudioChunk:
    if len(audio.pcm) % SAMPLE_BYTES:
        raise InvalidRequest("stt.odd_bytes", f"{len(audio.pcm)} bytes are no whole number of 16-bit samples")
    return AudioChunk(audio.start_ms, audio.pcm)


def _partial(partial: Partial) -> stt_pb2.PartialTranscript:
    segment = partial.segment
    return stt_pb2.PartialTranscript(
        segment_id=segment.id,
        text=partial.text,
        start_ms=segment.start_ms,
        end_ms=segment.end_ms,
        language=partial.language,
    )


def _final(final: Final, revision: int) -> stt_pb2.FinalTranscript:
    segment = final.segment
    return stt_pb2.FinalTranscript(
        segment_id=segment.id,
        revision=revision,
        text=final.text,
        alternatives=final.alternatives,
        start_ms=segment.start_ms,
        end_ms=segment.end_ms,
        language=final.language,
        language_source=stt_pb2.LanguageSource.Name(final.language_source.value),
        confidence=final.confidence,
        words=[
            stt_pb2.Word(text=word.text, start_ms=word.start_ms, end_ms=word.end_ms, confidence=word.confidence)
            for word in final.words
        ],
        language_probability=final.language_probability,
    )
