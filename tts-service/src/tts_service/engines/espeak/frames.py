"""The frames of the pipe to espeak-worker, as its README.md specifies them; no code is shared with the worker."""

from __future__ import annotations

import asyncio
import struct
from enum import IntEnum

from service_kit.errors import EngineFailed

PROTOCOL = 1
HEADER = struct.Struct("<BII")
WORD = struct.Struct("<III")
MAX_PAYLOAD_BYTES = 1 << 20


class Kind(IntEnum):
    """Type of a frame."""

    HELLO = 1
    SPEAK = 2
    CANCEL = 3
    WORD = 4
    AUDIO = 5
    END = 6
    FAILED = 7


def encode(kind: Kind, job: int, payload: bytes = b"") -> bytes:
    """Encode a frame: header, then payload."""
    return HEADER.pack(kind, job, len(payload)) + payload


async def read_frame(pipe: asyncio.StreamReader) -> tuple[Kind, int, bytes]:
    """Read the next frame: its kind, job and payload.

    Raises `asyncio.IncompleteReadError` at the end of the pipe, `EngineFailed` for an invalid frame.
    """
    kind, job, length = HEADER.unpack(await pipe.readexactly(HEADER.size))
    if kind not in set(Kind) or length > MAX_PAYLOAD_BYTES:
        raise EngineFailed("tts.worker_garbled", f"the worker sent kind {kind} with {length} bytes")
    return Kind(kind), job, await pipe.readexactly(length)
