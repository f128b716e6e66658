"""Which voice a request means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from service_kit.errors import InvalidRequest

from tts_service.engine import Style, SynthesisConfig, Voice


def primary_language(language: str) -> str:
    """ISO 639-1 code of a language tag: `pt` of `pt-BR`."""
    return language.strip().lower().replace("_", "-").partition("-")[0]


def voices_for_language(voices: Sequence[Voice], language: str) -> list[Voice]:
    """The voices that speak `language`, its default first; all voices for an empty one."""
    code = primary_language(language)
    return [voice for voice in voices if not code or code in voice.languages]


def qualify_voice(voice: Voice, engine: str) -> Voice:
    """The voice as it is called where several engines speak."""
    return replace(voice, id=f"{engine}:{voice.id}", engine=engine)


def local_voice_id(voice_id: str) -> str:
    """What the engine itself calls the voice."""
    return voice_id.rpartition(":")[2]


def find_voice(voices: Sequence[Voice], voice_id: str) -> Voice | None:
    """The voice of that id. One that names no engine is looked for in all."""
    for voice in voices:
        if voice_id == voice.id:
            return voice
    engine, _, own_id = voice_id.rpartition(":")
    alike = (voice for voice in voices if own_id == local_voice_id(voice.id))
    return next((voice for voice in alike if not engine or not voice.engine), None)


def resolve_config(voices: Sequence[Voice], voice_id: str, language: str, style: Style) -> SynthesisConfig:
    """Resolve a request's voice and language; an empty voice is the language's default.

    Raises `InvalidRequest` when the voice or the language is not spoken here, or the style out of its range.
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
    # NaN fails every comparison, so it is refused as well.
    if not (0.5 <= style.pace <= 2 and all(0 <= trait <= 1 for trait in traits)):
        raise InvalidRequest("tts.style_out_of_range", "pace goes from 0.5 to 2, the other traits from 0 to 1")
