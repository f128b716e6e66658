"""Voices that speak one text together, each its own part of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from service_kit.errors import InvalidRequest

from tts_service.engine import Voice

_JOINT = "+"
# A tag has one digit; beyond four voices the references leave little room in the model's context.
_MIN_SPEAKERS, _MAX_SPEAKERS = 2, 4


def speakers_of(voice_id: str) -> tuple[str, ...]:
    """The voices of a cast, first speaker first; of any other voice itself."""
    return tuple(voice_id.split(_JOINT))


def check_cast(cast: str) -> None:
    """Raises `InvalidRequest` for a cast that is none."""
    speakers = speakers_of(cast)
    if not (_MIN_SPEAKERS <= len(speakers) <= _MAX_SPEAKERS and all(speakers)):
        raise InvalidRequest(
            "tts.cast_size", f"TTS_HIGGS_CASTS names {_MIN_SPEAKERS} to {_MAX_SPEAKERS} voices as a+b, not {cast!r}"
        )


def cast_voices(casts: Sequence[str], added: Sequence[Voice]) -> list[Voice]:
    """The casts as voices; one that lacks any of its voices is left out."""
    known = {voice.id: voice for voice in added}
    return [
        _cast(cast, [known[speaker] for speaker in speakers_of(cast)])
        for cast in casts
        if known.keys() >= set(speakers_of(cast))
    ]


def _cast(cast: str, speakers: list[Voice]) -> Voice:
    languages = dict.fromkeys(language for speaker in speakers for language in speaker.languages)
    name = f" {_JOINT} ".join(speaker.name for speaker in speakers)
    return Voice(cast, name, tuple(languages), cloned=True)
