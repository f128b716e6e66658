"""Sound files in and out, and where in a clip somebody speaks."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from service_kit.audio import MICROPHONE, SAMPLE_BYTES, SPEECH, to_float, to_pcm
from service_kit.errors import InvalidRequest

# Longest clip taken, in seconds.
LONGEST_S = 600
WINDOW_MS = 10
# A window this far below the loudest one is no longer voice, in decibels.
VOICED_RANGE_DB = 35.0


def load_clip(path: Path) -> bytes:
    """The sound in `path` (WAV, FLAC, OGG and what else libsndfile reads) as microphone PCM: 16 kHz mono.

    Raises `InvalidRequest` when there is no such file, it is no sound, it is empty, or it is too long.
    """
    if not path.is_file():
        raise InvalidRequest("sound.unreadable", f"there is no file {path}")
    try:
        with soundfile.SoundFile(path) as file:
            rate_hz = int(file.samplerate)
            if file.frames > LONGEST_S * rate_hz:
                raise InvalidRequest("sound.too_long", f"{path} is longer than {LONGEST_S} s")
            samples = cast("NDArray[np.float32]", file.read(dtype="float32", always_2d=True))
    except (soundfile.LibsndfileError, OSError) as error:
        raise InvalidRequest("sound.unreadable", f"cannot read {path} as sound: {error}") from error
    if not len(samples):
        raise InvalidRequest("sound.empty", f"{path} holds no sound")
    mono = samples.mean(axis=1, dtype=np.float32)
    return to_pcm(soxr.resample(mono, rate_hz, MICROPHONE.rate_hz))


def save_speech(path: Path, pcm: bytes) -> None:
    """Write the anchor's speech (PCM16 mono 24 kHz) as a WAV file."""
    soundfile.write(path, np.frombuffer(pcm, dtype="<i2"), SPEECH.rate_hz, subtype="PCM_16", format="WAV")


def voiced_end_bytes(pcm: bytes) -> int:
    """Where in microphone PCM the voice ends: bytes up to the end of the last voiced window; 0 for silence."""
    size = MICROPHONE.bytes_for(WINDOW_MS) // SAMPLE_BYTES
    samples = to_float(pcm)
    windows = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
    energy = np.square(windows).mean(axis=1)
    if not energy.any():
        return 0
    voiced = np.flatnonzero(energy > energy.max() * 10 ** (-VOICED_RANGE_DB / 10))
    return min((int(voiced[-1]) + 1) * size * SAMPLE_BYTES, len(pcm))
