"""The microphone: frames of any size in, chunks of 10 to 32 ms on the audio clock out."""

from __future__ import annotations

from service_kit.audio import MICROPHONE, AudioChunk

from orchestrator.conversation.clock import AudioClock

# A frame passes as it comes, so that nothing waits for company; smaller ones are gathered, larger ones cut.
_LEAST_BYTES = MICROPHONE.bytes_for(10)
_MOST_BYTES = MICROPHONE.bytes_for(32)
# Chunks are whole milliseconds, so that their places on the clock are exact.
_MS_BYTES = MICROPHONE.bytes_for(1)


class Microphone:
    """Places audio on the clock."""

    def __init__(self, clock: AudioClock) -> None:
        self._clock = clock
        self._rest = bytearray()
        self._taken_ms = 0

    def cut(self, pcm: bytes) -> list[AudioChunk]:
        """Take audio, PCM16 mono 16 kHz, of any length; return what is complete."""
        self._rest += pcm
        chunks: list[AudioChunk] = []
        while (length := len(self._rest)) >= _LEAST_BYTES:
            size = min(length - length % _MS_BYTES, _MOST_BYTES)
            chunks.append(AudioChunk(self._taken_ms, bytes(self._rest[:size])))
            del self._rest[:size]
            self._taken_ms += size // _MS_BYTES
        if chunks:
            self._clock.advance(self._taken_ms)
        return chunks

    def fill(self) -> list[AudioChunk]:
        """Complete a begun chunk with silence."""
        return self.cut(bytes(_LEAST_BYTES)) if self._rest else []
