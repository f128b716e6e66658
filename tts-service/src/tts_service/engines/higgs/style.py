"""Maps a speaking style to higgs's inputs: words in the scene description, and a temperature. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tts_service.engine import Style
from tts_service.engines.higgs.prompt import QUIET_ROOM

# A trait at or below the first, or at or above the second, adds a word. Few words mean few cached prompts.
_LOW, _HIGH = 1 / 3, 2 / 3
# The change of the temperature over the range of each trait: lively and playful speech varies more.
_ENERGY_SWING, _HUMOUR_SWING = 0.2, 0.1
# Below the first, speech is monotonous and gets stuck; above the second, it stumbles. A configured temperature may
# exceed both.
_COLDEST, _HOTTEST = 0.2, 0.9


@dataclass(frozen=True, slots=True)
class StylePrompt:
    """The scene description of the prompt, and the sampling temperature."""

    scene: str
    temperature: float


def build_style_prompt(style: Style, temperature: float) -> StylePrompt:
    """Build the scene and temperature for `style`; `temperature` is the configured one, for a neutral style."""
    tone = _join_words(
        [
            word
            for word in (
                _trait_word(style.warmth, "cool", "warm"),
                _trait_word(style.humour, "earnest", "playful"),
                _trait_word(style.energy, "calm", "lively"),
            )
            if word
        ]
    )
    sentences = [QUIET_ROOM]
    if tone:
        sentences.append(f"The speaker's tone is {tone}.")
    if speed := _speed_word(style.pace):
        sentences.append(f"The speaker talks {speed}.")
    shifted = (
        temperature
        + _temperature_offset(style.energy, _ENERGY_SWING)
        + _temperature_offset(style.humour, _HUMOUR_SWING)
    )
    coldest, hottest = min(_COLDEST, temperature), max(_HOTTEST, temperature)
    return StylePrompt(" ".join(sentences), min(max(shifted, coldest), hottest))


def _trait_word(trait: float | None, low: str, high: str) -> str:
    if trait is None or _LOW < trait < _HIGH:
        return ""
    return low if trait <= _LOW else high


def _temperature_offset(trait: float | None, whole: float) -> float:
    return 0.0 if trait is None else (trait - 0.5) * whole


def _speed_word(pace: float) -> str:
    for slowest, word in ((1.4, "very fast"), (1.15, "fast"), (0.87, ""), (0.7, "slowly")):
        if pace >= slowest:
            return word
    return "very slowly"


def _join_words(words: list[str]) -> str:
    return " and ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else "".join(words)
