"""Captions of a transcript: what is read at one time, as SubRip, WebVTT, or segments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.conversation.messages.server import Word

# Two lines of subtitles, as broadcasters have them.
MAX_CHARS = 84
# Whoever is silent so long begins anew.
PAUSE_MS = 1000
SENTENCE_ENDS = (".", "?", "!", "…", "।", "。", "？", "！")


@dataclass(frozen=True, slots=True)
class Caption:
    """Text that is shown from `start_ms` to `end_ms` of a recording."""

    text: str
    start_ms: int
    end_ms: int


def captions(text: str, words: Sequence[Word], length_ms: int) -> list[Caption]:
    """The captions of `text`: by its words; all of it at once where they have no times."""
    if not words:
        return [Caption(text, 0, length_ms)] if text else []
    groups: list[list[Word]] = []
    for word in words:
        if not groups or _begins_anew(groups[-1], word):
            groups.append([])
        groups[-1].append(word)
    return [Caption(_line(group), group[0].start_ms, group[-1].end_ms) for group in groups]


def srt(shown: Iterable[Caption]) -> str:
    """A SubRip file."""
    return "".join(
        f"{number}\n{_time(caption.start_ms, ',')} --> {_time(caption.end_ms, ',')}\n{caption.text}\n\n"
        for number, caption in enumerate(shown, 1)
    )


def vtt(shown: Iterable[Caption]) -> str:
    """A WebVTT file."""
    cues = (
        f"{_time(caption.start_ms, '.')} --> {_time(caption.end_ms, '.')}\n{_escaped(caption.text)}\n\n"
        for caption in shown
    )
    return "WEBVTT\n\n" + "".join(cues)


def _begins_anew(group: list[Word], word: Word) -> bool:
    last = group[-1]
    return (
        last.text.endswith(SENTENCE_ENDS)
        or word.start_ms - last.end_ms >= PAUSE_MS
        or len(_line([*group, word])) > MAX_CHARS
    )


def _line(words: list[Word]) -> str:
    return " ".join(word.text for word in words)


def _time(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{ms:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
