"""Vectors of texts in one file, searched exactly.

The file is a cache that can be deleted: a magic line, a JSON line (`model`, `dimensions`, `count`), `count` keys of 16
bytes, `count` vectors of little-endian float16, and the SHA-256 of all that. float16 changes a cosine of
the shipped passages by less than 0.0001, and halves the file; search in memory is in float32.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from orchestrator.knowledge.embeddings.frames import DIMENSIONS, Vector

_MAGIC = b"anchor-vectors-1\n"
_KEY_BYTES = 16
_DIGEST_BYTES = 32
# 2000 passages with 20 questions each, at 800 bytes a vector.
_MAX_FILE_BYTES = 64 << 20
_MAX_HEADER_BYTES = 1024
_MAX_ROWS = (_MAX_FILE_BYTES - len(_MAGIC) - _MAX_HEADER_BYTES - _DIGEST_BYTES) // (_KEY_BYTES + 2 * DIMENSIONS)


class VectorsDamaged(Exception):
    """The file is not one that `VectorFile` wrote."""


class VectorStore(Protocol):
    """Vectors by key, and their similarity to another vector."""

    def __contains__(self, key: bytes) -> bool: ...

    def add(self, key: bytes, vector: Vector) -> None:
        """Keep a unit vector."""
        ...

    def retain(self, keys: Collection[bytes]) -> None:
        """Forget all vectors but these."""
        ...

    def similarities(self, vector: Vector, keys: Sequence[bytes]) -> Vector:
        """Return the cosine of `vector` to the vector of each key, in order. Raises `KeyError`."""
        ...


class VectorFile:
    """A `VectorStore` in memory that is loaded from a file and saved to it; `model` names what made the vectors."""

    def __init__(self, path: Path, model: str) -> None:
        self._path = path
        self._model = model
        self._rows: dict[bytes, int] = {}
        self._matrix = np.zeros((0, DIMENSIONS), np.float32)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: bytes) -> bool:
        return key in self._rows

    def add(self, key: bytes, vector: Vector) -> None:
        if key in self._rows:
            return
        row = len(self._rows)
        if row == len(self._matrix):
            grown = np.zeros((max(256, 2 * row), DIMENSIONS), np.float32)
            grown[:row] = self._matrix
            self._matrix = grown
        self._matrix[row] = vector
        self._rows[key] = row

    def retain(self, keys: Collection[bytes]) -> None:
        kept = [key for key in self._rows if key in keys]
        self._matrix = self._matrix[[self._rows[key] for key in kept]]
        self._rows = {key: row for row, key in enumerate(kept)}

    def similarities(self, vector: Vector, keys: Sequence[bytes]) -> Vector:
        return self._matrix[[self._rows[key] for key in keys]] @ vector

    def load(self) -> None:
        """Read the file, blocking; a missing file, or one of another model, leaves the store empty.

        Raises `VectorsDamaged` for anything else that `save` did not write, `OSError` when it cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                content = file.read(_MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return
        body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if not body.startswith(_MAGIC) or hashlib.sha256(body).digest() != digest:
            raise VectorsDamaged(f"{self._path} is damaged")
        # The digest holds, so the file is one that `save` wrote.
        header_end = body.index(b"\n", len(_MAGIC)) + 1
        header = json.loads(body[len(_MAGIC) : header_end])
        if header["model"] != self._model or header["dimensions"] != DIMENSIONS:
            return
        count = header["count"]
        keys_end = header_end + count * _KEY_BYTES
        keys = [body[at : at + _KEY_BYTES] for at in range(header_end, keys_end, _KEY_BYTES)]
        vectors = np.frombuffer(body, "<f2", offset=keys_end).astype(np.float32).reshape(count, DIMENSIONS)
        self._rows = {key: row for row, key in enumerate(keys)}
        self._matrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def snapshot(self) -> bytes:
        """Return the file's content; `write` may then run on another thread.

        Vectors beyond the file's size limit are left out, the latest first; they are made again after the next start.
        """
        count = min(len(self._rows), _MAX_ROWS)
        header = json.dumps({"model": self._model, "dimensions": DIMENSIONS, "count": count}).encode()
        keys, vectors = islice(self._rows, count), self._matrix[:count].astype("<f2")
        body = b"".join((_MAGIC, header, b"\n", *keys, vectors.tobytes()))
        return body + hashlib.sha256(body).digest()

    def write(self, content: bytes) -> None:
        """Replace the file, blocking: a reader sees the old or the new content. Raises `OSError`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
