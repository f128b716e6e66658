"""Finds a model's files in a local folder, or says which is missing and what to do. Nothing is ever fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from service_kit.errors import EngineFailed


def find_file(folder: Path, *names: str) -> Path:
    """The first of the files `names` that is in the folder. Raises `EngineFailed` when none is."""
    for name in names:
        if (path := folder / name).is_file():
            return path
    wanted = " or ".join(names)
    raise EngineFailed("tts.model_layout", f"there is no {wanted} in {folder}; put the model's own one there")


def read_config(folder: Path, model_type: str, advice: str = "") -> dict[str, Any]:
    """What `config.json` says. Raises `EngineFailed`, with `advice`, when it describes another kind of model."""
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
    """Says that a file cannot be read as what it should be."""
    reason = str(error).partition("\n")[0]
    return EngineFailed("tts.model_broken", f"{path} cannot be read ({reason}); copy it there once more")
