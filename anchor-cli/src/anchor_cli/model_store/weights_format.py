"""Whether the first bytes of a file are those of the format its name promises; pickles run code, and are refused."""

from __future__ import annotations

from pathlib import PurePosixPath

from service_kit.errors import EngineFailed

# So many bytes tell.
HEAD_BYTES = 16
# The longest header a safetensors file may have, by its own library.
_MAX_SAFETENSORS_HEADER = 100_000_000
_PICKLE_PROTOCOLS = range(2, 6)


def check_format(path: str, head: bytes) -> None:
    """Raise `EngineFailed` unless `head`, the first bytes of the file named `path`, fit its name."""
    if _fits(PurePosixPath(path).suffix, head):
        return
    disguise = _disguise(head)
    reason = f"is {disguise}, which may run code when it is loaded" if disguise else f"begins with {head[:8]!r}"
    raise EngineFailed("models.unsafe", f"{path} does not begin as such a file does: it {reason}")


def _disguise(head: bytes) -> str:
    if head[:1] == b"\x80" and len(head) > 1 and head[1] in _PICKLE_PROTOCOLS:
        return "a pickle"
    if head[:4] == b"PK\x03\x04":
        return "a zip archive, as torch's pickles are"
    return ""


def _fits(suffix: str, head: bytes) -> bool:
    match suffix:
        case ".safetensors":
            length = int.from_bytes(head[:8], "little")
            return 2 <= length <= _MAX_SAFETENSORS_HEADER and head[8:9] == b"{"
        case ".gguf":
            return head[:4] == b"GGUF"
        case ".onnx":
            # A protobuf whose first field is the version of the format, or the producer's name.
            return head[:1] in (b"\x08", b"\x12")
        case ".json":
            return head.lstrip()[:1] in (b"{", b"[")
        case _:
            return False
