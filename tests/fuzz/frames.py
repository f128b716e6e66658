r"""A case that is a sequence of messages, as lines of text: readable where it was written by hand.

T {"type":"session_start"}      a text frame
X 0a7b                          a text frame in hexadecimal, for one with line breaks
B 0001                          binary: a frame of audio, or a serialised protobuf message
P config { language: "en" }     a protobuf message in protobuf's text format
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.protobuf import text_format
from google.protobuf.message import Message


@dataclass(frozen=True, slots=True)
class TextFrame:
    """A text frame of a WebSocket."""

    text: str


@dataclass(frozen=True, slots=True)
class BinaryFrame:
    """A binary frame of a WebSocket, or a serialised message of a call."""

    data: bytes


Frame = TextFrame | BinaryFrame


def to_case(frames: Iterable[Frame]) -> bytes:
    """Write `frames` as a case."""
    return b"\n".join(map(_to_line, frames))


def _to_line(frame: Frame) -> bytes:
    match frame:
        case BinaryFrame(data):
            return b"B " + data.hex().encode()
        case TextFrame(text):
            encoded = text.encode("utf-8", "replace")
            plain = b"\n" not in encoded and b"\r" not in encoded
            return b"T " + encoded if plain else b"X " + encoded.hex().encode()


def to_frames(case: bytes, message: type[Message] | None = None) -> Iterator[Frame]:
    """Yield the frames of a case; `message` is the type of its protobuf messages. Lines that are none are skipped."""
    for line in case.split(b"\n"):
        kind, content = line[:2], line[2:]
        try:
            match kind:
                case b"T ":
                    yield TextFrame(content.decode("utf-8", "replace"))
                case b"X ":
                    yield TextFrame(bytes.fromhex(content.decode()).decode("utf-8", "replace"))
                case b"B ":
                    yield BinaryFrame(bytes.fromhex(content.decode()))
                case b"P " if message is not None:
                    yield BinaryFrame(_parse(content.decode(), message))
                case _:
                    pass
        except (ValueError, text_format.ParseError):
            continue


def _parse(text: str, message: type[Message]) -> bytes:
    with warnings.catch_warnings():
        # Of odd escapes in strings.
        warnings.simplefilter("ignore", DeprecationWarning)
        return text_format.Parse(text, message()).SerializeToString()
