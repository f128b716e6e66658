"""The voices of Kokoro-82M that this project uses: one file each, named `<language><sex>_<name>`."""

from __future__ import annotations

from pathlib import Path

from tts_service.engine import Voice

# 510 rows for phrases of 1 to 510 phonemes; float32 [510, 1, 256].
STYLE_SHAPE = (510, 256)
STYLE_BYTES = STYLE_SHAPE[0] * STYLE_SHAPE[1] * 4

# Its Japanese and Chinese voices need other phonemes.
_LANGUAGES = {
    "a": ("en", "American English"),
    "b": ("en", "British English"),
    "e": ("es", "Spanish"),
    "f": ("fr", "French"),
    "h": ("hi", "Hindi"),
    "i": ("it", "Italian"),
    "p": ("pt", "Portuguese of Brazil"),
}
_SEXES = {"f": "woman", "m": "man"}
# The first voice of each language; others follow by name. For English the voice that hibari was made from.
_DEFAULTS = ("af_heart", "ef_dora", "ff_siwis", "hf_alpha", "if_sara", "pf_dora")


def list_voices(folder: Path) -> tuple[Voice, ...]:
    """The voices in the model's folder, each language's default first; files of another size are left out."""
    files = {
        path.stem: path
        for path in sorted((folder / "voices").glob("[abefhip][fm]_*.bin"))
        if path.stat().st_size == STYLE_BYTES
    }
    names = dict.fromkeys((*(name for name in _DEFAULTS if name in files), *files))
    return tuple(_voice(name) for name in names)


def _voice(name: str) -> Voice:
    language, accent = _LANGUAGES[name[0]]
    return Voice(name, f"{name[3:].capitalize()}, {accent}, {_SEXES[name[1]]}", (language,))
