"""Synthetic audio that the voice activity measure takes for speech."""

from __future__ import annotations

import numpy as np


def voice(ms: int, amplitude: float = 0.3) -> bytes:
    """A 200 Hz tone that is interrupted three times a second, as loud and as broken as speech; 16 kHz mono PCM16."""
    at = np.arange(ms * 16) / 16_000
    wave = amplitude * np.sin(2 * np.pi * 200 * at) * (np.sin(2 * np.pi * 3 * at) > -0.5)
    return (wave * 32767).astype("<i2").tobytes()
