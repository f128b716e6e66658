"""Whisper's tokens: from the strings of its vocabulary to text and times.

The vocabulary is that of GPT-2: byte-level BPE, whose token strings write each byte as one printable letter
(`bytes_to_unicode` of openai/gpt-2, MIT). Special tokens stand in `<|...|>`; those with a number are times in seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

_SPECIAL = re.compile(r"<\|(.*)\|>")
_TIME = re.compile(r"<\|(\d+\.\d\d)\|>")


@cache
def byte_of_letter() -> dict[str, int]:
    """Return the byte that each letter of a token string stands for.

    Printable bytes of Latin-1 stand for themselves; the others follow, in order, as the letters from U+0100.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}


def to_bytes(token: str) -> bytes:
    """Return the bytes of a token that is not special. Raises `KeyError` for a letter outside the alphabet."""
    alphabet = byte_of_letter()
    return bytes(alphabet[letter] for letter in token)


def is_special(token: str) -> bool:
    """Return whether `token` is a time or a mark, not text."""
    return bool(_SPECIAL.fullmatch(token))


def time_of(token: str) -> float | None:
    """Return the time that `token` stands for, in seconds from the clip's start; None for other tokens."""
    match = _TIME.fullmatch(token)
    return float(match[1]) if match else None


def to_text(tokens: Iterable[str]) -> str:
    """Return the text of `tokens`, without the special ones; bytes that are not UTF-8 become U+FFFD."""
    return b"".join(to_bytes(token) for token in tokens if not is_special(token)).decode("utf-8", "replace").strip()


def cut_after(tokens: Sequence[str], end_s: float) -> int:
    """Return how many of `tokens` belong to the clip: those before the first time from `end_s` on that follows text.

    With a short encoder context, Whisper repeats the text behind that time.
    """
    has_text = False
    for at, token in enumerate(tokens):
        time_s = time_of(token)
        if time_s is None:
            has_text = has_text or not is_special(token)
        elif has_text and time_s >= end_s:
            return at
    return len(tokens)


def read_vocabulary(folder: Path) -> dict[str, int]:
    """Return the ids of a converted model's tokens. Raises `OSError` or `ValueError` for an unusable file."""
    as_json = folder / "vocabulary.json"
    if as_json.is_file():
        tokens = json.loads(as_json.read_text("utf-8"))
        if not isinstance(tokens, list):
            raise ValueError(f"{as_json.name} is not a list of tokens")
    else:
        tokens = (folder / "vocabulary.txt").read_text("utf-8").removesuffix("\n").split("\n")
    return {str(token): number for number, token in enumerate(tokens)}
