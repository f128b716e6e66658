"""The frames on the pipe, as README.md describes them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

PROTOCOL = 1
MAX_PAYLOAD_BYTES = 1 << 20
_HEADER = struct.Struct("<BII")
_WORD = struct.Struct("<III")


class Kind(IntEnum):
    """What a frame says."""

    HELLO = 1
    SPEAK = 2
    CANCEL = 3
    WORD = 4
    AUDIO = 5
    END = 6
    FAILED = 7


class BrokenPipeProtocol(Exception):
    """The bytes on the pipe are no frames."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    kind: Kind
    job: int
    payload: bytes = b""

    def encode(self) -> bytes:
        """The frame as it travels."""
        return _HEADER.pack(self.kind, self.job, len(self.payload)) + self.payload


def word_frame(job: int, first_char: int, chars: int, first_sample: int) -> Frame:
    """Says that `chars` characters from `first_char` begin to sound at `first_sample`."""
    return Frame(Kind.WORD, job, _WORD.pack(first_char, chars, first_sample))


def read_frame(pipe: BinaryIO) -> Frame | None:
    """The next frame; None when the pipe has ended, also in the midst of a frame.

    Raises `BrokenPipeProtocol` for an unknown kind or a payload that is too long.
    """
    header = pipe.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    kind, job, length = _HEADER.unpack(header)
    if kind not in set(Kind) or length > MAX_PAYLOAD_BYTES:
        raise BrokenPipeProtocol(f"kind {kind}, {length} bytes")
    payload = pipe.read(length)
    return Frame(Kind(kind), job, payload) if len(payload) == length else None
