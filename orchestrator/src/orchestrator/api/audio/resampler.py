"""Resamples microphone audio of a client to the 16 kHz of the conversation."""

from __future__ import annotations

import numpy as np
import soxr
from service_kit.audio import MICROPHONE, SAMPLE_BYTES
from service_kit.errors import InvalidRequest

MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 48_000


class MicrophoneResampler:
    """Resamples one gapless stream of PCM16 mono from `rate_hz` (0 means 16000) to 16 kHz.

    The filter delays audio: by 12 ms from 48 kHz, by 29 ms from 8 kHz (measured; soxr's faster settings delay it more,
    except the one that does not filter). 16 kHz input passes unchanged and without delay. Raises `InvalidRequest` for
    a rate out of range.
    """

    def __init__(self, rate_hz: int, max_bytes: int | None = None) -> None:
        self.rate_hz = rate_hz or MICROPHONE.rate_hz
        self._max_bytes = max_bytes
        if not MIN_RATE_HZ <= self.rate_hz <= MAX_RATE_HZ:
            reason = f"sample_rate_hz: must be from {MIN_RATE_HZ} to {MAX_RATE_HZ}"
            raise InvalidRequest("session.bad_sample_rate", reason)
        self._converter = self._new_converter()

    def _new_converter(self) -> soxr.ResampleStream | None:
        if self.rate_hz == MICROPHONE.rate_hz:
            return None
        return soxr.ResampleStream(self.rate_hz, MICROPHONE.rate_hz, 1, dtype="int16")

    def resample(self, pcm: bytes) -> bytes:
        """Return the 16 kHz samples that are ready, perhaps none. Raises `InvalidRequest` for half a sample."""
        if len(pcm) % SAMPLE_BYTES:
            raise InvalidRequest("session.bad_audio", f"{len(pcm)} bytes are not a whole number of 16-bit samples")
        if self._max_bytes is not None and len(pcm) > self._max_bytes:
            reason = f"{len(pcm)} bytes of audio in one message; the maximum is {self._max_bytes}"
            raise InvalidRequest("session.bad_audio", reason)
        if self._converter is None:
            return pcm
        return self._converter.resample_chunk(np.frombuffer(pcm, dtype="<i2")).tobytes()

    def flush(self) -> bytes:
        """Return the samples still in the filter; the next input starts a new stream."""
        if self._converter is None:
            return b""
        remainder = self._converter.resample_chunk(np.empty(0, dtype=np.int16), last=True).tobytes()
        self._converter = self._new_converter()
        return remainder
