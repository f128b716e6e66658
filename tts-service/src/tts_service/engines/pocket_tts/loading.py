"""Loads Pocket TTS and its voices from a local folder. Never downloads."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import copy
import json
import logging
import tempfile
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import torch
import yaml
from pocket_tts import TTSModel
from pocket_tts.modules.stateful_module import init_states
from safetensors import SafetensorError
from service_kit.errors import EngineFailed

from tts_service.engines.model_folder import broken_file_error, find_file

# The library logs every phrase at INFO.
logging.getLogger("pocket_tts").setLevel(logging.WARNING)

_CONFIG = "config.yaml"
# The folders that `anchor pull` fills begin with it.
_PULLED = "pocket-tts"
# The package's configurations, and its names of languages.
_PACKAGED = Path(str(files("pocket_tts")), "config")
_LANGUAGES = {
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "it": "italian",
    "nl": "dutch",
    "pt": "portuguese",
}
# The model's state after a voice's recording: tensors by module and name.
VoiceState = dict[str, dict[str, torch.Tensor]]


def load_model(folder: Path, language: str, temperature: float | None) -> Any:
    """Load the model; `language` is an ISO 639-1 code.

    Raises `EngineFailed` when a file is missing, broken or of another model.
    """
    config = local_config(folder, language)
    with tempfile.TemporaryDirectory(prefix="pocket-tts-") as scratch:
        path = Path(scratch, _CONFIG)
        # JSON is valid YAML.
        path.write_text(json.dumps(config), "utf-8")
        try:
            model = TTSModel.load_model(config=path, temp=temperature)
        except SafetensorError as error:
            raise broken_file_error(_weights_path(config), error) from error
        except (RuntimeError, ValueError, AssertionError, OSError) as error:
            reason = " ".join(str(error).split())[:300]
            raise EngineFailed(
                "tts.model_layout",
                f"the files in {folder} are not of one model: {reason}; copy {_CONFIG}, weights and tokenizer together",
            ) from error
    return model.requires_grad_(False).eval()


def local_config(folder: Path, language: str) -> dict[str, Any]:
    """The model's configuration, with every URL in it replaced by the file of that name in the folder.

    A folder that `anchor pull` filled has no `config.yaml`: its weights are those that the installed package names for
    the language, with that package's configuration.
    """
    path = folder / _CONFIG
    if not path.is_file() and folder.name.startswith(_PULLED) and language in _LANGUAGES:
        path = _PACKAGED / f"{_LANGUAGES[language]}.yaml"
    path = find_file(path.parent, path.name)
    try:
        config: Any = yaml.safe_load(path.read_text("utf-8"))
        config.pop("weights_path_without_voice_cloning", None)
        flow_lm, mimi = config["flow_lm"], config["mimi"]
        table = flow_lm["lookup_table"]
        paths = [(part, "weights_path") for part in (config, flow_lm, mimi)] + [(table, "tokenizer_path")]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise broken_file_error(path, error) from error
    for part, key in paths:
        if part.get(key):
            name = PurePosixPath(str(part[key]).partition("@")[0]).name
            part[key] = str(find_file(folder, name).resolve())
    if not config.get("weights_path") and not flow_lm.get("weights_path"):
        raise EngineFailed("tts.model_layout", f"{path} names no weights (weights_path)")
    return config


def copy_sharing_weights(model: Any) -> Any:
    """Copy the model but share its weights; each copy generates one phrase at a time."""
    shared = (*model.parameters(), *model.buffers())
    return copy.deepcopy(model, {id(tensor): tensor for tensor in shared})


def read_voice_state(path: Path, model: Any) -> VoiceState:
    """Read a voice's state from a file. Raises `ValueError` for an invalid file, or a state of another model."""
    try:
        state = model.get_state_for_audio_prompt(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error
    expected = init_states(model.flow_lm, batch_size=1, sequence_length=1)
    caches = {module: kept["cache"] for module, kept in expected.items() if "cache" in kept}
    if set(state) != set(expected) or not all(_matches_cache(state[module], cache) for module, cache in caches.items()):
        raise ValueError(f"{path} is not a voice of this model")
    return state


def _matches_cache(kept: dict[str, torch.Tensor], cache: torch.Tensor) -> bool:
    found, offset = kept.get("cache"), kept.get("offset")
    if found is None or offset is None or found.ndim != cache.ndim:
        return False
    shape, wanted = list(found.shape), list(cache.shape)
    wanted[2] = shape[2]
    length = int(offset.max())
    # The cache beyond the voice's length is not read, so it may hold anything.
    return shape == wanted and 0 < length <= shape[2] and bool(torch.isfinite(found[:, :, :length]).all())


def _weights_path(config: dict[str, Any]) -> Path:
    return Path(config.get("weights_path") or config["flow_lm"]["weights_path"])
