"""Verified access to model files: a service loads a file only when it has the SHA-256 that `models.lock` names.

`service_kit.engines.model_lock` reads the lock's rows of kind `files`, `service_kit.engines.hub` those of kind `hub`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from service_kit.anchor_command import anchor_command
from service_kit.engines.model_lock import LockedModel, read_lock
from service_kit.errors import EngineFailed


def verify(path: Path, sha256: str, fix_command: str = "") -> None:
    """Raise `EngineFailed`, with the command that fixes it, unless the file at `path` has this SHA-256.

    Without `fix_command`, it is the one that fetches the set of models.
    """
    fix_command = fix_command or anchor_command("models")
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        why = "" if isinstance(error, FileNotFoundError) else f": {error.strerror}"
        raise EngineFailed("models.missing", f"no model file {path}; run `{fix_command}`{why}") from error
    if found != sha256:
        raise EngineFailed(
            "models.mismatch",
            f"{path} is not the file the lock names (SHA-256 {found[:12]}..., wanted {sha256[:12]}...); "
            f"run `{fix_command}`, which replaces it",
        )


def model_path(name: str, lock: Path, folder: Path) -> Path:
    """Return the path of the one-file model `name` after verifying its hash. Raises `EngineFailed`."""
    model = _locked(name, lock)
    if len(model.files) != 1:
        raise EngineFailed("models.unknown", f"{name} has {len(model.files)} files, so it is a folder")
    _verify_all(model, folder)
    return model.path_of(model.files[0], folder)


def model_folder(name: str, lock: Path, folder: Path) -> Path:
    """Return the folder of the model `name` after verifying the hashes of all its files.

    Raises `EngineFailed`: `models.missing` for a file that is not there, `models.mismatch` for one that is damaged,
    swapped or half fetched, `models.unknown` for a name that the lock does not have.
    """
    model = _locked(name, lock)
    _verify_all(model, folder)
    return model.folder_in(folder)


def _locked(name: str, lock: Path) -> LockedModel:
    models = read_lock(lock)
    if name not in models:
        raise EngineFailed("models.unknown", f"{lock} has no model {name!r}; it has {', '.join(sorted(models))}")
    return models[name]


def _verify_all(model: LockedModel, folder: Path) -> None:
    for file in model.files:
        verify(model.path_of(file, folder), file.sha256, model.fix_command)
