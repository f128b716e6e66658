"""What the service and a decoder process say to each other over a pipe: frames of one header and a payload."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """What a frame is for."""

    # To the process. A stream begins; its payload is one byte: whether partials are wanted.
    OPEN = 1
    # PCM of the stream's utterance; answered by HEARD.
    AUDIO = 2
    # The utterance is over; answered by UTTERANCE.
    END = 3
    # The stream is over; not answered.
    CLOSE = 4
    # From the process: it can work.
    READY = 5
    # The audio of one AUDIO frame was decoded; the payload is a new partial text, or empty when there is none.
    HEARD = 6
    # A whole utterance: its score, then its text.
    UTTERANCE = 7


# Kind, number of the stream, bytes of payload.
HEADER = struct.Struct("<BII")
# The score at the head of an UTTERANCE's payload.
SCORE = struct.Struct("<d")


@dataclass(frozen=True, slots=True)
class Frame:
    """One message; `stream` is 0 where it concerns none."""

    kind: Kind
    stream: int = 0
    payload: bytes = b""

    def packed(self) -> bytes:
        """The frame as it goes over the pipe."""
        return HEADER.pack(self.kind, self.stream, len(self.payload)) + self.payload
