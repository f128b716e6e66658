"""The frames of the pipe to a worker that speaks phrases. `espeak-worker/README.md` specifies them; no code is shared.

They are those of `service_kit.engines.worker_frames`; the number is that of the job.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import BinaryIO

from service_kit.engines.worker_frames import FRAME_HEADER, WorkerFrame

PROTOCOL = 2
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


def read_frame(pipe: BinaryIO) -> WorkerFrame | None:
    """Read the next frame; None at the end of the pipe, also within a frame. Raises `InvalidFrame`."""
    header = pipe.read(FRAME_HEADER.size)
    if len(header) < FRAME_HEADER.size:
        return None
    kind, job, length = FRAME_HEADER.unpack(header)
    if kind not in set(FrameKind) or length > MAX_PAYLOAD_BYTES:
        raise InvalidFrame(f"kind {kind}, {length} bytes")
    payload = pipe.read(length)
    return WorkerFrame(FrameKind(kind), job, payload) if len(payload) == length else None
