"""The voices of higgs: cloned ones, stored as codec frames, and multi-speaker ones, which combine cloned voices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from service_kit.errors import InvalidRequest

from tts_service.engine import Voice, VoiceConsent
from tts_service.engines.higgs.delay import Codes
from tts_service.engines.higgs.prompt import VoiceReference
from tts_service.voices import voice_folder

# The codec's codebooks, and the codes of each.
CODEC_BOOKS, CODEC_CODES = 8, 1024
_SEPARATOR = "+"
# Speaker tags have one digit; beyond four speakers the references leave little room in the model's context.
_MIN_SPEAKERS, _MAX_SPEAKERS = 2, 4


class HiggsVoices(voice_folder.VoiceFolder[Codes]):
    """The cloned voices and their references. Blocking."""

    def __init__(self, folder: Path | None) -> None:
        read = partial(voice_folder.read_codes, books=CODEC_BOOKS, codes=CODEC_CODES)
        super().__init__(folder, "TTS_HIGGS_VOICES", "frames.npy", read)

    def find_reference(self, voice_id: str) -> VoiceReference | None:
        """The reference of a cloned voice; None for any other voice."""
        cloned = self.find_voice(voice_id)
        return None if cloned is None else VoiceReference(cloned.transcript, cloned.conditioning)

    def add_voice(
        self, name: str, language: str, transcript: str, frames: Codes, consent: VoiceConsent | None = None
    ) -> Voice:
        """Save a cloned voice; the same recording under the same name is one voice."""
        return self.save_voice(name, language, transcript, partial(voice_folder.write_codes, frames=frames), consent)


def speaker_ids(voice_id: str) -> tuple[str, ...]:
    """The voice ids of a multi-speaker voice, first speaker first; of any other voice its own id."""
    return tuple(voice_id.split(_SEPARATOR))


def check_multi_speaker_id(voice_id: str) -> None:
    """Raises `InvalidRequest` for an id that does not name two to four speakers."""
    speakers = speaker_ids(voice_id)
    if not (_MIN_SPEAKERS <= len(speakers) <= _MAX_SPEAKERS and all(speakers)):
        raise InvalidRequest(
            "tts.cast_size", f"TTS_HIGGS_CASTS takes {_MIN_SPEAKERS} to {_MAX_SPEAKERS} voices as a+b, not {voice_id!r}"
        )


def multi_speaker_voices(voice_ids: Sequence[str], cloned: Sequence[Voice]) -> list[Voice]:
    """The multi-speaker voices with these ids; omits those with a speaker that is not among the cloned voices."""
    known = {voice.id: voice for voice in cloned}
    return [
        _multi_speaker_voice(voice_id, [known[speaker] for speaker in speaker_ids(voice_id)])
        for voice_id in voice_ids
        if known.keys() >= set(speaker_ids(voice_id))
    ]


def _multi_speaker_voice(voice_id: str, speakers: list[Voice]) -> Voice:
    languages = dict.fromkeys(language for speaker in speakers for language in speaker.languages)
    name = f" {_SEPARATOR} ".join(speaker.name for speaker in speakers)
    return Voice(voice_id, name, tuple(languages), cloned=True)
