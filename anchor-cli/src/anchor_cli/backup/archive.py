"""The file of a backup: a compressed tar archive with the stored conversations, and the folders that users fill.

An archive is read as hostile until checked: only regular files with plain relative names below a known part are taken,
up to a total size.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
import time
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from service_kit.errors import InvalidRequest
from service_kit.parsing.documents import parse_json

FORMAT = "anchor-backup"
VERSION = 1
MANIFEST = "manifest.json"
STORE = "conversations.jsonl"
# Far beyond any installation; an archive that claims more is not unpacked.
MAX_BYTES = 64 * 2**30
_MAX_MANIFEST_BYTES = 65_536
_BLOCK_BYTES = 1_048_576


def write_archive(target: Path, parts: Mapping[str, Path]) -> None:
    """Write `parts` (name in the archive → file or folder) to `target`, for its owner only; whole, or not at all.

    Raises `InvalidRequest` when `target` exists, `OSError`.
    """
    if target.exists():
        raise InvalidRequest("backup.exists", f"{target} exists; name a new file")
    partial = target.with_name(f"{target.name}.partial")
    manifest = {"format": FORMAT, "version": VERSION, "created_unix_s": round(time.time()), "parts": sorted(parts)}

    def private(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    try:
        with open(partial, "wb", opener=private) as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            text = json.dumps(manifest).encode()
            header = tarfile.TarInfo(MANIFEST)
            header.size = len(text)
            archive.addfile(header, io.BytesIO(text))
            for name, path in parts.items():
                archive.add(path, name, filter=_without_owner)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)


def read_archive(source: Path, folder: Path) -> tuple[str, ...]:
    """Unpack a checked archive into the empty `folder`; returns the names of its parts.

    Raises `InvalidRequest` for a file that is no backup, or a damaged one, `OSError`.
    """
    try:
        _check_sum(source)
        with tarfile.open(source, "r:gz") as archive:
            return _unpack(archive, folder)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
        raise InvalidRequest("backup.damaged", f"{source} is no backup, or is damaged: {error}") from error


def _check_sum(source: Path) -> None:
    """Read all of the archive, so that gzip compares its checksum; tar alone does not read that far."""
    size = 0
    with gzip.open(source) as content:
        while block := content.read(_BLOCK_BYTES):
            size += len(block)
            if size > MAX_BYTES:
                raise ValueError("it is too large")


def _unpack(archive: tarfile.TarFile, folder: Path) -> tuple[str, ...]:
    first = archive.next()
    content = archive.extractfile(first) if first is not None and first.name == MANIFEST else None
    if content is None:
        raise ValueError("it does not begin with a manifest")
    manifest = parse_json(content.read(_MAX_MANIFEST_BYTES))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError("its manifest is of another kind of file")
    if manifest.get("version") != VERSION:
        raise ValueError(f"it is of version {manifest.get('version')!r:.40}; this program reads version {VERSION}")
    parts = manifest.get("parts")
    if not isinstance(parts, list) or not all(isinstance(part, str) and part for part in parts):
        raise ValueError("its manifest names no parts")
    left = MAX_BYTES
    for member in archive:
        if member is first:
            continue
        left -= member.size
        if left < 0:
            raise ValueError("it is too large")
        _unpack_member(archive, member, folder, tuple(parts))
    missing = [part for part in parts if not (folder / part).exists()]
    if missing:
        raise ValueError(f"it lacks {', '.join(repr(part[:40]) for part in missing[:8])}")
    return tuple(parts)


def _unpack_member(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, parts: tuple[str, ...]) -> None:
    path = PurePosixPath(member.name)
    is_below = any(path.is_relative_to(part) for part in parts)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or not is_below:
        raise ValueError(f"it has a file of an unexpected name: {member.name[:200]!r}")
    target = folder / path
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    content = archive.extractfile(member) if member.isreg() else None
    if content is None:
        raise ValueError(f"it has something that is neither a file nor a folder: {member.name[:200]!r}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        shutil.copyfileobj(content, file)


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Files and folders only, with nothing of who made them."""
    if not (member.isreg() or member.isdir()):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
