"""The gRPC service `anchor.stt.v1.SpeechToTextService`: converts between protobuf and domain types."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from typing import Any

from anchor.stt.v1 import stt_pb2, stt_pb2_grpc
from grpc import aio
from service_kit.audio import MICROPHONE, SAMPLE_BYTES, AudioChunk
from service_kit.errors import InvalidRequest
from service_kit.tasks import TaskGroup, run_together

from stt_service.engine import FinalTranscript, PartialTranscript, SttEngine, SttStream, TranscriptionConfig
from stt_service.segments import SegmentCounter
from stt_service.stream_slots import StreamSlot, StreamSlots
from stt_service.transcript_trace import TranscriptTrace
from stt_service.work_reports import WorkReports

SERVICE_NAME = stt_pb2.DESCRIPTOR.services_by_name["SpeechToTextService"].full_name
Context = aio.ServicerContext[stt_pb2.TranscribeRequest, stt_pb2.TranscribeResponse]
# The proto carries milliseconds in 32 bits: seven weeks.
_MAX_CLOCK_MS = 2**32 - 1


class SpeechToTextServicer(stt_pb2_grpc.SpeechToTextServiceServicer):
    """Transcribes one microphone per call, and at most `max_streams` at one time.

    At capacity, a stream on which nobody speaks gives way to a new one.
    """

    def __init__(self, engine: SttEngine, max_streams: int, max_segment_ms: float) -> None:
        self._engine = engine
        self._slots = StreamSlots(max_streams)
        self._max_segment_ms = max_segment_ms

    def add_to(self, server: aio.Server) -> None:
        """Register this servicer with `server`."""
        stt_pb2_grpc.add_SpeechToTextServiceServicer_to_server(self, server)

    async def Transcribe(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request_iterator: AsyncIterator[stt_pb2.TranscribeRequest], context: Context
    ) -> None:
        """Transcribe one microphone: one task pushes its audio to the engine, one writes the transcripts, one
        reports work."""
        async with self._slots.reserve() as slot, TaskGroup() as tasks:
            revoked = tasks.create_task(slot.wait_revoked(), name="stt slot")
            request = await anext(request_iterator, None)
            config = _config(request)
            segments = SegmentCounter(self._max_segment_ms)
            writing = asyncio.Lock()

            async def write(response: stt_pb2.TranscribeResponse) -> None:
                async with writing:
                    await context.write(response)

            async def report_work(received_ms: int) -> None:
                await write(stt_pb2.TranscribeResponse(working=stt_pb2.Working(received_ms=received_ms)))

            work = WorkReports(request.config.working_interval_ms if request else 0, report_work)
            with closing(TranscriptTrace()) as trace:
                async with self._engine.open_stream(config) as stream:
                    reporting = tasks.create_task(work.run(), name="stt work reports")
                    await run_together(
                        _push_requests(request_iterator, stream, segments, trace, slot, work),
                        _write_transcripts(stream, segments, trace, write, slot, work),
                    )
                    reporting.cancel()
            revoked.cancel()


async def _push_requests(
    requests: AsyncIterator[stt_pb2.TranscribeRequest],
    stream: SttStream,
    segments: SegmentCounter,
    trace: TranscriptTrace,
    slot: StreamSlot,
    work: WorkReports,
) -> None:
    async for request in requests:
        match request.WhichOneof("request"):
            case "audio":
                slot.on_audio()
                chunk = _chunk(request.audio)
                work.on_audio(chunk.end_ms)
                await stream.push_audio(chunk, segments.add_audio(chunk))
                work.on_processed()
            case "flush":
                slot.on_flush()
                work.on_flush()
                trace.on_flush(request.flush.segment_id, request.flush.traceparent)
                await stream.flush_segment(segments.require_open(request.flush.segment_id))
            case "commit":
                work.on_commit()
                await stream.commit_segment(segments.commit_segment(request.commit.segment_id))
            case "config":
                raise InvalidRequest("stt.config_repeated", "the config must come only once")
            case _:
                raise InvalidRequest("stt.unknown_message", "a request must carry audio, a flush or a commit")
    await stream.end_audio()


async def _write_transcripts(
    stream: SttStream,
    segments: SegmentCounter,
    trace: TranscriptTrace,
    write: Callable[[stt_pb2.TranscribeResponse], Awaitable[None]],
    slot: StreamSlot,
    work: WorkReports,
) -> None:
    async for transcript in stream.transcripts():
        match transcript:
            case PartialTranscript():
                await write(stt_pb2.TranscribeResponse(partial_transcript=_partial(transcript)))
            case FinalTranscript():
                final = _final(transcript, segments.next_revision(transcript))
                await write(stt_pb2.TranscribeResponse(final_transcript=final))
                slot.on_final()
                work.on_final()
                trace.on_final(final.segment_id, final.revision)


def _config(request: stt_pb2.TranscribeRequest | None) -> TranscriptionConfig:
    if request is None or request.WhichOneof("request") != "config":
        raise InvalidRequest("stt.config_missing", "the first request must carry the config")
    config = request.config
    if config.sample_rate_hz != MICROPHONE.rate_hz:
        raise InvalidRequest(
            "stt.sample_rate", f"sample_rate_hz must be {MICROPHONE.rate_hz}, not {config.sample_rate_hz}"
        )
    return TranscriptionConfig(config.language, config.partial_transcripts)


def _chunk(audio: Any) -> AudioChunk:
    if len(audio.pcm) % SAMPLE_BYTES:
        raise InvalidRequest("stt.odd_bytes", f"{len(audio.pcm)} bytes are not whole 16-bit samples")
    chunk = AudioChunk(audio.start_ms, audio.pcm)
    if chunk.end_ms > _MAX_CLOCK_MS:
        raise InvalidRequest("stt.clock_overflow", f"audio at {chunk.start_ms} ms exceeds the audio clock's range")
    return chunk


def _partial(partial: PartialTranscript) -> stt_pb2.PartialTranscript:
    segment = partial.segment
    return stt_pb2.PartialTranscript(
        segment_id=segment.id,
        text=partial.text,
        start_ms=segment.start_ms,
        end_ms=segment.end_ms,
        language=partial.language,
        confidence=partial.confidence,
    )


def _final(final: FinalTranscript, revision: int) -> stt_pb2.FinalTranscript:
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
