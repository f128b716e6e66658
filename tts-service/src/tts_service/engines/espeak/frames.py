"""The kinds of frames that espeak-worker exchanges. Its README.md is the reference; the two share no code."""

from __future__ import annotations

import struct
from enum import IntEnum

PROTOCOL = 1
# First character, length in characters, first sample.
WORD = struct.Struct("<III")


class Kind(IntEnum):
    """What a frame is for."""

    HELLO = 1
    SPEAK = 2
    CANCEL = 3
    WORD = 4
    AUDIO = 5
    END = 6
    FAILED = 7
