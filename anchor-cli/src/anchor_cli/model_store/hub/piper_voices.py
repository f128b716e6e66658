"""Piper's voices as models: any voice of its repository by name, such as `en_US-lessac-medium`.

All voices lie in one folder, as Piper's server reads them. Each has a licence of its own, in its model card.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import httpx
from service_kit.engines.hub import HubFile, HubModel, TrustedFile, with_trust

# The entry in models.lock that all voices belong to.
PIPER = "piper"
_VOICE = re.compile(r"(?P<code>(?P<language>[a-z]{2,3})_[A-Z]{2})-(?P<speaker>\w+)-(?P<quality>x_low|low|medium|high)")
_LICENCE = re.compile(r"^\s*\*?\s*licen[cs]e:\s*(.{1,200})$", re.IGNORECASE | re.MULTILINE)
_CARD = "MODEL_CARD"
_MAX_CARD_BYTES = 64 << 10


def is_voice(name: str) -> bool:
    """Whether `name` has the form of a Piper voice's name."""
    return _VOICE.fullmatch(name) is not None


def voice_files(name: str) -> tuple[HubFile, HubFile]:
    """The files of a voice. Raises `ValueError` for a name that is not a voice's."""
    if (parts := _VOICE.fullmatch(name)) is None:
        raise ValueError(f"{name!r} is not the name of a voice such as en_US-lessac-medium")
    folder = f"{parts['language']}/{parts['code']}/{parts['speaker']}/{parts['quality']}"
    weights, config = (f"{name}{suffix}" for suffix in (".onnx", ".onnx.json"))
    return HubFile(weights, source=f"{folder}/{weights}"), HubFile(config, source=f"{folder}/{config}")


def with_voices(entry: HubModel, voices: Iterable[str], trusted: Mapping[str, TrustedFile]) -> HubModel:
    """`entry` with the files of these voices, at the commit and with the hashes that are trusted already."""
    files = tuple(file for voice in dict.fromkeys(voices) for file in voice_files(voice))
    return with_trust(replace(entry, files=files), trusted)


def pulled_voices(trusted: Mapping[str, TrustedFile]) -> list[str]:
    """The voices that were pulled before."""
    paths = [found.file.path for name, found in trusted.items() if name.startswith(f"{PIPER}/")]
    return [voice for path in paths if path.endswith(".onnx") and is_voice(voice := path.removesuffix(".onnx"))]


def read_licences(client: httpx.Client, hub_url: str, model: HubModel) -> str:
    """The licence of each voice, as its model card states it; empty for other models.

    Where a card cannot be read or states none, its address stands in place of the licence.
    """
    if model.name != PIPER:
        return ""
    voices = {file.path.removesuffix(".onnx"): file for file in model.files if file.path.endswith(".onnx")}
    return "; ".join(f"of {name}: {_licence_of(client, hub_url, model, file)}" for name, file in voices.items())


def _licence_of(client: httpx.Client, hub_url: str, model: HubModel, file: HubFile) -> str:
    card = f"{PurePosixPath(file.source).parent}/{_CARD}"
    url = f"{hub_url.rstrip('/')}/{model.repository}/resolve/{model.revision}/{card}"
    text = b""
    try:
        with client.stream("GET", url) as response:
            if response.is_error:
                return f"not known, see {url}"
            for chunk in response.iter_bytes():
                text += chunk
                if len(text) > _MAX_CARD_BYTES:
                    return f"not known, see {url}"
    except httpx.HTTPError:
        return f"not known, see {url}"
    stated = _LICENCE.findall(text.decode("utf-8", "replace"))
    return " and ".join(dict.fromkeys(" ".join(found.split()) for found in stated)) or f"not stated, see {url}"
