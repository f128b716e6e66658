"""Makes one reply's audio of its phrases: 24 kHz, without clicks, in chunks of a handy size, each at its place."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import numpy as np
import soxr
from numpy.typing import NDArray
from service_kit.audio import SPEECH, to_pcm

from tts_service.engine import Samples, Speech, SpeechAudio, Word

Floats = NDArray[np.float32]

# The first chunk is short, because someone waits for it. A message costs the same whatever its length, so they are
# long for a listener who has something to hear meanwhile.
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
    """Fades a phrase in and out, so that phrases join in silence; holds the last 5 ms back until the phrase ends."""

    def __init__(self, rate_hz: int) -> None:
        self._length = rate_hz * FADE_MS // 1000
        self._tail = np.zeros(0, np.float32)
        self._started = False

    def add_samples(self, samples: Floats) -> Floats:
        """Take samples of the phrase; return those that may go out."""
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
        """The phrase's end, faded out; the next sample begins a new phrase."""
        held, self._tail, self._started = self._tail, np.zeros(0, np.float32), False
        return held * np.linspace(1, 0, held.size, dtype=np.float32)


class SpeechOutput:
    """The audio of one reply. After each phrase everything is out and `sent_ms` is where the next one begins."""

    def __init__(self, engine_rate_hz: int) -> None:
        self._fader = Fader(engine_rate_hz)
        self._resampler = None
        if engine_rate_hz != SPEECH.rate_hz:
            self._resampler = soxr.ResampleStream(engine_rate_hz, SPEECH.rate_hz, 1, dtype="float32")
        self._pcm = bytearray()
        self._sent_bytes = 0

    @property
    def sent_ms(self) -> int:
        """Length of the audio that has gone out; always whole milliseconds."""
        return self._sent_bytes // _MS_BYTES

    def add_samples(self, samples: Floats, ahead_ms: float = 0.0) -> list[SpeechAudio]:
        """Take samples at the engine's rate; return the chunks that are full.

        The listener has `ahead_ms` to hear before them.
        """
        samples = self._fader.add_samples(samples)
        self._pcm += to_pcm(samples if self._resampler is None else self._resampler.resample_chunk(samples))
        chunks: list[SpeechAudio] = []
        while len(self._pcm) >= (size := self._chunk_bytes(ahead_ms)):
            chunks.append(self._pop_chunk(size))
        return chunks

    def finish_phrase(self) -> list[SpeechAudio]:
        """The rest of the phrase, filled up with silence to a whole millisecond."""
        samples = self._fader.finish_phrase()
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=True)
            # A stream that has ended starts anew; phrases begin and end in silence, so nothing is lost between them.
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
    """One phrase at `to_hz`: its samples, and the places of its words."""
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
