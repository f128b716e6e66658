"""Finds a model's files in a local folder; errors name the missing file and the remedy. Never downloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from service_kit.errors import EngineFailed


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
