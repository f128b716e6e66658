"""The voices of Pocket TTS: built-in ones from the model's folder, and cloned ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from service_kit.errors import EngineFailed, NotFound

from tts_service.engine import Voice
from tts_service.voices.voice_folder import VoiceFolder

SETTING = "TTS_POCKET_VOICES"
_BUILT_IN = "voices"


class PocketVoices:
    """Each voice is a file of state. `check_voice` returns a valid path, or raises `ValueError`. Blocking."""

    def __init__(self, model: Path, cloned: Path | None, language: str, check_voice: Callable[[Path], Path]) -> None:
        self._language = language
        self._check_voice = check_voice
        self._model = model
        self._built_in: dict[str, Path] = {}
        self.cloned: VoiceFolder[Path] = VoiceFolder(cloned, SETTING, "voice.safetensors", check_voice)

    def load(self) -> None:
        """Find the voices. Raises `EngineFailed` for a built-in voice of another model, and when there is no voice."""
        folder = self._model / _BUILT_IN
        for path in sorted(folder.glob("*.safetensors")):
            try:
                self._built_in[path.stem] = self._check_voice(path)
            except ValueError as error:
                raise EngineFailed(
                    "tts.voice_broken", f"{error}; copy it from this model's folder, or remove it"
                ) from error
        self.cloned.load()
        if not self.voices():
            raise EngineFailed(
                "tts.no_voice", f"there is no voice in {folder}; put one there, as `pocket-tts export-voice` writes it"
            )

    def voices(self) -> Sequence[Voice]:
        """All voices, built-in ones first."""
        built_in = [Voice(name, name.replace("_", " ").title(), (self._language,)) for name in self._built_in]
        return (*built_in, *self.cloned.voices())

    def voice_path(self, voice_id: str) -> Path:
        """The file of a voice. Raises `NotFound` for an unknown voice, which may have been deleted meanwhile."""
        if voice_id in self._built_in:
            return self._built_in[voice_id]
        cloned = self.cloned.find_voice(voice_id)
        if cloned is None:
            raise NotFound("tts.unknown_voice", f"no voice {voice_id!r}")
        return cloned.conditioning
