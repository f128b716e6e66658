"""Cloned voices of higgs, kept as frames of its codec."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from service_kit.errors import InvalidRequest

from tts_service.engine import Voice
from tts_service.engines.higgs.model.delay import Codes
from tts_service.engines.higgs.prompt import VoiceReference
from tts_service.voices import voice_folder

_BOOKS, _CODES = 8, 1024
_SEPARATOR = "+"
# A tag has one digit; beyond four voices the references leave little room in the model's context.
_MIN_SPEAKERS, _MAX_SPEAKERS = 2, 4


class HiggsVoices(voice_folder.VoiceFolder[Codes]):
    """The voices that were added, and their references. Blocking."""

    def __init__(self, folder: Path | None) -> None:
        read = partial(voice_folder.read_codes, books=_BOOKS, codes=_CODES)
        super().__init__(folder, "TTS_HIGGS_VOICES", "frames.npy", read)

    def find_reference(self, voice_id: str) -> VoiceReference | None:
        """How an added voice sounds, None for one that was not added."""
        learned = self.find_voice(voice_id)
        return None if learned is None else VoiceReference(learned.transcript, learned.conditioning)

    def add_voice(self, name: str, language: str, transcript: str, frames: Codes) -> Voice:
        """Keep a voice; the same recording under the same name is the same voice."""
        return self.save_voice(name, language, transcript, partial(voice_folder.write_codes, frames=frames))


def speaker_ids(voice_id: str) -> tuple[str, ...]:
    """The voices of a cast, first speaker first; of any other voice itself."""
    return tuple(voice_id.split(_SEPARATOR))


def check_multi_speaker_id(cast: str) -> None:
    """Raises `InvalidRequest` for a cast that is none."""
    speakers = speaker_ids(cast)
    if not (_MIN_SPEAKERS <= len(speakers) <= _MAX_SPEAKERS and all(speakers)):
        raise InvalidRequest(
            "tts.cast_size", f"TTS_HIGGS_CASTS names {_MIN_SPEAKERS} to {_MAX_SPEAKERS} voices as a+b, not {cast!r}"
        )


def multi_speaker_voices(casts: Sequence[str], added: Sequence[Voice]) -> list[Voice]:
    """The casts as voices; one that lacks any of its voices is left out."""
    known = {voice.id: voice for voice in added}
    return [
        _multi_speaker_voice(cast, [known[speaker] for speaker in speaker_ids(cast)])
        for cast in casts
        if known.keys() >= set(speaker_ids(cast))
    ]


def _multi_speaker_voice(cast: str, speakers: list[Voice]) -> Voice:
    languages = dict.fromkeys(language for speaker in speakers for language in speaker.languages)
    name = f" {_SEPARATOR} ".join(speaker.name for speaker in speakers)
    return Voice(cast, name, tuple(languages), cloned=True)
