"""Which Whisper is loaded, from which folder, and which is loaded instead when it is not usable."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from service_kit.anchor_command import anchor_command
from service_kit.engines.hub import read_hub_entries, verify_against_lock
from service_kit.engines.machine_profile import read_profile
from service_kit.engines.model_lock import read_lock
from service_kit.engines.models import model_folder
from service_kit.errors import InvalidRequest

from stt_service.settings import SttSettings

BASE = "whisper-base"
SMALL = "whisper-tiny.en"
MOONSHINE = "moonshine-tiny-en"
# The folder of earlier versions, which the user fills.
USERS_FOLDER = Path("whisper")
# With a slower base, the model for English alone is used. Of the 1.1 s from silence to the first sound, 0.29 s are the
# silence itself, 0.04 s the prediction, 0.02 s the search and 0.08 s the voice (docs/latency.md): 0.67 s are left, of
# which a tenth is kept for other work.
SLOW_FIRST_RESULT_S = 0.6
_MODEL_FILES = ("model.bin", "config.json")
_VOCABULARIES = ("vocabulary.json", "vocabulary.txt")


def candidates(settings: SttSettings) -> list[str]:
    """Return the names of the models to load, the first usable one counts; "" is the folder that the user names."""
    stored = [BASE, SMALL]
    profile = read_profile(settings.machine_profile)
    speed = profile.engines.get(BASE) if profile else None
    if speed is not None and speed.first_result_s > SLOW_FIRST_RESULT_S:
        stored.reverse()
    # A folder that is named, or filled, goes first. The profile `embedded` has a model without one.
    if settings.whisper_model is not None or (settings.models_dir / USERS_FOLDER).is_dir():
        return ["", *stored]
    return stored


def find_device(settings: SttSettings) -> Literal["cpu", "cuda"]:
    """The device of the settings; `auto` is cuda where CTranslate2 finds a GPU."""
    if settings.whisper_device != "auto":
        return settings.whisper_device
    # Here, because the process that transcribes is the only other one that loads the library.
    from ctranslate2 import get_cuda_device_count

    return "cuda" if get_cuda_device_count() else "cpu"


def named_folder(settings: SttSettings) -> Path:
    """The folder that the user names: a path, or the name of a size for the folder that `anchor pull` fills with it.

    `small`, `whisper-small` and `Systran/faster-whisper-small` all mean the folder `whisper-small`.
    """
    named = settings.whisper_model or USERS_FOLDER
    folder = settings.models_dir / named
    stored = [parent / f"whisper-{_size(named)}" for parent in (folder.parent, settings.models_dir)]
    return next((found for found in (folder, *stored) if found.is_dir()), folder)


def locate_model(settings: SttSettings, name: str) -> Path:
    """Return the folder of a model that `candidates` named.

    Raises `EngineFailed` for a pulled model that is missing or damaged, `InvalidRequest` for a named folder without a
    converted model.
    """
    if name:
        return model_folder(name, settings.models_lock, settings.models_dir)
    folder = named_folder(settings)
    if settings.models_lock.is_file():
        verify_against_lock(folder, settings.models_lock)
    missing = [file for file in _MODEL_FILES if not (folder / file).is_file()]
    if not any((folder / file).is_file() for file in _VOCABULARIES):
        missing.append(_VOCABULARIES[0])
    if missing:
        message = f"{folder} is not a converted Whisper model: it lacks {', '.join(missing)}"
        raise InvalidRequest("stt.no_model", f"{message}{_pull_advice(settings, folder)}")
    return folder


def _size(folder: Path) -> str:
    """`small` of the folder `small`, `whisper-small` or `faster-whisper-small`."""
    return folder.name.removeprefix("faster-").removeprefix("whisper-")


def _pull_advice(settings: SttSettings, folder: Path) -> str:
    """How to fetch the model of this folder, if the lock has it."""
    name = f"whisper-{_size(folder)}"
    if not settings.models_lock.is_file():
        return ""
    known = {*read_lock(settings.models_lock), *read_hub_entries(settings.models_lock)}
    return f"; `{anchor_command(f'pull {name}')}` fetches it" if name in known else ""
