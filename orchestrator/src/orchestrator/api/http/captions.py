"""Splits a transcript into captions, and renders them as SubRip or WebVTT."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.conversation.messages.server import Word

# Two subtitle lines, by broadcasters' convention.
MAX_CHARS = 84
# A pause of this length between two words starts a new caption.
PAUSE_MS = 1000
SENTENCE_ENDS = (".", "?", "!", "…", "।", "。", "？", "！")


@dataclass(frozen=True, slots=True)
class Caption:
    """Text shown from `start_ms` to `end_ms` of a recording."""

    text: str
    start_ms: int
    end_ms: int


def make_captions(text: str, words: Sequence[Word], duration_ms: int) -> list[Caption]:
    """Split a transcript by its timed `words`; without them, make one caption of all `text`."""
    if not words:
        return [Caption(text, 0, duration_ms)] if text else []
    groups: list[list[Word]] = []
    for word in words:
        if not groups or _starts_new_caption(groups[-1], word):
            groups.append([])
        groups[-1].append(word)
    return [Caption(_join_words(group), group[0].start_ms, group[-1].end_ms) for group in groups]


def to_srt(captions: Iterable[Caption]) -> str:
    """Render a SubRip file."""
    return "".join(
        f"{number}\n{_timestamp(caption.start_ms, ',')} --> {_timestamp(caption.end_ms, ',')}\n{caption.text}\n\n"
        for number, caption in enumerate(captions, 1)
    )


def to_vtt(captions: Iterable[Caption]) -> str:
    """Render a WebVTT file."""
    cues = (
        f"{_timestamp(caption.start_ms, '.')} --> {_timestamp(caption.end_ms, '.')}\n{_escape_markup(caption.text)}\n\n"
        for caption in captions
    )
    return "WEBVTT\n\n" + "".join(cues)


def _starts_new_caption(group: list[Word], word: Word) -> bool:
    last = group[-1]
    return (
        last.text.endswith(SENTENCE_ENDS)
        or word.start_ms - last.end_ms >= PAUSE_MS
        or len(_join_words([*group, word])) > MAX_CHARS
    )


def _join_words(words: list[Word]) -> str:
    return " ".join(word.text for word in words)


def _timestamp(ms: int, decimal_mark: str) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{decimal_mark}{ms:03}"


def _escape_markup(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
