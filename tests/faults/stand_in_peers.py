"""Peers on the real wire that answer nonsense, or nothing: gRPC services in the place of ours.

Each behaviour is one coroutine function on the requests of a stream and a function that writes a response.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from anchor.stt.v1 import stt_pb2, stt_pb2_grpc
from anchor.tts.v1 import tts_pb2, tts_pb2_grpc
from anchor.vad.v1 import vad_pb2, vad_pb2_grpc
from grpc import aio
from service_kit.audio import SPEECH
from service_kit.engines.info import EngineInfo
from service_kit.health import Health, Status
from service_kit.rpc.server import GrpcServer

VOICED_PEAK = 500
STOP_SILENCE_MS = 200
WORKING_EVERY_S = 0.3
QUESTION_HEARD = "how is the bridge"
LATE_S = 8.0
ENDLESS_EVERY_S = 0.02

Write = Callable[[Any], Awaitable[None]]
Behaviour = Callable[[AsyncIterator[Any], Write], Awaitable[None]]


# Any service -------------------------------------------------------------------------------------------------------


async def silent(requests: AsyncIterator[Any], write: Write) -> None:
    """Takes everything, sends nothing, never ends."""
    async for _ in requests:
        pass
    await asyncio.Event().wait()


async def empty(requests: AsyncIterator[Any], write: Write) -> None:
    """Ends the stream at its first message, without a result."""
    await anext(requests)


# Turn detection ----------------------------------------------------------------------------------------------------


async def _edges(requests: AsyncIterator[Any], write: Write) -> AsyncGenerator[tuple[str, int]]:
    """Yield ("started" or "stopped", at_ms) by loudness, and ("audio", end_ms); reports its progress itself."""
    loud_ms: int | None = None
    async for request in requests:
        if request.WhichOneof("request") != "audio":
            continue
        samples = np.frombuffer(request.audio.pcm, dtype="<i2").astype(np.int32)
        end_ms = request.audio.start_ms + len(samples) // 16
        if samples.size and int(np.abs(samples).max()) >= VOICED_PEAK:
            if loud_ms is None:
                yield "started", request.audio.start_ms
            loud_ms = end_ms
        elif loud_ms is not None and end_ms - loud_ms >= STOP_SILENCE_MS:
            yield "stopped", loud_ms
            loud_ms = None
        yield "audio", end_ms


def _started(at_ms: int) -> vad_pb2.DetectResponse:
    started = vad_pb2.SpeechStarted(at_ms=at_ms, pre_roll_start_ms=max(0, at_ms - 300))
    return vad_pb2.DetectResponse(speech_started=started)


def _stopped(at_ms: int) -> vad_pb2.DetectResponse:
    return vad_pb2.DetectResponse(speech_stopped=vad_pb2.SpeechStopped(at_ms=at_ms))


def _activity(at_ms: int, probability: float = 0.5) -> vad_pb2.DetectResponse:
    return vad_pb2.DetectResponse(activity=vad_pb2.Activity(at_ms=at_ms, probability=probability))


async def vad_nan(requests: AsyncIterator[Any], write: Write) -> None:
    """Right edges, and NaN for every probability."""
    async for kind, at_ms in _edges(requests, write):
        match kind:
            case "started":
                await write(_started(at_ms))
            case "stopped":
                await write(_stopped(at_ms))
                predicted = vad_pb2.TurnEndPredicted(
                    at_ms=at_ms, silence_ms=STOP_SILENCE_MS, probability=float("nan"), predictor="nan"
                )
                await write(vad_pb2.DetectResponse(turn_end_predicted=predicted))
            case _:
                await write(_activity(at_ms, float("nan")))


async def vad_wild_times(requests: AsyncIterator[Any], write: Write) -> None:
    """Right edges, each after one far ahead of the audio."""
    async for kind, at_ms in _edges(requests, write):
        match kind:
            case "started":
                await write(_started(4_000_000_000))
                await write(_started(at_ms))
            case "stopped":
                await write(_stopped(4_000_000_000))
                await write(_stopped(at_ms))
            case _:
                await write(_activity(at_ms))


async def vad_flood(requests: AsyncIterator[Any], write: Write) -> None:
    """Right edges, and each start twenty times."""
    async for kind, at_ms in _edges(requests, write):
        match kind:
            case "started":
                for _ in range(20):
                    await write(_started(at_ms))
            case "stopped":
                await write(_stopped(at_ms))
            case _:
                await write(_activity(at_ms))


# Speech to text ----------------------------------------------------------------------------------------------------


def _working() -> stt_pb2.TranscribeResponse:
    return stt_pb2.TranscribeResponse(working=stt_pb2.Working())


def _final(segment_id: int, revision: int, text: str, **fields: object) -> stt_pb2.TranscribeResponse:
    final = stt_pb2.FinalTranscript(segment_id=segment_id, revision=revision, text=text, language="en", **fields)
    return stt_pb2.TranscribeResponse(final_transcript=final)


async def _flushes(requests: AsyncIterator[Any], write: Write) -> AsyncGenerator[tuple[int, int]]:
    """Yield (segment, revision) of each flush; works, visibly, all the time."""

    async def work() -> None:
        while True:
            await write(_working())
            await asyncio.sleep(WORKING_EVERY_S)

    revisions: dict[int, int] = {}
    working = asyncio.create_task(work())
    try:
        async for request in requests:
            if request.WhichOneof("request") == "flush":
                segment_id = request.flush.segment_id
                revisions[segment_id] = revisions.get(segment_id, 0) + 1
                yield segment_id, revisions[segment_id]
    finally:
        working.cancel()
        await asyncio.wait((working,))


async def stt_never_final(requests: AsyncIterator[Any], write: Write) -> None:
    """Works for ever, without a result."""
    async for _ in _flushes(requests, write):
        pass


async def stt_stray(requests: AsyncIterator[Any], write: Write) -> None:
    """Answers each flush with a final transcript of a segment that was never opened."""
    async for segment_id, revision in _flushes(requests, write):
        await write(_final(segment_id + 7, revision, "words of another conversation"))


async def stt_endless(requests: AsyncIterator[Any], write: Write) -> None:
    """Partial transcripts without end, and never a final one."""
    await anext(requests)
    for count in itertools.count(1):
        partial = stt_pb2.PartialTranscript(segment_id=1, text=f"word {count}", language="en")
        await write(stt_pb2.TranscribeResponse(partial_transcript=partial))
        await asyncio.sleep(ENDLESS_EVERY_S)


async def stt_garbage(requests: AsyncIterator[Any], write: Write) -> None:
    """The right words with control characters, and NaN for every number; before them, a transcript out of time."""
    async for segment_id, revision in _flushes(requests, write):
        nan = float("nan")
        early = stt_pb2.PartialTranscript(
            segment_id=segment_id, text="\x00\x1b[31m", end_ms=4_000_000_000, confidence=nan
        )
        await write(stt_pb2.TranscribeResponse(partial_transcript=early))
        text = f"\x00\x1b[31m{QUESTION_HEARD}\x07"
        await write(_final(segment_id, revision, text, confidence=nan, language_probability=nan))


async def stt_late(requests: AsyncIterator[Any], write: Write) -> None:
    """The right words, later than they are waited for."""
    async for segment_id, revision in _flushes(requests, write):
        await asyncio.sleep(LATE_S)
        await write(_final(segment_id, revision, QUESTION_HEARD))


# Text to speech ----------------------------------------------------------------------------------------------------


def _tone(ms: int, peak: int) -> bytes:
    samples = np.arange(ms * SPEECH.rate_hz // 1000)
    return (peak * np.sin(samples * 0.06)).astype("<i2").tobytes()


async def tts_odd(requests: AsyncIterator[Any], write: Write) -> None:
    """Half a sample too much."""
    await anext(requests)
    await write(tts_pb2.SynthesizeResponse(audio=tts_pb2.SpeechAudio(pcm=b"\x01" * 4_801)))
    await asyncio.Event().wait()


async def tts_gap(requests: AsyncIterator[Any], write: Write) -> None:
    """Audio that leaves a hole of a minute."""
    await anext(requests)
    for offset_ms in (0, 60_000):
        await write(tts_pb2.SynthesizeResponse(audio=tts_pb2.SpeechAudio(offset_ms=offset_ms, pcm=_tone(100, 8_000))))
    await asyncio.Event().wait()


async def tts_zeros(requests: AsyncIterator[Any], write: Write) -> None:
    """Two seconds of digital silence, and then nothing more."""
    await anext(requests)
    for number in range(20):
        audio = tts_pb2.SpeechAudio(offset_ms=number * 100, pcm=_tone(100, 0))
        await write(tts_pb2.SynthesizeResponse(audio=audio))
    await asyncio.Event().wait()


async def tts_endless(requests: AsyncIterator[Any], write: Write) -> None:
    """A tone without end, twice as fast as it plays."""
    await anext(requests)
    for number in itertools.count():
        audio = tts_pb2.SpeechAudio(offset_ms=number * 100, pcm=_tone(100, 8_000))
        await write(tts_pb2.SynthesizeResponse(audio=audio))
        await asyncio.sleep(0.05)


async def tts_wild_marks(requests: AsyncIterator[Any], write: Write) -> None:
    """A tone with marks beyond the text and beyond the audio, and an end."""
    await anext(requests)
    mark = tts_pb2.SpeechMark(text_start=4_000_000, text_end=3, offset_ms=4_000_000_000)
    await write(tts_pb2.SynthesizeResponse(speech_mark=mark))
    for number in range(20):
        audio = tts_pb2.SpeechAudio(offset_ms=number * 100, pcm=_tone(100, 8_000))
        await write(tts_pb2.SynthesizeResponse(audio=audio))
    async for request in requests:
        if request.WhichOneof("request") == "end_of_text":
            return


# The servers -------------------------------------------------------------------------------------------------------

BEHAVIOURS: Mapping[str, Mapping[str, Behaviour]] = {
    "vad": {"silent": silent, "empty": empty, "nan": vad_nan, "wild times": vad_wild_times, "flood": vad_flood},
    "stt": {
        "silent": silent,
        "empty": empty,
        "never a final": stt_never_final,
        "stray final": stt_stray,
        "endless": stt_endless,
        "garbage": stt_garbage,
        "late": stt_late,
    },
    "tts": {
        "silent": silent,
        "empty": empty,
        "odd bytes": tts_odd,
        "gap": tts_gap,
        "zeros": tts_zeros,
        "endless": tts_endless,
        "wild marks": tts_wild_marks,
    },
}
_SERVICES = {
    "vad": (vad_pb2, vad_pb2_grpc, "TurnDetectionService", "Detect"),
    "stt": (stt_pb2, stt_pb2_grpc, "SpeechToTextService", "Transcribe"),
    "tts": (tts_pb2, tts_pb2_grpc, "TextToSpeechService", "Synthesize"),
}


@asynccontextmanager
async def stand_in_peer(service: str, behaviour: str) -> AsyncGenerator[int]:
    """Serve `behaviour` in the place of a service, healthy and ready by its own account; yields the port."""
    messages, stubs, name, method = _SERVICES[service]
    behave = BEHAVIOURS[service][behaviour]

    async def stream(self: object, request_iterator: AsyncIterator[Any], context: Any) -> None:
        await behave(request_iterator, context.write)

    servicer = type("StandIn", (getattr(stubs, f"{name}Servicer"),), {method: stream})()
    health = Health("stand-in", EngineInfo("stand-in", "none", "0"))

    def add(server: aio.Server) -> None:
        getattr(stubs, f"add_{name}Servicer_to_server")(servicer, server)

    full_name = messages.DESCRIPTOR.services_by_name[name].full_name
    server = GrpcServer(health, [(full_name, add)], reflect=False, multiplex=True)
    port = await server.start("127.0.0.1", 0)
    health.move_to(Status.READY)
    await server.set_ready(True)
    try:
        yield port
    finally:
        await server.stop(0)
