"""Echo: the anchor's own words, back from the speaker through the microphone.

A canceller in the client takes most of them away. What it leaves, voice activity takes for the user; the transcript
gives it away, since it says what the anchor is saying.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from orchestrator.conversation.echo.acoustic_echo import EchoEstimate
from orchestrator.conversation.model.ports import SpeechMark

# A word is letters and digits with whatever marks stand on them: Devanagari writes its vowels as marks.
_GAP = re.compile(r"[^\w\u0900-\u097f]+|_|[\u0964\u0965]")
_ELONGATED = re.compile(r"(\w)\1+")
# Accents of the Latin script, and the dot of the Devanagari: recognisers set them, or do not, as they like.
_ACCENTS = re.compile("[\u0300-\u036f\u093c]")
_NASAL = str.maketrans("\u0901", "\u0902")


def words_of(text: str) -> tuple[str, ...]:
    """The words of `text`; "D'accord, sí!" is `d`, `accord`, `si`."""
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold())).translate(_NASAL)
    return tuple(word for word in _GAP.split(unicodedata.normalize("NFC", plain)) if word)


def shortened(word: str) -> str:
    """`word` with every drawn-out letter said once: "mmmhm" is `mhm`."""
    return _ELONGATED.sub(r"\1", word)


# What of the reply an utterance may be an echo of: what sounded from this long before it began (a client plays later
# than it says, and voice activity notices late) to this long after the position that was last reported.
_BEFORE_MS = 2_000
_AHEAD_MS = 1_000
_LONGEST_MS = 10_000
# How long after the reply's end the room and the client may still repeat it.
TAIL_MS = 1_000
# A reply without marks is placed by these: fast and slow speech, for one character.
_FAST_MS_PER_CHARACTER = 45
_SLOW_MS_PER_CHARACTER = 110
# Within this of its end, a reply that ends in a question mark has put its question.
_ASKED_MS = 1_000

# An utterance is an echo when this much of it is the anchor's.
_MOSTLY = 0.7
# Words as alike as this are held to be one word misheard ("ninety" for "nineteen").
_ALIKE = 0.7
_SHORTEST_ALIKE = 3


@dataclass(frozen=True, slots=True)
class PlaybackContext:
    """What the anchor says while an utterance is heard: the text that may echo in it, in which language.

    `asking`: the reply ends with a question, and that has just been put. `echo_estimate`: what the microphone holds of
    the anchor's own voice, whatever the words; None for nothing.
    """

    text: str = ""
    language: str = "en"
    asking: bool = False
    echo_estimate: EchoEstimate | None = None


NO_PLAYBACK = PlaybackContext()


def playback_context(
    text: str, marks: Sequence[SpeechMark], *, at_ms: int, for_ms: int, duration_ms: int | None, language: str
) -> PlaybackContext:
    """What of a reply can be heard in an utterance that began `for_ms` ago, when the reply has come to `at_ms`.

    `duration_ms` is the length of the whole reply, None while that is not known.
    """
    until_ms = at_ms + _AHEAD_MS
    span_ms = min(_LONGEST_MS, max(0, for_ms) + _BEFORE_MS)
    asking = duration_ms is not None and at_ms >= duration_ms - _ASKED_MS and text.rstrip().endswith("?")
    return PlaybackContext(_text_between(text, marks, max(0, at_ms - span_ms), until_ms), language, asking)


def _text_between(text: str, marks: Sequence[SpeechMark], from_ms: int, until_ms: int) -> str:
    """The part of `text` that sounds between two moments of its speech, rather too much than too little."""
    if not marks:
        return text[from_ms // _SLOW_MS_PER_CHARACTER : until_ms // _FAST_MS_PER_CHARACTER]
    # A mark's span sounds until the next one begins.
    following = [*(mark.offset_ms for mark in marks[1:]), None]
    spans = [
        mark
        for mark, end_ms in zip(marks, following, strict=True)
        if mark.offset_ms < until_ms and (end_ms is None or end_ms > from_ms)
    ]
    return text[spans[0].text_start : spans[-1].text_end] if spans else ""


def is_echo(heard: str, said: str) -> bool:
    """Whether what was `heard` is mostly what the anchor has just `said`.

    Words count when they come in the same order, misheard ones too when they are alike. A number in `said` is
    written in digits and heard in words: it stands for as many words as there are others to vouch for it.
    """
    heard_words, said_words = words_of(heard), words_of(said)
    if not heard_words or not said_words:
        return False
    return _common(heard_words, said_words) / len(heard_words) >= _MOSTLY


def _common(heard: Sequence[str], said: Sequence[str]) -> int:
    """How many words of `heard` are found in `said`, in order."""
    # Longest common subsequence; beside each length, how many words the numbers of `said` could account for.
    row = [(0, 0)] * (len(said) + 1)
    for word in heard:
        before, row = row, [(0, 0)]
        for at, candidate in enumerate(said, start=1):
            best = max(before[at], row[at - 1])
            found, numbers = before[at - 1]
            if _alike(word, candidate):
                best = max(best, (found + 1, numbers))
            elif candidate.isdecimal():
                # A number goes on over several words, so it may be taken again: from `before[at]`.
                best = max(best, (found, numbers + 1), (before[at][0], before[at][1] + 1))
            row.append(best)
    found, numbers = row[-1]
    return found + min(found, numbers)


def _alike(word: str, other: str) -> bool:
    if word == other:
        return True
    if min(len(word), len(other)) < _SHORTEST_ALIKE:
        return False
    matcher = SequenceMatcher(None, word, other, autojunk=False)
    return matcher.real_quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE
