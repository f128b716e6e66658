"""The pipe protocol between the service and a decoder process: frames of a header and a payload."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """The kind of a frame."""

    # To the process: opens a stream; the payload is one byte, 1 if partials are wanted.
    OPEN = 1
    # To the process: PCM of the stream's utterance; answered by DECODED.
    AUDIO = 2
    # To the process: ends the utterance; answered by UTTERANCE.
    END = 3
    # To the process: closes the stream; not answered.
    CLOSE = 4
    # From the process: it is ready.
    READY = 5
    # From the process: one AUDIO frame was decoded; the payload is a new partial text, or empty.
    DECODED = 6
    # From the process: the score of a whole utterance, then its text.
    UTTERANCE = 7


# Kind, stream number, payload size in bytes.
HEADER = struct.Struct("<BII")
# The score at the start of an UTTERANCE's payload.
SCORE = struct.Struct("<d")


@dataclass(frozen=True, slots=True)
class Frame:
    """One message; `stream` is 0 for a frame that concerns no stream."""

    kind: Kind
    stream: int = 0
    payload: bytes = b""

    def packed(self) -> bytes:
        """Return the frame as bytes for the pipe."""
        return HEADER.pack(self.kind, self.stream, len(self.payload)) + self.payload
