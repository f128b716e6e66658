"""The delay pattern: of eight codebooks, the k-th speaks k rows late. Pure.

A *frame* is the codes that sound together, a *row* those that the model gives in one step.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Codebooks:
    """How many codebooks there are, and the codes in them that stand for no sound."""

    count: int
    bos: int
    eos: int


def apply_delay(frames: Codes, books: Codebooks) -> Codes:
    """Rows, shape [n + count + 1, count], of whole `frames`, shape [n, count], as they stand in a prompt."""
    whole = np.concatenate([np.full((1, books.count), books.bos), frames, np.full((1, books.count), books.eos)])
    rows = np.full((len(whole) + books.count - 1, books.count), books.eos, np.int64)
    for book in range(books.count):
        rows[:book, book] = books.bos
        rows[book : book + len(whole), book] = whole[:, book]
    return rows


class FrameAssembler:
    """Puts frames together from the rows that follow the first, which is all BOS."""

    def __init__(self, books: Codebooks) -> None:
        self._books = books
        self._rows: deque[Codes] = deque(maxlen=books.count)
        self.ended = False

    def push_row(self, row: Codes) -> Codes | None:
        """Take the next row; return the frame that it completes, None before the first and from the end on."""
        self._rows.append(row)
        if self.ended or len(self._rows) < self._books.count:
            return None
        frame = np.array([row[book] for book, row in enumerate(self._rows)], np.int64)
        if (frame == self._books.eos).any():
            self.ended = True
            return None
        # What stands for no sound cannot be decoded; a trained model gives it only at the edges.
        return np.minimum(frame, self._books.bos - 1)
