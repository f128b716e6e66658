"""Decisions of a generator, taken from bytes: Hypothesis draws the bytes, and makes them smaller after a failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

OptionT = TypeVar("OptionT")


class Choices:
    """Draws from `data`, and zeros after its end. Zero is the simplest choice: less data is less of a case."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, limit: int) -> int:
        """Return a number from 0 to `limit` - 1."""
        size = 1 if limit <= 256 else 2 if limit <= 65_536 else 4
        return int.from_bytes(self.raw(size), "big") % limit

    def one_of(self, options: Sequence[OptionT]) -> OptionT:
        """Return one of `options`; the first is the simplest."""
        return options[self.below(len(options))]

    def chance(self, one_in: int) -> bool:
        """Return True in one of `one_in` cases."""
        return self.below(one_in) == one_in - 1

    def raw(self, size: int) -> bytes:
        """Return `size` bytes."""
        piece = self._data[self._at : self._at + size]
        self._at += size
        return piece.ljust(size, b"\0")
