"""The voices of Pocket TTS: states that came with the model, and states of recordings that were added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from service_kit.errors import EngineFailed, NotFound

from tts_service.engine import Voice
from tts_service.voices.voice_folder import VoiceFolder

SETTING = "TTS_POCKET_VOICES"
_BUILT_IN = "voices"


class PocketVoices:
    """Each voice is a file. `checked` returns a path that is one's, and raises `ValueError` for others. Blocking."""

    def __init__(self, model: Path, added: Path | None, language: str, check_voice: Callable[[Path], Path]) -> None:
        self._language = language
        self._check_voice = check_voice
        self._model = model
        self._built_in: dict[str, Path] = {}
        self.added: VoiceFolder[Path] = VoiceFolder(added, SETTING, "voice.safetensors", check_voice)

    def load(self) -> None:
        """Find the voices. Raises `EngineFailed` when one of the model's does not fit it, or there is none at all."""
        folder = self._model / _BUILT_IN
        for path in sorted(folder.glob("*.safetensors")):
            try:
                self._built_in[path.stem] = self._check_voice(path)
            except ValueError as error:
                raise EngineFailed(
                    "tts.voice_broken", f"{error}; take it from the folder of this model, or remove it"
                ) from error
        self.added.load()
        if not self.voices():
            raise EngineFailed(
                "tts.no_voice", f"there is no voice in {folder}; put one there, as `pocket-tts export-voice` writes it"
            )

    def voices(self) -> Sequence[Voice]:
        """All voices, those of the model first."""
        built_in = [Voice(name, name.replace("_", " ").title(), (self._language,)) for name in self._built_in]
        return (*built_in, *self.added.voices())

    def voice_path(self, voice_id: str) -> Path:
        """The file of a voice. Raises `NotFound` when it was deleted meanwhile."""
        if voice_id in self._built_in:
            return self._built_in[voice_id]
        learned = self.added.find_voice(voice_id)
        if learned is None:
            raise NotFound("tts.unknown_voice", f"no voice {voice_id!r}")
        return learned.conditioning
