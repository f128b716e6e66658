"""What was said, read for signs that it is over, or that it is not.

The words that tell stand per language in `turn_words.toml`; this file says only what they mean together.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from vad_service.settings import VadSettings
from vad_service.speech.events import Opinion
from vad_service.turn_end.predictor import Judgement, Pause
from vad_service.turn_end.predictors.sentence_model import SentenceModel

# A transcript that ends so long before the pause may lack the last word, which is the one that matters.
_STALE_AFTER_MS = 240
# So many number words in a row are being dictated; from so many digits on, a telephone number may be complete.
_DICTATED_NUMBERS = 3
_WHOLE_NUMBER_DIGITS = 10

# A question or a request is no shorter, but for those that are whole answers.
_ASKED_WORDS = 3

_TRAILING_OFF = re.compile(r"(\.\.|…|[-–—])\s*$")
_SENTENCE_END = re.compile(r"[.!?।？！。][\"'”’»)\]]*\s*$")
_QUESTION = re.compile(r"[?？][\"'”’»)\]]*\s*$")
_MORE_COMES = re.compile(r"[,;:،]\s*$")
# Sounds and broken-off words that a recogniser marks.
_EVENT = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Signs:
    """What each sign makes of the probability that the turn is over."""

    # "the", "and": nothing ends so.
    hanging: float = 0.02
    filler: float = 0.05
    trailing_off: float = 0.08
    more_comes: float = 0.15
    # "with", "is": few things end so, unless a full stop says they do.
    leaning: float = 0.2
    dictating: float = 0.25
    # "please": most things that end so are over.
    closing: float = 0.85
    sentence: float = 0.8
    question: float = 0.9
    answer: float = 0.9
    # "what is the latest news": a question by its beginning, whatever the recogniser makes of signs.
    asked: float = 0.95


@dataclass(frozen=True, slots=True)
class TurnWords:
    """The telling words of one language; an entry may be several words, and stands without capitals."""

    hanging: frozenset[str] = frozenset()
    leaning: frozenset[str] = frozenset()
    fillers: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()
    openers: frozenset[str] = frozenset()
    closing: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    longest: int = field(init=False)

    def __post_init__(self) -> None:
        entries = self.hanging | self.leaning | self.fillers | self.openers | self.closing
        object.__setattr__(self, "longest", max((len(entry.split()) for entry in entries), default=1))

    def ends_with(self, entries: frozenset[str], words: Sequence[str]) -> int:
        """How many of the last words make one of `entries`; the longest counts, 0 for none."""
        reach = range(min(self.longest, len(words)), 0, -1)
        return next((count for count in reach if " ".join(words[-count:]) in entries), 0)


@cache
def turn_words() -> dict[str, TurnWords]:
    """The telling words by language, ISO 639-1."""
    text = resources.files("vad_service.turn_end.predictors").joinpath("turn_words.toml").read_text(encoding="utf-8")
    return {
        language: TurnWords(**{kind: frozenset(entries) for kind, entries in kinds.items()})
        for language, kinds in tomllib.loads(text).items()
    }


def words_of(text: str) -> list[str]:
    """The words of `text` in small letters, without the punctuation around them."""
    spelled = unicodedata.normalize("NFC", _EVENT.sub(" ", text)).lower().replace("’", "'")
    return [word for piece in spelled.split() if (word := _bare(piece))]


def _bare(piece: str) -> str:
    first, last = 0, len(piece)
    while first < last and unicodedata.category(piece[first])[0] in "PS":
        first += 1
    while last > first and unicodedata.category(piece[last - 1])[0] in "PS":
        last -= 1
    return piece[first:last]


def completeness(text: str, language: str, signs: Signs) -> float | None:
    """Probability that `text` is all somebody wanted to say; None when nothing in it tells."""
    known = turn_words().get(language, TurnWords())
    words = words_of(text)
    if not words:
        return None
    if known.ends_with(known.fillers, words) and not _QUESTION.search(text):
        return signs.filler
    while lead := next((n for n in range(known.longest, 0, -1) if " ".join(words[:n]) in known.fillers), 0):
        words = words[lead:]
    if " ".join(words) in known.answers:
        return signs.answer
    return _by_ending(text, words, known, signs)


def _by_ending(text: str, words: Sequence[str], known: TurnWords, signs: Signs) -> float | None:
    is_question, trails_off = bool(_QUESTION.search(text)), bool(_TRAILING_OFF.search(text))
    ends = bool(_SENTENCE_END.search(text))
    hanging, leaning = known.ends_with(known.hanging, words), known.ends_with(known.leaning, words)
    closing = known.ends_with(known.closing, words)
    # Of two readings the longer counts, and what closes a sentence does not begin it.
    closes = max(hanging, leaning) < closing < len(words)
    found = (
        (is_question, signs.question),
        (hanging and not closes, signs.hanging),
        (trails_off, signs.trailing_off),
        (_MORE_COMES.search(text), signs.more_comes),
        (leaning and not ends and not closes, signs.leaning),
        (_is_dictating(words, known), signs.dictating),
        (_asks(words, known), signs.asked),
        (closes, signs.closing),
        (ends, signs.sentence),
    )
    return next((probability for sign, probability in found if sign), None)


def _asks(words: Sequence[str], known: TurnWords) -> bool:
    """Whether it begins as a question or a request does, and says of what."""
    opener = next((n for n in range(known.longest, 0, -1) if " ".join(words[:n]) in known.openers), 0)
    return opener > 0 and len(words) >= max(_ASKED_WORDS, opener + 1)


def _is_dictating(words: Sequence[str], known: TurnWords) -> bool:
    """Whether a number is being told digit by digit, and has not all of them yet."""
    count = digits = 0
    for word in reversed(words):
        if not (word.isdecimal() or word in known.numbers):
            break
        count += 1
        digits += len(word) if word.isdecimal() else 1
    return count >= _DICTATED_NUMBERS and digits < _WHOLE_NUMBER_DIGITS


class TextRule:
    """Reads the transcript; without one, or when it is too old, it knows nothing but the pause."""

    name = "text"
    audio_ms = 0

    def __init__(self, settings: VadSettings, signs: Signs | None = None) -> None:
        self._unread = settings.pause_probability
        self._signs = signs or Signs()
        self._sentence_model = SentenceModel(settings.models_dir / settings.sentence_model)

    def load(self) -> None:
        turn_words()
        if self._sentence_model.is_there():
            self._sentence_model.load()

    def predict(self, pause: Pause) -> Judgement:
        opinion = self.opinion(pause)
        return Judgement(opinion.probability if opinion else self._unread)

    def opinion(self, pause: Pause) -> Opinion | None:
        """What the transcript tells, if it tells anything."""
        transcript = pause.transcript
        if transcript is None or transcript.end_ms < pause.at_ms - _STALE_AFTER_MS:
            return None
        probability = self._read(transcript.text, pause.language)
        return None if probability is None else Opinion(self.name, probability)

    def _read(self, text: str, language: str) -> float | None:
        words = words_of(text)
        if words and language in self._sentence_model.languages:
            return self._sentence_model.probability(words)
        return completeness(text, language, self._signs)
