"""Brings the speech of an engine to another rate."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import numpy as np
import soxr

from tts_service.engine import Samples, Speech, Word


async def at_rate(speech: AsyncIterator[Speech], from_hz: int, to_hz: int) -> AsyncGenerator[Speech]:
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
