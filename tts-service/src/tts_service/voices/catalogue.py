"""Voice lookup: by id, by language, with and without the engine's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from service_kit.errors import InvalidRequest

from tts_service.engine import Style, SynthesisConfig, Voice


def primary_language(language: str) -> str:
    """The ISO 639-1 code of a language tag: `pt` of `pt-BR`."""
    return language.strip().lower().replace("_", "-").partition("-")[0]


def voices_for_language(voices: Sequence[Voice], language: str) -> list[Voice]:
    """The voices that speak `language`, its default first; all voices if `language` is empty."""
    code = primary_language(language)
    return [voice for voice in voices if not code or code in voice.languages]


def qualify_voice(voice: Voice, engine: str) -> Voice:
    """The voice with its engine's name in its id, for services with several engines."""
    return replace(voice, id=f"{engine}:{voice.id}", engine=engine)


def local_voice_id(voice_id: str) -> str:
    """The voice id within its engine."""
    return voice_id.rpartition(":")[2]


def find_voice(voices: Sequence[Voice], voice_id: str) -> Voice | None:
    """The voice with that id. An id without an engine's name matches the first engine that has the voice."""
    for voice in voices:
        if voice_id == voice.id:
            return voice
    engine, _, local_id = voice_id.rpartition(":")
    matches = (voice for voice in voices if local_id == local_voice_id(voice.id))
    return next((voice for voice in matches if not engine or not voice.engine), None)


def resolve_config(voices: Sequence[Voice], voice_id: str, language: str, style: Style) -> SynthesisConfig:
    """Resolve a request's voice and language; an empty voice means the language's default.

    Raises `InvalidRequest` for an unknown voice, an unknown language, and a style out of range.
    """
    _check_style(style)
    code = primary_language(language)
    if voice_id:
        voice = find_voice(voices, voice_id)
        if voice is None:
            raise InvalidRequest("tts.unknown_voice", f"no voice {voice_id!r}")
        code = code or voice.languages[0]
        if code not in voice.languages:
            raise InvalidRequest("tts.unknown_language", f"voice {voice_id!r} does not speak {language!r}")
        return SynthesisConfig(voice, code, style)
    speaking = voices_for_language(voices, code) if code else []
    if not speaking:
        raise InvalidRequest("tts.unknown_language", f"no voice speaks {language!r}")
    return SynthesisConfig(speaking[0], code, style)


def _check_style(style: Style) -> None:
    traits = [trait for trait in (style.warmth, style.humour, style.energy) if trait is not None]
    # NaN fails every comparison, so it is refused too.
    if not (0.5 <= style.pace <= 2 and all(0 <= trait <= 1 for trait in traits)):
        raise InvalidRequest("tts.style_out_of_range", "pace must be 0.5 to 2, and each other trait 0 to 1")
