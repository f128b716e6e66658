"""The pipe protocol between the orchestrator and its embedding process: frames of `service_kit`'s worker processes."""

from __future__ import annotations

from enum import IntEnum

from numpy import float32
from numpy.typing import NDArray

# A unit vector, float32.
Vector = NDArray[float32]

# Dimensions of multilingual-e5-small.
DIMENSIONS = 384
# Longer texts are cut: about 500 tokens, the most that the model takes at once, and 0.1 s of work.
MAX_TEXT_CHARS = 2_000


class Kind(IntEnum):
    """The kind of a frame."""

    # From the process, first: it is ready; empty.
    READY = 1
    # From the process, first: it cannot work; the reason as UTF-8. It then exits.
    BROKEN = 2
    # To the process: a question or a text to be found, as UTF-8; answered by VECTOR with the same number.
    QUESTION = 3
    TEXT = 4
    # From the process: the unit vector, `DIMENSIONS` little-endian float32.
    VECTOR = 5
