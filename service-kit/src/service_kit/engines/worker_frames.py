"""The frames that a service and its worker process exchange; importing this loads little, so that workers can.

A frame is a header of 9 bytes (kind, number, length of the payload; little endian) and the payload. What kinds and
numbers mean is the engine's own.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# Kind, number, payload size in bytes.
FRAME_HEADER = struct.Struct("<BII")


@dataclass(frozen=True, slots=True)
class WorkerFrame:
    """One message to or from a worker process; `number` names the piece of work, 0 for none."""

    kind: int
    number: int = 0
    payload: bytes = b""

    def encode(self) -> bytes:
        """Return the frame as bytes."""
        return FRAME_HEADER.pack(self.kind, self.number, len(self.payload)) + self.payload
