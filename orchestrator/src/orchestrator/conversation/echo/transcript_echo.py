"""Echo suppression by transcript: recognises the anchor's own words when the microphone picks them up.

The client's echo canceller removes most of the playback. The residue triggers voice activity; its transcript matches
the text of the reply that is playing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from orchestrator.conversation.echo.acoustic_echo import EchoEstimate
from orchestrator.conversation.model.ports import SpeechMark

# A word is letters and digits with their combining marks: Devanagari writes its vowels as marks.
_GAP = re.compile(r"[^\w\u0900-\u097f]+|_|[\u0964\u0965]")
_ELONGATED = re.compile(r"(\w)\1+")
# Accents of the Latin script, and the dot of the Devanagari: recognisers use them inconsistently.
_ACCENTS = re.compile("[\u0300-\u036f\u093c]")
_NASAL = str.maketrans("\u0901", "\u0902")


def words_of(text: str) -> tuple[str, ...]:
    """The words of `text`; "D'accord, sí!" is `d`, `accord`, `si`."""
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold())).translate(_NASAL)
    return tuple(word for word in _GAP.split(unicodedata.normalize("NFC", plain)) if word)


def shortened(word: str) -> str:
    """`word` with repeated letters collapsed: "mmmhm" is `mhm`."""
    return _ELONGATED.sub(r"\1", word)


# The part of a reply that an utterance may echo: from this long before the utterance (clients play later than they
# report, and voice activity detects late) to this long after the last reported position.
_BEFORE_MS = 2_000
_AHEAD_MS = 1_000
_MAX_SPAN_MS = 10_000
# How long after the reply's end the client may still play it, or the room reverberate.
ECHO_TAIL_MS = 1_000
# Time per character in fast and slow speech, for replies without speech marks.
_FAST_MS_PER_CHARACTER = 45
_SLOW_MS_PER_CHARACTER = 110
# This close to its end, a reply with a final question mark has asked its question.
_ASKED_MS = 1_000

# An utterance is an echo when at least this share of its words is the anchor's.
_MIN_ECHO_SHARE = 0.7
# Two words with at least this similarity count as one misheard word ("ninety" for "nineteen").
_MIN_SIMILARITY = 0.7
_MIN_SIMILAR_LENGTH = 3


@dataclass(frozen=True, slots=True)
class PlaybackContext:
    """The playback during an utterance: the reply text that may echo in it, and its language.

    `asking`: the reply ends with a question that has just been asked. `echo_estimate`: the acoustic estimate, None
    where no echo was found.
    """

    text: str = ""
    language: str = "en"
    asking: bool = False
    echo_estimate: EchoEstimate | None = None


NO_PLAYBACK = PlaybackContext()


def playback_context(
    text: str, marks: Sequence[SpeechMark], *, at_ms: int, for_ms: int, duration_ms: int | None, language: str
) -> PlaybackContext:
    """The part of a reply that may echo in an utterance that began `for_ms` ago, with playback at `at_ms`.

    `duration_ms` is the length of the whole reply, None while unknown.
    """
    until_ms = at_ms + _AHEAD_MS
    span_ms = min(_MAX_SPAN_MS, max(0, for_ms) + _BEFORE_MS)
    asking = duration_ms is not None and at_ms >= duration_ms - _ASKED_MS and text.rstrip().endswith("?")
    return PlaybackContext(_text_between(text, marks, max(0, at_ms - span_ms), until_ms), language, asking)


def _text_between(text: str, marks: Sequence[SpeechMark], from_ms: int, until_ms: int) -> str:
    """The part of `text` spoken between two offsets of its speech, in doubt too much rather than too little."""
    if not marks:
        return text[from_ms // _SLOW_MS_PER_CHARACTER : until_ms // _FAST_MS_PER_CHARACTER]
    # The words of a mark last until the next mark.
    following = [*(mark.offset_ms for mark in marks[1:]), None]
    spans = [
        mark
        for mark, end_ms in zip(marks, following, strict=True)
        if mark.offset_ms < until_ms and (end_ms is None or end_ms > from_ms)
    ]
    return text[spans[0].text_start : spans[-1].text_end] if spans else ""


def is_echo(transcript: str, played: str) -> bool:
    """Whether most words of `transcript` come from the `played` reply text.

    Words count in the same order only; similar words count as misheard. A number in `played` is written in digits and
    transcribed in words: numbers account for at most as many words as match otherwise.
    """
    transcript_words, played_words = words_of(transcript), words_of(played)
    if not transcript_words or not played_words:
        return False
    return _count_common(transcript_words, played_words) / len(transcript_words) >= _MIN_ECHO_SHARE


def _count_common(transcript: Sequence[str], played: Sequence[str]) -> int:
    """How many words of `transcript` occur in `played`, in order."""
    # Longest common subsequence; beside each length, how many words the numbers of `played` could account for.
    row = [(0, 0)] * (len(played) + 1)
    for word in transcript:
        before, row = row, [(0, 0)]
        for at, candidate in enumerate(played, start=1):
            best = max(before[at], row[at - 1])
            found, numbers = before[at - 1]
            if _is_similar(word, candidate):
                best = max(best, (found + 1, numbers))
            elif candidate.isdecimal():
                # A number spans several words, so it may match again: from `before[at]`.
                best = max(best, (found, numbers + 1), (before[at][0], before[at][1] + 1))
            row.append(best)
    found, numbers = row[-1]
    return found + min(found, numbers)


def _is_similar(word: str, other: str) -> bool:
    if word == other:
        return True
    if min(len(word), len(other)) < _MIN_SIMILAR_LENGTH:
        return False
    matcher = SequenceMatcher(None, word, other, autojunk=False)
    return matcher.real_quick_ratio() >= _MIN_SIMILARITY and matcher.ratio() >= _MIN_SIMILARITY
