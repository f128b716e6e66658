"""Cloned voices in a folder: each is learned once, from a recording and what is said in it, and kept as it sounds."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from service_kit.errors import InvalidRequest, NotFound, Unsupported

from tts_service.engine import Voice

log = logging.getLogger(__name__)

_CHARS_OF_HASH = 8
_VOICE = "voice.json"
# All of them are kept in memory, and listed to whoever asks; anybody may add some.
MAX_VOICES = 256

Conditioning = TypeVar("Conditioning")


@dataclass(frozen=True, slots=True)
class ClonedVoice(Generic[Conditioning]):
    """An added voice: what was said in its recording, and how it sounds."""

    voice: Voice
    transcript: str
    conditioning: Conditioning


class VoiceFolder(Generic[Conditioning]):
    """The voices that were added. Blocking.

    `setting` is what names the folder; `read` makes a voice's sound of its file `file_name`, or raises `ValueError`.
    """

    def __init__(self, folder: Path | None, setting: str, file_name: str, read: Callable[[Path], Conditioning]) -> None:
        self._folder = folder
        self._setting = setting
        self._file_name = file_name
        self._read = read
        self._voices: dict[str, ClonedVoice[Conditioning]] = {}

    def load(self) -> None:
        """Read the folder; what is no voice in it is left alone."""
        if self._folder is None:
            return
        for path in sorted(self._folder.glob(f"[!.]*/{_VOICE}")):
            try:
                facts = json.loads(path.read_text("utf-8"))
                self._register(path.parent.name, facts, self._read(path.with_name(self._file_name)))
            except (OSError, ValueError, KeyError) as error:
                log.warning("voice could not be read", extra={"voice": path.parent.name, "reason": repr(error)})

    def voices(self) -> Sequence[Voice]:
        """All added voices."""
        return [learned.voice for learned in self._voices.values()]

    def find_voice(self, voice_id: str) -> ClonedVoice[Conditioning] | None:
        """An added voice, None for one that was not added."""
        return self._voices.get(voice_id)

    def require_folder(self) -> Path:
        """Where voices are kept. Raises `Unsupported` when no folder was named."""
        if self._folder is None:
            raise Unsupported("tts.cloning_unsupported", f"no folder for voices is set ({self._setting})")
        return self._folder

    def save_voice(self, name: str, language: str, transcript: str, write: Callable[[Path], object]) -> Voice:
        """Keep a voice whose sound `write` writes; the same sound under the same name is the same voice.

        Raises `InvalidRequest` when there are `MAX_VOICES` already.
        """
        folder = self.require_folder()
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"name": name, "languages": [language], "transcript": transcript}
        with tempfile.TemporaryDirectory(dir=folder, prefix=".adding-") as scratch:
            made = Path(scratch, "voice")
            made.mkdir()
            (made / _VOICE).write_text(json.dumps(facts, ensure_ascii=False), "utf-8")
            write(made / self._file_name)
            # What could not be read again is not kept.
            self._read(made / self._file_name)
            sound = (made / self._file_name).read_bytes()
            mark = hashlib.sha256(sound + transcript.encode()).hexdigest()[:_CHARS_OF_HASH]
            kept = folder / f"{_slug(name)}-{mark}"
            if kept.name not in self._voices and len(self._voices) >= MAX_VOICES:
                raise InvalidRequest("tts.voices_full", f"{MAX_VOICES} voices were added; delete one first")
            # At once, so that no half of a voice is ever found here.
            if not kept.exists():
                made.rename(kept)
        return self._register(kept.name, facts, self._read(kept / self._file_name))

    def delete_voice(self, voice_id: str) -> None:
        """Forget an added voice. Raises `NotFound` when it was not added."""
        if voice_id not in self._voices:
            raise NotFound("tts.unknown_voice", f"no voice {voice_id!r} was added")
        del self._voices[voice_id]
        shutil.rmtree(self.require_folder() / voice_id)

    def _register(self, voice_id: str, facts: dict[str, Any], sound: Conditioning) -> Voice:
        voice = Voice(voice_id, facts["name"], tuple(facts["languages"]), cloned=True)
        self._voices[voice_id] = ClonedVoice(voice, facts["transcript"], sound)
        return voice


def write_codes(path: Path, frames: NDArray[np.int64]) -> None:
    """Write a codec's frames of codes, shape [n, books]."""
    np.save(path, frames.astype(np.int16))


def read_codes(path: Path, books: int, codes: int) -> NDArray[np.int64]:
    """Frames of codes below `codes`, shape [n, `books`]. Raises `ValueError` for others."""
    frames = np.load(path, allow_pickle=False).astype(np.int64)
    # A code that is none would break the GPU for every reply, not for this voice alone.
    if frames.ndim != 2 or frames.shape[1] != books or not ((frames >= 0) & (frames < codes)).all():
        raise ValueError("the frames are not the codec's")
    return frames


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "voice"
