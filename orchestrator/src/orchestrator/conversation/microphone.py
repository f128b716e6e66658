"""The microphone's queue: frames of any size in, chunks of 10 to 32 ms on the audio clock out."""

from __future__ import annotations

import asyncio
import logging

from prometheus_client import Counter
from service_kit.audio import MICROPHONE, AudioChunk

from orchestrator.conversation.clock import AudioClock
from orchestrator.conversation.messages import EndTurn

log = logging.getLogger(__name__)

# A frame passes as it comes, so that nothing waits for company; smaller ones are gathered, larger ones cut.
_LEAST_BYTES = MICROPHONE.bytes_for(10)
_MOST_BYTES = MICROPHONE.bytes_for(32)
# Chunks are whole milliseconds, so that their places on the clock are exact.
_MS_BYTES = MICROPHONE.bytes_for(1)
# 3.2 s of 20 ms frames: longer than it takes to notice that a peer is gone, so that nothing said meanwhile is lost.
_MAX_CHUNKS = 160

DROPPED = Counter("anchor_microphone_dropped_chunks_total", "Microphone audio dropped because hearing fell behind.")


class Microphone:
    """Audio from the client, in order.

    A live microphone cannot wait: when the queue is full, the oldest chunk is dropped and counted, and the gap shows
    in the chunks' times. An upload can: `hear_waiting` holds it back.
    """

    def __init__(self, clock: AudioClock) -> None:
        self._clock = clock
        self._chunks: asyncio.Queue[AudioChunk | EndTurn] = asyncio.Queue(_MAX_CHUNKS)
        self._rest = bytearray()
        self._taken_ms = 0

    def hear(self, pcm: bytes) -> None:
        """Take live audio: PCM16 mono 16 kHz, any length."""
        for chunk in self._cut(pcm):
            if self._chunks.full():
                self._chunks.get_nowait()
                DROPPED.inc()
            self._chunks.put_nowait(chunk)

    async def hear_waiting(self, pcm: bytes) -> None:
        """Take audio as fast as it is heard."""
        for chunk in self._cut(pcm):
            await self._chunks.put(chunk)

    async def end_turn(self) -> None:
        """The user's turn ends with what has been taken so far; a begun chunk is filled up with silence."""
        if self._rest:
            await self.hear_waiting(bytes(_LEAST_BYTES))
        await self._chunks.put(EndTurn())

    async def next(self) -> AudioChunk | EndTurn:
        """The next chunk, or the mark that the turn ended here."""
        return await self._chunks.get()

    def _cut(self, pcm: bytes) -> list[AudioChunk]:
        self._rest += pcm
        chunks: list[AudioChunk] = []
        while len(self._rest) >= _LEAST_BYTES:
            size = min(len(self._rest) // _MS_BYTES * _MS_BYTES, _MOST_BYTES)
            chunks.append(AudioChunk(self._taken_ms, bytes(self._rest[:size])))
            del self._rest[:size]
            self._taken_ms += size // _MS_BYTES
        if chunks:
            self._clock.advance(self._taken_ms)
        return chunks
