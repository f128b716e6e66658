"""The pipe protocol between the service and a decoder process. A frame's number is that of a stream, 0 for none."""

from __future__ import annotations

import struct
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


# The score at the start of an UTTERANCE's payload.
SCORE = struct.Struct("<d")
