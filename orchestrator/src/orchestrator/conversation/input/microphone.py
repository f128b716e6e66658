"""The microphone: frames of any size in, chunks of 10 to 32 ms on the audio clock out."""

from __future__ import annotations

from service_kit.audio import MICROPHONE, AudioChunk

from orchestrator.conversation.model.audio_clock import AudioClock
from orchestrator.conversation.model.ports import AudioFilter

# A frame of this size passes unchanged, without delay; smaller frames are joined, larger ones split.
_MIN_CHUNK_BYTES = MICROPHONE.bytes_for(10)
_MAX_CHUNK_BYTES = MICROPHONE.bytes_for(32)
# Chunks are whole milliseconds, so that their times on the audio clock are exact.
_MS_BYTES = MICROPHONE.bytes_for(1)


class Microphone:
    """Splits audio into chunks and advances the audio clock; `audio_filter`, if any, processes the audio first.

    The filter's delay does not shift the audio clock: each sample has the same time as without a filter.
    """

    def __init__(self, clock: AudioClock, audio_filter: AudioFilter | None = None) -> None:
        self._clock = clock
        self._audio_filter = audio_filter
        self._filter_delay_bytes = 0
        self._remainder = bytearray()
        self._position_ms = 0

    def split_chunks(self, pcm: bytes) -> list[AudioChunk]:
        """Accept audio (PCM16 mono 16 kHz) of any length; return the complete chunks."""
        if self._audio_filter is None:
            return self._split(pcm)
        self._filter_delay_bytes += len(pcm)
        filtered = self._audio_filter.process(pcm)
        self._filter_delay_bytes -= len(filtered)
        return self._split(filtered)

    def flush_chunks(self) -> list[AudioChunk]:
        """Flush the filter, and complete the last chunk with silence."""
        chunks: list[AudioChunk] = []
        if self._audio_filter is not None:
            self._filter_delay_bytes = 0
            chunks = self._split(self._audio_filter.flush())
        return chunks + self._split(bytes(_MIN_CHUNK_BYTES)) if self._remainder else chunks

    def _split(self, pcm: bytes) -> list[AudioChunk]:
        chunks: list[AudioChunk] = []
        if not self._remainder and _MIN_CHUNK_BYTES <= len(pcm) <= _MAX_CHUNK_BYTES and len(pcm) % _MS_BYTES == 0:
            chunks.append(self._chunk(pcm))
        else:
            self._remainder += pcm
            while (length := len(self._remainder)) >= _MIN_CHUNK_BYTES:
                size = min(length - length % _MS_BYTES, _MAX_CHUNK_BYTES)
                chunks.append(self._chunk(bytes(self._remainder[:size])))
                del self._remainder[:size]
        if chunks:
            # Audio inside the filter has arrived as well: latency counts from there.
            self._clock.advance(self._position_ms + self._filter_delay_bytes // _MS_BYTES)
        return chunks

    def _chunk(self, pcm: bytes) -> AudioChunk:
        chunk = AudioChunk(self._position_ms, pcm)
        self._position_ms = chunk.end_ms
        return chunk
