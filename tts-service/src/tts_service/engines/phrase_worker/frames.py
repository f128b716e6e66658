"""The frames of the pipe to a worker that speaks phrases. `espeak-worker/README.md` specifies them; no code is shared.

A frame is a header (kind, job, length of the payload; little endian) and the payload.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

PROTOCOL = 2
HEADER = struct.Struct("<BII")
# First character, length in characters, first sample.
WORD = struct.Struct("<III")
MAX_PAYLOAD_BYTES = 1 << 20


class FrameKind(IntEnum):
    """The kinds of frames."""

    HELLO = 1
    SPEAK = 2
    CANCEL = 3
    WORD = 4
    AUDIO = 5
    END = 6
    FAILED = 7
    # Of espeak-worker only.
    PHONEMIZE = 8
    PHONEMES = 9


class InvalidFrame(Exception):
    """The bytes on the pipe are not a frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, as the worker reads and writes it."""

    kind: FrameKind
    job: int = 0
    payload: bytes = b""

    def encode(self) -> bytes:
        """Return the frame as bytes."""
        return HEADER.pack(self.kind, self.job, len(self.payload)) + self.payload


def read_frame(pipe: BinaryIO) -> Frame | None:
    """Read the next frame; None at the end of the pipe, also within a frame. Raises `InvalidFrame`."""
    header = pipe.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    kind, job, length = HEADER.unpack(header)
    if kind not in set(FrameKind) or length > MAX_PAYLOAD_BYTES:
        raise InvalidFrame(f"kind {kind}, {length} bytes")
    payload = pipe.read(length)
    return Frame(FrameKind(kind), job, payload) if len(payload) == length else None
