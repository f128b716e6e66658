"""The files of prepared passages: the server writes them, and this process vouches for them.

llama.cpp aborts its process on a truncated file, so a file is restored only if a note beside it, written after the save
had succeeded, has the file's size and SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from service_kit.parsing.documents import parse_json

_SUFFIX = ".slot"
_NOTE_SUFFIX = ".json"


def slot_filename(identity: str, system: str) -> str:
    """The name of the file of a prompt prefix, for the model and server of this `identity`."""
    return hashlib.sha256(f"{identity}\n{system}".encode()).hexdigest()[:40] + _SUFFIX


class SlotFiles:
    """A folder of at most `max_bytes`. Its methods block; one thread at a time may call them."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        # Files whose SHA-256 was compared in this run.
        self._verified: set[str] = set()

    def is_prepared(self, filename: str) -> bool:
        """Whether the file is complete; marks it as used. An incomplete or damaged file is removed."""
        path = self._folder / filename
        try:
            note = parse_json(self._note(path).read_text("utf-8"))
            size, sha256 = int(note["size"]), str(note["sha256"])
            complete = path.stat().st_size == size
            if complete and filename not in self._verified:
                complete = _sha256(path) == sha256
        except FileNotFoundError:
            complete = False
        except (OSError, ValueError, KeyError, TypeError):
            complete = False
        if not complete:
            self._remove(path)
            return False
        self._verified.add(filename)
        with suppress(OSError):
            os.utime(path)
        return True

    def record_save(self, filename: str, written: int) -> bool:
        """Write the note of a file that the server saved with `written` bytes; False when it is not all here."""
        path = self._folder / filename
        try:
            if path.stat().st_size != written:
                self._remove(path)
                return False
            note = self._note(path)
            draft = note.with_suffix(".tmp")
            draft.write_text(json.dumps({"size": written, "sha256": _sha256(path)}), "utf-8")
            draft.replace(note)
        except OSError:
            return False
        self._verified.add(filename)
        return True

    def make_room(self, wanted: Collection[str]) -> bool:
        """Make room for one more file, as large as the largest; return whether there is room.

        Removes files that are not `wanted`, the longest unused first; wanted ones only when they exceed the folder's
        size already, as after a change of the setting.
        """
        found: list[tuple[bool, float, int, Path]] = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with suppress(OSError):
                stat = path.stat()
                found.append((path.name in wanted, stat.st_mtime, stat.st_size, path))
        total = sum(size for _, _, size, _ in found)
        limit = self._max_bytes - max((size for _, _, size, _ in found), default=0)
        for is_wanted, _, size, path in sorted(found):
            if total <= (self._max_bytes if is_wanted else limit):
                break
            self._remove(path)
            total -= size
        return total <= limit

    def _remove(self, path: Path) -> None:
        self._verified.discard(path.name)
        for each in (self._note(path), path):
            with suppress(OSError):
                each.unlink(missing_ok=True)

    def _note(self, path: Path) -> Path:
        return path.with_suffix(_NOTE_SUFFIX)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
