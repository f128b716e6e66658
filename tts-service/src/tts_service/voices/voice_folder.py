"""Storage of cloned voices: one folder per voice, with its metadata and the engine's conditioning for it."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from service_kit.errors import InvalidRequest, NotFound, Unsupported
from service_kit.parsing.documents import parse_json

from tts_service.engine import ConsentSummary, Voice, VoiceConsent
from tts_service.voices.consent import read_consent, write_consent

log = logging.getLogger(__name__)

_CHARS_OF_HASH = 8
_METADATA_FILE = "voice.json"
# Folders that a voice is in while it is added and deleted; one that a crash left is removed at the next start.
_ADDING, _DELETING = ".adding-", ".deleting-"
# All voices are held in memory and listed to every client, and every client may add voices.
MAX_VOICES = 256

Conditioning = TypeVar("Conditioning")


@dataclass(frozen=True, slots=True)
class ClonedVoice(Generic[Conditioning]):
    """A cloned voice: the transcript of its recording, and the engine's conditioning (codes, or a file of state)."""

    voice: Voice
    transcript: str
    conditioning: Conditioning


class VoiceFolder(Generic[Conditioning]):
    """The cloned voices of one engine. Blocking.

    `setting` is the setting that names the folder, for error texts. `read` loads a voice's conditioning from its file
    `file_name`, or raises `ValueError`.
    """

    def __init__(self, folder: Path | None, setting: str, file_name: str, read: Callable[[Path], Conditioning]) -> None:
        self._folder = folder
        self._setting = setting
        self._file_name = file_name
        self._read = read
        self._voices: dict[str, ClonedVoice[Conditioning]] = {}

    def load(self) -> None:
        """Load all voices; log and skip folders that hold no valid voice."""
        if self._folder is None:
            return
        for prefix in (_ADDING, _DELETING):
            for left_over in self._folder.glob(f"{prefix}*"):
                shutil.rmtree(left_over)
        for path in sorted(self._folder.glob(f"[!.]*/{_METADATA_FILE}")):
            try:
                metadata = parse_json(path.read_text("utf-8"))
                consent = read_consent(path.parent)
                self._register(path.parent.name, metadata, consent, self._read(path.with_name(self._file_name)))
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                log.warning("cloned voice could not be read", extra={"voice": path.parent.name, "reason": repr(error)})

    def voices(self) -> Sequence[Voice]:
        """All cloned voices."""
        return [cloned.voice for cloned in self._voices.values()]

    def find_voice(self, voice_id: str) -> ClonedVoice[Conditioning] | None:
        """The cloned voice with that id; None if there is none."""
        return self._voices.get(voice_id)

    def require_folder(self) -> Path:
        """The folder of the voices. Raises `Unsupported` when none is set."""
        if self._folder is None:
            raise Unsupported("tts.cloning_unsupported", f"no folder for cloned voices is set; set {self._setting}")
        return self._folder

    def save_voice(
        self,
        name: str,
        language: str,
        transcript: str,
        write: Callable[[Path], object],
        consent: VoiceConsent | None = None,
    ) -> Voice:
        """Save a voice; `write` writes its conditioning to a path. The same content under the same name is one voice,
        which keeps the latest consent.

        Raises `InvalidRequest` when there are `MAX_VOICES` already.
        """
        folder = self.require_folder()
        folder.mkdir(parents=True, exist_ok=True)
        metadata: dict[str, Any] = {
            "name": name,
            "languages": [language],
            "transcript": transcript,
            "created_unix_s": int(time.time()),
        }
        with tempfile.TemporaryDirectory(dir=folder, prefix=_ADDING) as scratch:
            made = Path(scratch, "voice")
            made.mkdir()
            (made / _METADATA_FILE).write_text(json.dumps(metadata, ensure_ascii=False), "utf-8")
            if consent is not None:
                write_consent(made, consent)
            write(made / self._file_name)
            # Raises before the voice is stored if its file cannot be read back.
            self._read(made / self._file_name)
            content = (made / self._file_name).read_bytes()
            digest = hashlib.sha256(content + transcript.encode()).hexdigest()[:_CHARS_OF_HASH]
            target = folder / f"{_slug(name)}-{digest}"
            if target.name not in self._voices and len(self._voices) >= MAX_VOICES:
                raise InvalidRequest("tts.voices_full", f"there are {MAX_VOICES} cloned voices; delete one first")
            # The rename is atomic, so the folder never holds an incomplete voice.
            if not target.exists():
                made.rename(target)
            elif consent is not None:
                write_consent(target, consent)
        return self._register(target.name, metadata, read_consent(target), self._read(target / self._file_name))

    def delete_voice(self, voice_id: str) -> None:
        """Delete a cloned voice and its consent. Raises `NotFound` when there is none with that id."""
        if voice_id not in self._voices:
            raise NotFound("tts.unknown_voice", f"no cloned voice {voice_id!r}")
        folder = self.require_folder()
        # The rename is atomic: a crash within the removal does not leave a voice that the next start would load.
        leaving = folder / f"{_DELETING}{voice_id}"
        (folder / voice_id).rename(leaving)
        del self._voices[voice_id]
        shutil.rmtree(leaving)

    def _register(
        self, voice_id: str, metadata: dict[str, Any], consent: ConsentSummary | None, conditioning: Conditioning
    ) -> Voice:
        voice = Voice(
            voice_id,
            metadata["name"],
            tuple(metadata["languages"]),
            cloned=True,
            consent=consent,
            created_unix_s=int(metadata.get("created_unix_s", 0)),
        )
        self._voices[voice_id] = ClonedVoice(voice, metadata["transcript"], conditioning)
        return voice


def write_codes(path: Path, frames: NDArray[np.int64]) -> None:
    """Write codec frames, shape [n, books]."""
    np.save(path, frames.astype(np.int16))


def read_codes(path: Path, books: int, codes: int) -> NDArray[np.int64]:
    """Read codec frames with codes below `codes`, shape [n, `books`]. Raises `ValueError` for anything else."""
    frames = np.load(path, allow_pickle=False).astype(np.int64)
    # A code out of range would raise a CUDA error that breaks all replies, not only those in this voice.
    if frames.ndim != 2 or frames.shape[1] != books or not ((frames >= 0) & (frames < codes)).all():
        raise ValueError("the file does not hold frames of this codec")
    return frames


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "voice"
