"""Speaks into stt-service at microphone speed and waits for the final transcript."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from anchor.stt.v1 import stt_pb2, stt_pb2_grpc
from service_kit.audio import MICROPHONE
from service_kit.rpc.channel import open_channel, read_message, write_message

_CHUNK_MS = 100
_FINAL_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Transcript:
    """A final transcript, the partial ones before it, and the time from the flush to the final."""

    text: str
    partials: tuple[str, ...]
    final_s: float


async def transcribe(target: str, pcm: bytes, language: str, *, paced: bool) -> Transcript:
    """Transcribe `pcm` (PCM16 mono 16 kHz) as one segment; `paced` sends it in real time. Raises `AnchorError`."""
    async with open_channel(target) as channel:
        call: Any = stt_pb2_grpc.SpeechToTextServiceStub(channel).Transcribe()
        try:
            config = stt_pb2.TranscriptionConfig(
                language=language, sample_rate_hz=MICROPHONE.rate_hz, partial_transcripts=paced
            )
            await write_message(call, stt_pb2.TranscribeRequest(config=config), "stt")
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(_read_until_final(call))
                flushed_s = await _send(call, pcm, paced=paced)
            text, partials, final_at_s = reading.result()
            return Transcript(text, partials, final_at_s - flushed_s)
        finally:
            call.cancel()


async def _send(call: Any, pcm: bytes, *, paced: bool) -> float:
    """Send the audio and the flush; returns when the flush was sent, in seconds of the monotonic clock."""
    size, began_s = MICROPHONE.bytes_for(_CHUNK_MS), time.monotonic()
    for number, at in enumerate(range(0, len(pcm), size)):
        if paced:
            await asyncio.sleep(began_s + (number + 1) * _CHUNK_MS / 1000 - time.monotonic())
        audio: Any = {"start_ms": number * _CHUNK_MS, "pcm": pcm[at : at + size]}
        await write_message(call, stt_pb2.TranscribeRequest(audio=audio), "stt")
    await write_message(call, stt_pb2.TranscribeRequest(flush=stt_pb2.Flush(segment_id=1)), "stt")
    return time.monotonic()


async def _read_until_final(call: Any) -> tuple[str, tuple[str, ...], float]:
    partials: list[str] = []
    while True:
        event: stt_pb2.TranscribeResponse | None = await read_message(call, "stt", _FINAL_TIMEOUT_S)
        if event is None:
            return "", tuple(partials), time.monotonic()
        if event.HasField("final_transcript"):
            return event.final_transcript.text, tuple(partials), time.monotonic()
        partials.append(event.partial_transcript.text)
