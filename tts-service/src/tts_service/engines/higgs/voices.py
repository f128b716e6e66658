"""Cloned voices of higgs, kept as frames of its codec."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tts_service.engine import Voice
from tts_service.engines.higgs.model.delay import Codes
from tts_service.engines.higgs.prompt import Reference
from tts_service.voices import voice_folder

_BOOKS, _CODES = 8, 1024


class VoiceFolder(voice_folder.VoiceFolder[Codes]):
    """The voices that were added, and their references. Blocking."""

    def __init__(self, folder: Path | None) -> None:
        read = partial(voice_folder.read_codes, books=_BOOKS, codes=_CODES)
        super().__init__(folder, "TTS_HIGGS_VOICES", "frames.npy", read)

    def reference(self, voice_id: str) -> Reference | None:
        """How an added voice sounds, None for one that was not added."""
        learned = self.learned(voice_id)
        return None if learned is None else Reference(learned.transcript, learned.sound)

    def add(self, name: str, language: str, transcript: str, frames: Codes) -> Voice:
        """Keep a voice; the same recording under the same name is the same voice."""
        return self.keep(name, language, transcript, partial(voice_folder.write_codes, frames=frames))
