"""Finds a model's files in a local folder; errors name the missing file and the remedy. Never downloads.

A folder that the settings do not name is the one that `anchor pull` fills.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from service_kit.anchor_command import anchor_command
from service_kit.engines.hub import verify_against_lock
from service_kit.errors import EngineFailed, InvalidRequest

log = logging.getLogger(__name__)


def pulled_folder(models_dir: Path, setting: str, *names: str) -> Path:
    """The folder of the first of the models `names` that `anchor pull` has fetched.

    Raises `InvalidRequest` when none is there; its message names the command and the `setting` for another folder.
    """
    for name in names:
        if (folder := models_dir / name).is_dir():
            return folder
    pull = " or ".join(f"`{anchor_command(f'pull {name}')}`" for name in names)
    message = f"there is no folder {models_dir / names[-1]}; {pull} fetches the model, or {setting} names a folder"
    raise InvalidRequest("tts.model_missing", message)


def verify_pulled(folder: Path, lock: Path) -> None:
    """Verify the hashes of a folder that `anchor pull` filled. Raises `EngineFailed` for a mismatch. Blocking."""
    verified = lock.is_file() and verify_against_lock(folder, lock)
    log.info("model files found", extra={"folder": str(folder), "verified": verified})


def find_file(folder: Path, *names: str) -> Path:
    """The first of the files `names` that exists in the folder. Raises `EngineFailed` when none does."""
    for name in names:
        if (path := folder / name).is_file():
            return path
    expected = " or ".join(names)
    raise EngineFailed("tts.model_layout", f"there is no {expected} in {folder}; put the model's file there")


def read_config(folder: Path, model_type: str, advice: str = "") -> dict[str, Any]:
    """Read `config.json`. Raises `EngineFailed`, with `advice`, when its `model_type` differs."""
    path = find_file(folder, "config.json")
    try:
        config: Any = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise broken_file_error(path, error) from error
    found = config.get("model_type") if isinstance(config, dict) else None
    if found != model_type:
        raise EngineFailed(
            "tts.model_layout", f"{path} describes a model of type {found!r}, not {model_type!r}{advice}"
        )
    return config


def broken_file_error(path: Path, error: Exception) -> EngineFailed:
    """The error for a file that cannot be parsed."""
    reason = str(error).partition("\n")[0]
    return EngineFailed("tts.model_broken", f"{path} cannot be read ({reason}); copy it again")
