"""Checks that a file's first bytes match the format of its name. Pickles are rejected, because they can run code."""

from __future__ import annotations

from pathlib import PurePosixPath

from service_kit.errors import EngineFailed

# Number of bytes needed to recognise a format.
HEAD_BYTES = 16
# Maximum header length of the safetensors library.
_MAX_SAFETENSORS_HEADER = 100_000_000
_PICKLE_PROTOCOLS = range(2, 6)


def check_format(path: str, head: bytes) -> None:
    """Raise `EngineFailed` unless `head`, the first bytes of file `path`, match the format of its suffix."""
    if _fits(PurePosixPath(path).suffix, head):
        return
    disguise = _disguise(head)
    reason = f"is {disguise}, which may run code when it is loaded" if disguise else f"begins with {head[:8]!r}"
    raise EngineFailed("models.unsafe", f"{path} does not have the format of its name: it {reason}")


def _disguise(head: bytes) -> str:
    if head[:1] == b"\x80" and len(head) > 1 and head[1] in _PICKLE_PROTOCOLS:
        return "a pickle"
    if head[:4] == b"PK\x03\x04":
        return "a zip archive, the container of torch's pickles"
    return ""


def _fits(suffix: str, head: bytes) -> bool:
    match suffix:
        case ".safetensors":
            length = int.from_bytes(head[:8], "little")
            return 2 <= length <= _MAX_SAFETENSORS_HEADER and head[8:9] == b"{"
        case ".gguf":
            return head[:4] == b"GGUF"
        case ".onnx":
            # A protobuf whose first field is the format version or the producer's name.
            return head[:1] in (b"\x08", b"\x12")
        case ".json":
            return head.lstrip()[:1] in (b"{", b"[")
        case _:
            return False
