"""Checks that a file's first bytes match the format of its name, and its tensors those of its model.

Pickles are rejected, because they can run code.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from service_kit.errors import EngineFailed

# Number of bytes needed to recognise a format.
HEAD_BYTES = 16
SAFETENSORS = ".safetensors"
# Maximum header length of the safetensors library.
_MAX_SAFETENSORS_HEADER = 100_000_000
# The format of CTranslate2 4 has the number 6.
_MAX_CTRANSLATE2_VERSION = 99
_MAX_CLASS_NAME = 64
_PICKLE_PROTOCOLS = range(2, 6)


def check_format(path: str, head: bytes) -> None:
    """Raise `EngineFailed` unless `head`, the first bytes of file `path`, match the format of its suffix."""
    if _fits(PurePosixPath(path).suffix, head):
        return
    disguise = _disguise(head)
    reason = f"is {disguise}, which may run code when it is loaded" if disguise else f"begins with {head[:8]!r}"
    raise EngineFailed("models.unsafe", f"{path} does not have the format of its name: it {reason}")


def require_tensor(file: Path, path: str, tensor: str) -> None:
    """Delete a safetensors file, and raise `EngineFailed`, unless it holds `tensor`; `path` is its name."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        head = opened.read(min(length, _MAX_SAFETENSORS_HEADER))
    try:
        tensors: dict[str, object] = json.loads(head)
        names = [name for name in tensors if name != "__metadata__"]
    except (ValueError, TypeError, RecursionError) as error:
        file.unlink()
        raise EngineFailed("models.wrong_weights", f"{path} has no readable list of tensors") from error
    if tensor not in names:
        file.unlink()
        found = ", ".join(sorted(names)[:2]) or "none"
        raise EngineFailed("models.wrong_weights", f"{path} lacks the tensor {tensor}; it has {found}")


def _disguise(head: bytes) -> str:
    if head[:1] == b"\x80" and len(head) > 1 and head[1] in _PICKLE_PROTOCOLS:
        return "a pickle"
    if head[:4] == b"PK\x03\x04":
        return "a zip archive, the container of torch's pickles"
    return ""


def _fits(suffix: str, head: bytes) -> bool:
    match suffix:
        case suffix if suffix == SAFETENSORS:
            length = int.from_bytes(head[:8], "little")
            return 2 <= length <= _MAX_SAFETENSORS_HEADER and head[8:9] == b"{"
        case ".gguf":
            return head[:4] == b"GGUF"
        case ".onnx":
            # A protobuf whose first field is the format version or the producer's name.
            return head[:1] in (b"\x08", b"\x12")
        case ".json":
            return head.lstrip()[:1] in (b"{", b"[")
        case ".bin":
            return _is_ctranslate2(head)
        case ".txt":
            return b"\0" not in head and not _disguise(head)
        case _:
            return False


def _is_ctranslate2(head: bytes) -> bool:
    """Whether a file begins as CTranslate2's weights: version, length of a name, the name of a model class."""
    version, length = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:6], "little")
    name = head[6 : 6 + min(length, HEAD_BYTES - 6)].rstrip(b"\0")
    return 1 <= version <= _MAX_CTRANSLATE2_VERSION and 1 < length <= _MAX_CLASS_NAME and name.isalnum()
