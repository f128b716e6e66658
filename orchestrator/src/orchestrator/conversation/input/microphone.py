"""The microphone: frames of any size in, chunks of 10 to 32 ms on the audio clock out."""

from __future__ import annotations

from service_kit.audio import MICROPHONE, AudioChunk

from orchestrator.conversation.model.audio_clock import AudioClock
from orchestrator.conversation.model.ports import AudioFilter

# A frame passes as it comes, so that nothing waits for company; smaller ones are gathered, larger ones cut.
_LEAST_BYTES = MICROPHONE.bytes_for(10)
_MOST_BYTES = MICROPHONE.bytes_for(32)
# Chunks are whole milliseconds, so that their places on the clock are exact.
_MS_BYTES = MICROPHONE.bytes_for(1)


class Microphone:
    """Places audio on the clock, by way of a hearing audio_filter where there is one.

    What the audio_filter holds back comes late, and to the same place on the clock as without it.
    """

    def __init__(self, clock: AudioClock, audio_filter: AudioFilter | None = None) -> None:
        self._clock = clock
        self._hearing_aid = audio_filter
        self._held_bytes = 0
        self._rest = bytearray()
        self._taken_ms = 0

    def split_chunks(self, pcm: bytes) -> list[AudioChunk]:
        """Take audio, PCM16 mono 16 kHz, of any length; return what is complete."""
        if self._hearing_aid is None:
            return self._place(pcm)
        self._held_bytes += len(pcm)
        cleaned = self._hearing_aid.process(pcm)
        self._held_bytes -= len(cleaned)
        return self._place(cleaned)

    def flush_chunks(self) -> list[AudioChunk]:
        """Complete a begun chunk with silence, and hold nothing back."""
        chunks: list[AudioChunk] = []
        if self._hearing_aid is not None:
            self._held_bytes = 0
            chunks = self._place(self._hearing_aid.flush())
        return chunks + self._place(bytes(_LEAST_BYTES)) if self._rest else chunks

    def _place(self, pcm: bytes) -> list[AudioChunk]:
        chunks: list[AudioChunk] = []
        if not self._rest and _LEAST_BYTES <= len(pcm) <= _MOST_BYTES and len(pcm) % _MS_BYTES == 0:
            chunks.append(self._chunk(pcm))
        else:
            self._rest += pcm
            while (length := len(self._rest)) >= _LEAST_BYTES:
                size = min(length - length % _MS_BYTES, _MOST_BYTES)
                chunks.append(self._chunk(bytes(self._rest[:size])))
                del self._rest[:size]
        if chunks:
            # Held audio has arrived as well: latency counts from there.
            self._clock.advance(self._taken_ms + self._held_bytes // _MS_BYTES)
        return chunks

    def _chunk(self, pcm: bytes) -> AudioChunk:
        chunk = AudioChunk(self._taken_ms, pcm)
        self._taken_ms = chunk.end_ms
        return chunk
