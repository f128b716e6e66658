"""Turns the phrases' samples into the reply's audio: resampled to 24 kHz, faded at phrase ends, cut into chunks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import numpy as np
import soxr
from numpy.typing import NDArray
from service_kit.audio import SPEECH, to_pcm

from tts_service.engine import Samples, Speech, SpeechAudio, Word

Floats = NDArray[np.float32]

# The first chunk is short to keep the time to first audio low. The cost of a message does not depend on its length, so
# chunks are long while the client has enough left to play.
FIRST_CHUNK_MS = 40
CHUNK_MS = 80
LONG_CHUNK_MS = 240
LONG_CHUNK_AHEAD_MS = 500
FADE_MS = 5

_FIRST_CHUNK_BYTES = SPEECH.bytes_for(FIRST_CHUNK_MS)
_CHUNK_BYTES = SPEECH.bytes_for(CHUNK_MS)
_LONG_CHUNK_BYTES = SPEECH.bytes_for(LONG_CHUNK_MS)
_MS_BYTES = SPEECH.bytes_for(1)


class Fader:
    """Fades each phrase in and out over 5 ms, so that phrases join without a click.

    Holds back the last 5 ms until the phrase ends.
    """

    def __init__(self, rate_hz: int) -> None:
        self._length = rate_hz * FADE_MS // 1000
        self._tail = np.zeros(0, np.float32)
        self._started = False

    def add_samples(self, samples: Floats) -> Floats:
        """Add samples of the phrase; return the samples that are ready."""
        if samples.size == 0:
            return samples
        if not self._started:
            self._started = True
            samples = samples.copy()
            length = min(self._length, samples.size)
            samples[:length] *= np.linspace(0, 1, length, dtype=np.float32)
        samples = np.concatenate((self._tail, samples))
        keep = max(samples.size - self._length, 0)
        self._tail = samples[keep:]
        return samples[:keep]

    def finish_phrase(self) -> Floats:
        """Return the faded-out end of the phrase; the next sample starts a new phrase."""
        tail, self._tail, self._started = self._tail, np.zeros(0, np.float32), False
        return tail * np.linspace(1, 0, tail.size, dtype=np.float32)


class SpeechOutput:
    """The audio of one reply. After `finish_phrase` nothing is buffered, and the next phrase starts at `sent_ms`."""

    def __init__(self, engine_rate_hz: int) -> None:
        self._fader = Fader(engine_rate_hz)
        self._resampler = None
        if engine_rate_hz != SPEECH.rate_hz:
            self._resampler = soxr.ResampleStream(engine_rate_hz, SPEECH.rate_hz, 1, dtype="float32")
        self._pcm = bytearray()
        self._sent_bytes = 0

    @property
    def sent_ms(self) -> int:
        """Length of the audio returned so far; always whole milliseconds."""
        return self._sent_bytes // _MS_BYTES

    def add_samples(self, samples: Floats, ahead_ms: float = 0.0) -> list[SpeechAudio]:
        """Add samples at the engine's rate; return the chunks that are full.

        `ahead_ms` is the audio that the client has left to play.
        """
        samples = self._fader.add_samples(samples)
        self._pcm += to_pcm(samples if self._resampler is None else self._resampler.resample_chunk(samples))
        chunks: list[SpeechAudio] = []
        while len(self._pcm) >= (size := self._chunk_bytes(ahead_ms)):
            chunks.append(self._pop_chunk(size))
        return chunks

    def finish_phrase(self) -> list[SpeechAudio]:
        """Return the rest of the phrase, padded with silence to a whole millisecond."""
        samples = self._fader.finish_phrase()
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=True)
            # The ended stream is reset; phrases start and end in silence, so no sound is lost between them.
            self._resampler.clear()
        self._pcm += to_pcm(samples)
        self._pcm += bytes(-len(self._pcm) % _MS_BYTES)
        chunks: list[SpeechAudio] = []
        while self._pcm:
            chunks.append(self._pop_chunk(min(len(self._pcm), _LONG_CHUNK_BYTES)))
        return chunks

    def _chunk_bytes(self, ahead_ms: float) -> int:
        if not self._sent_bytes:
            return _FIRST_CHUNK_BYTES
        return _LONG_CHUNK_BYTES if ahead_ms >= LONG_CHUNK_AHEAD_MS else _CHUNK_BYTES

    def _pop_chunk(self, size: int) -> SpeechAudio:
        chunk = SpeechAudio(self.sent_ms, bytes(self._pcm[:size]))
        del self._pcm[:size]
        self._sent_bytes += size
        return chunk


async def resample_speech(speech: AsyncIterator[Speech], from_hz: int, to_hz: int) -> AsyncGenerator[Speech]:
    """Resample one phrase to `to_hz`: its samples, and the positions of its words."""
    if from_hz == to_hz:
        async for piece in speech:
            yield piece
        return
    resampler = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")
    async for piece in speech:
        if isinstance(piece, Word):
            yield replace(piece, first_sample=piece.first_sample * to_hz // from_hz)
        elif (samples := resampler.resample_chunk(piece.samples)).size:
            yield Samples(samples)
    if (samples := resampler.resample_chunk(np.zeros(0, np.float32), last=True)).size:
        yield Samples(samples)
