"""The frames of the pipe, as README.md specifies them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

PROTOCOL = 2
MAX_PAYLOAD_BYTES = 1 << 20
_HEADER = struct.Struct("<BII")
_WORD = struct.Struct("<III")


class Kind(IntEnum):
    """Type of a frame."""

    HELLO = 1
    SPEAK = 2
    CANCEL = 3
    WORD = 4
    AUDIO = 5
    END = 6
    FAILED = 7
    PHONEMIZE = 8
    PHONEMES = 9


class InvalidFrame(Exception):
    """The bytes on the pipe are not a valid frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    kind: Kind
    job: int
    payload: bytes = b""

    def encode(self) -> bytes:
        """Encode the frame: header, then payload."""
        return _HEADER.pack(self.kind, self.job, len(self.payload)) + self.payload


def word_frame(job: int, first_char: int, chars: int, first_sample: int) -> Frame:
    """A WORD frame: `chars` characters from `first_char` are spoken from `first_sample` on."""
    return Frame(Kind.WORD, job, _WORD.pack(first_char, chars, first_sample))


def read_frame(pipe: BinaryIO) -> Frame | None:
    """Read the next frame; None at the end of the pipe, also in the middle of a frame.

    Raises `InvalidFrame` for an unknown kind or a payload that is too long.
    """
    header = pipe.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    kind, job, length = _HEADER.unpack(header)
    if kind not in set(Kind) or length > MAX_PAYLOAD_BYTES:
        raise InvalidFrame(f"kind {kind}, {length} bytes")
    payload = pipe.read(length)
    return Frame(Kind(kind), job, payload) if len(payload) == length else None
