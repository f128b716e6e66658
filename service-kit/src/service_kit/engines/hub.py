"""Models that are files of a hub repository at one revision: their list and their verification.

An entry of `models.lock` with `kind = "hub"` names the repository, its revision, and each file with size and SHA-256.
A hash may be empty while it is unknown. Such a file is not used until a person trusts its first download: then its hash
is in the local trust list, beside the files. An entry may also have no files. The files that the hub lists are then in
the trust list too, each without a hash until its download.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from service_kit.anchor_command import anchor_command
from service_kit.engines.model_lock import entries_of, malformed
from service_kit.engines.models import verify
from service_kit.errors import EngineFailed

# Weight formats without executable code, and their configuration.
SUFFIXES = frozenset({".safetensors", ".gguf", ".onnx", ".json"})
# The trust list, in the models folder; never part of the project.
TRUSTED = "trusted.lock"
# A branch, whose commit changes; only files that are trusted on first use may come from it.
MOVING = "main"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PATH = re.compile(r"[\w./-]+")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository; `sha256` is empty and `size_bytes` 0 while they are unknown."""

    path: str
    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts or str(path) != self.path or not _PATH.fullmatch(self.path):
            raise ValueError(f"path {self.path!r} must be inside its repository")
        if path.suffix not in SUFFIXES:
            raise ValueError(
                f"{self.path!r} must end in one of {', '.join(sorted(SUFFIXES))}: other files may contain code"
            )
        if self.sha256 and not (_SHA256.fullmatch(self.sha256) and self.size_bytes > 0):
            raise ValueError(f"{self.path!r} must have a SHA-256 and a size, or neither")


@dataclass(frozen=True, slots=True)
class TrustedFile:
    """A file that is trusted since its first download; `commit` is its revision, empty when unknown."""

    file: HubFile
    commit: str


@dataclass(frozen=True, slots=True)
class HubModel:
    """One entry of kind `hub`: a folder of files, empty while they are unknown; `profiles` use it.

    The files lie in `subfolder` of the repository, empty for its top folder. No file may be larger than `max_bytes`, 0
    for no limit, and the weights must hold the tensor `has_tensor`, if it is named: repositories have been found with
    another model's weights. `alternatives` are models of the same content from other repositories.
    """

    name: str
    repository: str
    revision: str
    licence: str
    files: tuple[HubFile, ...]
    profiles: tuple[str, ...] = ()
    subfolder: str = ""
    max_bytes: int = 0
    has_tensor: str = ""
    alternatives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.subfolder and not _NAME.fullmatch(self.subfolder.replace("_", "-")):
            raise ValueError(f"{self.subfolder!r} of {self.name} is not a folder of a repository")
        if not _NAME.fullmatch(self.name) or not _REPOSITORY.fullmatch(self.repository):
            raise ValueError(f"{self.name!r} of {self.repository!r} is not a model name and a repository")
        if self.revision != MOVING and not _COMMIT.fullmatch(self.revision):
            raise ValueError(f"revision {self.revision!r} of {self.name} must be a commit's 40 digits")
        if not self.files and self.revision != MOVING:
            raise ValueError(f"{self.name} has no files")

    @property
    def unknown(self) -> list[str]:
        """The files without a known hash; the name of the model when its files are unknown."""
        if not self.files:
            return [self.name]
        return [f"{self.name}/{file.path}" for file in self.files if not file.sha256]

    @property
    def pull_command(self) -> str:
        """The command that downloads it."""
        return anchor_command(f"pull {self.name}")

    def path_of(self, file: HubFile, folder: Path) -> Path:
        """Return the path of `file` below the models folder."""
        return folder / self.name / file.path

    def path_in_repository(self, file: HubFile) -> str:
        """Return the path of `file` in the repository."""
        return f"{self.subfolder}/{file.path}" if self.subfolder else file.path


def read_hub_models(lock: Path, folder: Path) -> dict[str, HubModel]:
    """Return the entries of kind `hub` by name, completed from the trust list of the models folder."""
    trusted = read_trusted(folder)
    try:
        models = [_hub_model(entry) for entry in entries_of(lock, "hub")]
    except (KeyError, TypeError, ValueError) as error:
        raise malformed(lock, error) from error
    names = {model.name for model in models}
    if unknown := {name for model in models for name in model.alternatives} - names:
        raise malformed(lock, ValueError(f"there are no alternatives {', '.join(sorted(unknown))}"))
    return {model.name: _with_trust(model, trusted) for model in models}


def verify_against_lock(given: Path, lock: Path, folder: Path) -> bool:
    """Return whether `given` is a model of `lock` in the models folder, after verifying the hashes of all its files.

    False for a folder elsewhere, and for a model without any known hash: those are not verified. Raises `EngineFailed`
    for files that differ from the lock, and for an incomplete download.
    """
    if given.resolve().parent != folder.resolve():
        return False
    model = read_hub_models(lock, folder).get(given.name)
    if model is None or not any(file.sha256 for file in model.files):
        return False
    _verify_all(model, folder)
    return True


def _verify_all(model: HubModel, folder: Path) -> None:
    if model.unknown:
        names = ", ".join(model.unknown)
        raise EngineFailed("models.unknown_hash", f"no hash of {names} is known; run `{model.pull_command}`")
    for file in model.files:
        verify(model.path_of(file, folder), file.sha256, model.pull_command)


def read_trusted(folder: Path) -> dict[str, TrustedFile]:
    """Return the trusted files by `name/path`; empty without a trust list."""
    path = folder / TRUSTED
    try:
        entries: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8")).get("file", [])
        return {f"{f['model']}/{f['path']}": _trusted_file(f) for f in entries}
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise malformed(path, error) from error


def trust(model: HubModel, file: HubFile, folder: Path) -> None:
    """Add a file to the trust list: its hash, if it has been downloaded, and its revision."""
    entry = {
        "model": model.name,
        "path": file.path,
        "sha256": file.sha256,
        "size_bytes": file.size_bytes,
        "commit": model.revision if model.revision != MOVING else "",
    }
    # Checked names, digits and paths: none of them needs escaping.
    lines = [f"{name} = {value}" if isinstance(value, int) else f"{name} = '{value}'" for name, value in entry.items()]
    with (folder / TRUSTED).open("a", encoding="utf-8") as trust_list:
        trust_list.write("\n".join(["[[file]]", *lines]) + "\n\n")


def _trusted_file(entry: dict[str, Any]) -> TrustedFile:
    return TrustedFile(HubFile(entry["path"], entry["sha256"], entry["size_bytes"]), str(entry["commit"]))


def _hub_model(entry: dict[str, Any]) -> HubModel:
    files = tuple(HubFile(**file) for file in entry.pop("files"))
    profiles, alternatives = (tuple(entry.pop(key, ())) for key in ("profiles", "alternatives"))
    model = HubModel(files=files, profiles=profiles, alternatives=alternatives, **entry)
    if model.revision == MOVING and any(file.sha256 for file in files):
        raise ValueError(f"{model.name} has hashes, so its revision must be a commit")
    return model


def _with_trust(model: HubModel, trusted: Mapping[str, TrustedFile]) -> HubModel:
    """Complete `model` from the trust list: files where it has none, hashes where its own are empty, the commit."""
    own = {found.file.path: found for name, found in trusted.items() if name.startswith(f"{model.name}/")}
    files = model.files or tuple(found.file for found in own.values())
    files = tuple(own[file.path].file if not file.sha256 and file.path in own else file for file in files)
    commits = [found.commit for found in own.values() if found.commit]
    revision = commits[0] if commits and model.revision == MOVING else model.revision
    return replace(model, files=files, revision=revision)
