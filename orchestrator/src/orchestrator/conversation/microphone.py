"""The microphone's queue: frames of any size in, 32 ms chunks on the audio clock out."""

from __future__ import annotations

import asyncio
import logging

from prometheus_client import Counter
from service_kit.audio import MICROPHONE, AudioChunk

from orchestrator.conversation.clock import AudioClock
from orchestrator.conversation.messages import EndTurn

log = logging.getLogger(__name__)

# One Silero frame: what vad-service takes at once.
CHUNK_MS = 32
_CHUNK_BYTES = MICROPHONE.bytes_for(CHUNK_MS)
# 3.2 s: longer than it takes to notice that a peer is gone, so that nothing said meanwhile is lost.
_MAX_CHUNKS = 100

DROPPED = Counter("anchor_microphone_dropped_seconds_total", "Microphone audio dropped because hearing fell behind.")


class Microphone:
    """Audio from the client, in order.

    A live microphone cannot wait: when the queue is full, the oldest chunk is dropped and counted, and the gap shows
    in the chunks' times. An upload can: `hear_waiting` holds it back.
    """

    def __init__(self, clock: AudioClock) -> None:
        self._clock = clock
        self._chunks: asyncio.Queue[AudioChunk | EndTurn] = asyncio.Queue(_MAX_CHUNKS)
        self._rest = bytearray()
        self._chunks_made = 0

    def hear(self, pcm: bytes) -> None:
        """Take live audio: PCM16 mono 16 kHz, any length."""
        for chunk in self._cut(pcm):
            if self._chunks.full():
                self._chunks.get_nowait()
                DROPPED.inc(CHUNK_MS / 1000)
            self._chunks.put_nowait(chunk)

    async def hear_waiting(self, pcm: bytes) -> None:
        """Take audio as fast as it is heard."""
        for chunk in self._cut(pcm):
            await self._chunks.put(chunk)

    async def end_turn(self) -> None:
        """The user's turn ends with what has been taken so far; the last chunk is filled up with silence."""
        if self._rest:
            await self.hear_waiting(bytes(_CHUNK_BYTES - len(self._rest)))
        await self._chunks.put(EndTurn())

    async def next(self) -> AudioChunk | EndTurn:
        """The next chunk, or the mark that the turn ended here."""
        return await self._chunks.get()

    def _cut(self, pcm: bytes) -> list[AudioChunk]:
        self._rest += pcm
        chunks: list[AudioChunk] = []
        end = len(self._rest) - len(self._rest) % _CHUNK_BYTES
        for start in range(0, end, _CHUNK_BYTES):
            chunk = AudioChunk(self._chunks_made * CHUNK_MS, bytes(self._rest[start : start + _CHUNK_BYTES]))
            chunks.append(chunk)
            self._chunks_made += 1
        del self._rest[:end]
        if chunks:
            self._clock.advance(self._chunks_made * CHUNK_MS)
        return chunks
