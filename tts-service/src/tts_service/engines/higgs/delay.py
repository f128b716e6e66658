"""The delay pattern: codebook k of eight is delayed by k rows. Pure.

A *frame* holds the codes that sound together, a *row* the codes that the model returns in one step.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Codebooks:
    """Number of codebooks, and their control codes."""

    count: int
    bos: int
    eos: int


def apply_delay(frames: Codes, books: Codebooks) -> Codes:
    """Apply the delay pattern to `frames`, shape [n, count]; return the prompt's rows, shape [n + count + 1, count]."""
    whole = np.concatenate([np.full((1, books.count), books.bos), frames, np.full((1, books.count), books.eos)])
    rows = np.full((len(whole) + books.count - 1, books.count), books.eos, np.int64)
    for book in range(books.count):
        rows[:book, book] = books.bos
        rows[book : book + len(whole), book] = whole[:, book]
    return rows


class FrameAssembler:
    """Reassembles frames from the rows after the first, which is all BOS."""

    def __init__(self, books: Codebooks) -> None:
        self._books = books
        self._rows: deque[Codes] = deque(maxlen=books.count)
        self.ended = False

    def push_row(self, row: Codes) -> Codes | None:
        """Add the next row; return the frame that it completes. None before the first frame and after the end."""
        self._rows.append(row)
        if self.ended or len(self._rows) < self._books.count:
            return None
        frame = np.array([row[book] for book, row in enumerate(self._rows)], np.int64)
        if (frame == self._books.eos).any():
            self.ended = True
            return None
        # Control codes cannot be decoded; a trained model returns them only at the edges.
        return np.minimum(frame, self._books.bos - 1)
