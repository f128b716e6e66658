"""Reads and writes audio files, and finds the end of speech in a clip."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from service_kit.audio import MICROPHONE, SAMPLE_BYTES, SPEECH, to_float, to_pcm
from service_kit.errors import InvalidRequest

# Maximum length of a clip, in seconds.
MAX_CLIP_S = 600
WINDOW_MS = 10
# Windows this many decibels below the loudest one count as silence.
VOICED_RANGE_DB = 35.0


def load_clip(path: Path) -> bytes:
    """Read `path` (any format of libsndfile: WAV, FLAC, OGG …) as microphone audio: PCM16 mono 16 kHz.

    Raises `InvalidRequest` when the file is missing, not audio, empty or too long.
    """
    if not path.is_file():
        raise InvalidRequest("sound.unreadable", f"there is no file {path}")
    try:
        with soundfile.SoundFile(path) as file:
            rate_hz = int(file.samplerate)
            if file.frames > MAX_CLIP_S * rate_hz:
                raise InvalidRequest("sound.too_long", f"{path} is longer than {MAX_CLIP_S} s")
            samples = cast("NDArray[np.float32]", file.read(dtype="float32", always_2d=True))
    except (soundfile.LibsndfileError, OSError) as error:
        raise InvalidRequest("sound.unreadable", f"cannot read {path} as audio: {error}") from error
    if not len(samples):
        raise InvalidRequest("sound.empty", f"{path} contains no audio")
    mono = samples.mean(axis=1, dtype=np.float32)
    return to_pcm(soxr.resample(mono, rate_hz, MICROPHONE.rate_hz))


def save_speech(path: Path, pcm: bytes) -> None:
    """Write the anchor's speech (PCM16 mono 24 kHz) as a WAV file."""
    soundfile.write(path, np.frombuffer(pcm, dtype="<i2"), SPEECH.rate_hz, subtype="PCM_16", format="WAV")


def voiced_end_bytes(pcm: bytes) -> int:
    """Byte offset of the end of speech in microphone audio (end of the last voiced window); 0 for silence."""
    size = MICROPHONE.bytes_for(WINDOW_MS) // SAMPLE_BYTES
    samples = to_float(pcm)
    windows = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
    energy = np.square(windows).mean(axis=1)
    if not energy.any():
        return 0
    voiced = np.flatnonzero(energy > energy.max() * 10 ** (-VOICED_RANGE_DB / 10))
    return min((int(voiced[-1]) + 1) * size * SAMPLE_BYTES, len(pcm))
