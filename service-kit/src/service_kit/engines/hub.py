"""Models that are files of a hub repository at one revision: their list and their verification.

An entry of `models.lock` with `kind = "hub"` names the repository, its revision, and each file with size and SHA-256.
A hash may be empty while the project does not know it. Such a file is pinned at its first pull: its hash, as the hub
states it, is written to the local trust list, beside the files, and holds from then on. An entry may also have no
files. The files that the hub lists are then in the trust list too.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from service_kit.anchor_command import anchor_command
from service_kit.engines.model_lock import entries_of, malformed
from service_kit.engines.models import verify
from service_kit.errors import EngineFailed
from service_kit.parsing.documents import parse_toml

# Weight formats without executable code, and their configuration.
SUFFIXES = frozenset({".safetensors", ".gguf", ".onnx", ".json"})
# Files of CTranslate2, for entries that name them: its weights, a plain list of arrays, and its vocabulary.
NAMES = frozenset({"model.bin", "vocabulary.txt"})
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
    """One file of a model; `sha256` is empty and `size_bytes` 0 while they are unknown.

    `source` is its path in the model's folder of the repository, where that differs from `path`. A file of another
    commit than the rest of the model names it as `revision`; one of another repository names both, and its `source` is
    the path from the top of that repository.
    """

    path: str
    sha256: str = ""
    size_bytes: int = 0
    source: str = ""
    repository: str = ""
    revision: str = ""

    def __post_init__(self) -> None:
        for place in (self.path, self.source or self.path):
            _check_place(place)
        if not is_safe_name(self.path):
            raise ValueError(
                f"{self.path!r} must end in one of {', '.join(sorted(SUFFIXES))}: other files may contain code"
            )
        if self.sha256 and not (_SHA256.fullmatch(self.sha256) and self.size_bytes > 0):
            raise ValueError(f"{self.path!r} must have a SHA-256 and a size, or neither")
        if self.revision and not _COMMIT.fullmatch(self.revision):
            raise ValueError(f"revision {self.revision!r} of {self.path!r} must be a commit's 40 digits")
        if self.repository and not (_REPOSITORY.fullmatch(self.repository) and self.revision):
            raise ValueError(f"{self.path!r} must have a repository and its revision, or neither")


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
    another model's weights. `alternatives` are models of the same content from other repositories. `purpose` says what
    it is for, `about_bytes` how large it is while its files' sizes are unknown. A `gated` repository gives its files to
    accounts only that have accepted its terms.
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
    purpose: str = ""
    about_bytes: int = 0
    gated: bool = False

    def __post_init__(self) -> None:
        if self.subfolder:
            _check_place(self.subfolder)
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
        """Return the path of `file` in its repository."""
        place = file.source or file.path
        return f"{self.subfolder}/{place}" if self.subfolder and not file.repository else place

    def origin_of(self, file: HubFile) -> tuple[str, str]:
        """Return the repository and the revision that `file` comes from."""
        return file.repository or self.repository, file.revision or self.revision


def is_safe_name(path: str) -> bool:
    """Whether a file of this name may be fetched: its format contains no code."""
    return PurePosixPath(path).suffix in SUFFIXES or PurePosixPath(path).name in NAMES


def read_hub_models(lock: Path, folder: Path) -> dict[str, HubModel]:
    """Return the entries of kind `hub` by name, completed from the trust list of the models folder."""
    trusted = read_trusted(folder)
    return {name: with_trust(model, trusted) for name, model in read_hub_entries(lock).items()}


def read_hub_entries(lock: Path) -> dict[str, HubModel]:
    """Return the entries of kind `hub` by name, as the project pins them."""
    try:
        models = [_hub_model(entry) for entry in entries_of(lock, "hub")]
    except (KeyError, TypeError, ValueError) as error:
        raise malformed(lock, error) from error
    names = {model.name for model in models}
    if unknown := {name for model in models for name in model.alternatives} - names:
        raise malformed(lock, ValueError(f"there are no alternatives {', '.join(sorted(unknown))}"))
    return {model.name: model for model in models}


def verify_against_lock(given: Path, lock: Path, folder: Path | None = None) -> bool:
    """Return whether `given` is a model of `lock` in the models folder, after verifying the hashes of all its files.

    Without `folder`, the models folder is the one that holds `given`. False for a folder elsewhere, and for a model
    without any known hash: those are not verified. Raises `EngineFailed` for files that differ from the lock, and for
    an incomplete download.
    """
    folder = folder or given.parent
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
        entries: list[dict[str, Any]] = parse_toml(path.read_text(encoding="utf-8")).get("file", [])
        return {f"{f['model']}/{f['path']}": _trusted_file(f) for f in entries}
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise malformed(path, error) from error


def distrust(names: Collection[str], folder: Path) -> None:
    """Remove the files of these models from the trust list, so that the next pull pins them anew."""
    kept = {name: found for name, found in read_trusted(folder).items() if name.partition("/")[0] not in names}
    if (folder / TRUSTED).exists():
        beside = folder / f".{TRUSTED}.new"
        lines = [_trust_lines(name.partition("/")[0], found.file, found.commit) for name, found in kept.items()]
        beside.write_text("".join(lines), encoding="utf-8")
        beside.replace(folder / TRUSTED)


def trust(model: HubModel, file: HubFile, folder: Path) -> None:
    """Add a file to the trust list: its size and hash, as far as they are known, and its revision."""
    with (folder / TRUSTED).open("a", encoding="utf-8") as trust_list:
        trust_list.write(_trust_lines(model.name, file, model.revision if model.revision != MOVING else ""))


def _trust_lines(model: str, file: HubFile, commit: str) -> str:
    entry = {
        "model": model,
        "path": file.path,
        "sha256": file.sha256,
        "size_bytes": file.size_bytes,
        "commit": commit,
    }
    # Checked names, digits and paths: none of them needs escaping.
    lines = [f"{name} = {value}" if isinstance(value, int) else f"{name} = '{value}'" for name, value in entry.items()]
    return "\n".join(["[[file]]", *lines]) + "\n\n"


def _trusted_file(entry: dict[str, Any]) -> TrustedFile:
    return TrustedFile(HubFile(entry["path"], entry["sha256"], entry["size_bytes"]), str(entry["commit"]))


def _hub_model(entry: dict[str, Any]) -> HubModel:
    files = tuple(HubFile(**file) for file in entry.pop("files"))
    profiles, alternatives = (tuple(entry.pop(key, ())) for key in ("profiles", "alternatives"))
    model = HubModel(files=files, profiles=profiles, alternatives=alternatives, **entry)
    if model.revision == MOVING and any(file.sha256 for file in files):
        raise ValueError(f"{model.name} has hashes, so its revision must be a commit")
    return model


def with_trust(model: HubModel, trusted: Mapping[str, TrustedFile]) -> HubModel:
    """Complete `model` from a trust list: files where it has none, hashes where its own are empty, the commit."""
    own = {found.file.path: found for name, found in trusted.items() if name.startswith(f"{model.name}/")}
    files = model.files or tuple(found.file for found in own.values())
    files = tuple(
        replace(file, sha256=own[file.path].file.sha256, size_bytes=own[file.path].file.size_bytes)
        if not file.sha256 and file.path in own
        else file
        for file in files
    )
    commits = [found.commit for found in own.values() if found.commit]
    revision = commits[0] if commits and model.revision == MOVING else model.revision
    return replace(model, files=files, revision=revision)


def _check_place(place: str) -> None:
    path = PurePosixPath(place)
    if path.is_absolute() or ".." in path.parts or str(path) != place or not _PATH.fullmatch(place) or place == ".":
        raise ValueError(f"path {place!r} must be inside its repository")
