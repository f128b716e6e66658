"""PCM arithmetic: milliseconds, samples and bytes, and WAV files."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

# One signed 16-bit sample.
SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Mono signed 16-bit little endian PCM at one rate."""

    rate_hz: int

    def bytes_for(self, ms: float) -> int:
        """Return the bytes of `ms` milliseconds, rounded down to whole samples."""
        return int(ms * self.rate_hz / 1000) * SAMPLE_BYTES

    def ms_of(self, byte_count: int) -> float:
        """Return the duration of `byte_count` bytes in milliseconds."""
        return byte_count / SAMPLE_BYTES * 1000 / self.rate_hz


# Microphone audio, in every service.
MICROPHONE = AudioFormat(16_000)
# Reply audio: every engine's output is resampled to it.
SPEECH = AudioFormat(24_000)


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A run of microphone samples, `start_ms` on the audio clock; 16 kHz mono PCM16."""

    start_ms: int
    pcm: bytes

    @property
    def end_ms(self) -> int:
        """End of the chunk on the audio clock, in milliseconds."""
        return self.start_ms + round(MICROPHONE.ms_of(len(self.pcm)))


def joined(chunks: Sequence[AudioChunk]) -> list[AudioChunk]:
    """Merge adjacent chunks; a gap between two chunks stays a gap."""
    if len(chunks) == 1:
        return list(chunks)
    runs: list[list[AudioChunk]] = []
    for chunk in chunks:
        if runs and runs[-1][-1].end_ms == chunk.start_ms:
            runs[-1].append(chunk)
        else:
            runs.append([chunk])
    return [
        run[0] if len(run) == 1 else AudioChunk(run[0].start_ms, b"".join(part.pcm for part in run)) for run in runs
    ]


def to_wav(pcm: bytes, audio_format: AudioFormat) -> bytes:
    """Return `pcm` as a WAV file."""
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(SAMPLE_BYTES)
        writer.setframerate(audio_format.rate_hz)
        writer.writeframes(pcm)
    return file.getvalue()


def to_float(pcm: bytes) -> NDArray[np.float32]:
    """Return the samples of `pcm` as float32 in [-1, 1), shape [n]."""
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32768.0


def to_pcm(samples: NDArray[np.float32]) -> bytes:
    """Return float samples, shape [n], as PCM16; values outside [-1, 1) are clipped."""
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2").tobytes()
