"""Predicts from the transcript whether the turn is over.

`turn_words.toml` holds the cue words per language; this module holds the rules that combine them.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from vad_service.events import PredictorOpinion
from vad_service.settings import VadSettings
from vad_service.turn_end.predictor import Pause, Prediction
from vad_service.turn_end.predictors.sentence_model import SentenceModel

# A transcript that ends this long before the pause may lack the last word, which matters most.
_STALE_AFTER_MS = 240
# At least this many number words in a row are a dictation; with this many digits, a telephone number may be complete.
_MIN_DICTATED_NUMBERS = 3
_WHOLE_NUMBER_DIGITS = 10

# Shortest question or request, in words; shorter ones are listed under `answers`.
_MIN_QUESTION_WORDS = 3

_TRAILING_OFF = re.compile(r"(\.\.|…|[-–—])\s*$")
_SENTENCE_END = re.compile(r"[.!?।？！。][\"'”’»)\]]*\s*$")
_QUESTION = re.compile(r"[?？][\"'”’»)\]]*\s*$")
_COMMA = re.compile(r"[,;:،]\s*$")
# Noises and broken-off words as recognisers mark them.
_NOISE = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class CueProbabilities:
    """Probability that the turn is over, by the cue found in the transcript."""

    # Ends with "the" or "and": no turn ends so.
    hanging: float = 0.02
    filler: float = 0.05
    trailing_off: float = 0.08
    comma: float = 0.15
    # Ends with "with" or "is": few turns end so, unless there is a full stop.
    leaning: float = 0.2
    dictating: float = 0.25
    # Ends with "please": most such turns are over.
    closing: float = 0.85
    sentence: float = 0.8
    question: float = 0.9
    answer: float = 0.9
    # "what is the latest news": opens as a question, whatever its punctuation.
    question_opener: float = 0.95


@dataclass(frozen=True, slots=True)
class TurnWords:
    """The cue words of one language, in lower case; an entry may be several words."""

    hanging: frozenset[str] = frozenset()
    leaning: frozenset[str] = frozenset()
    fillers: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()
    openers: frozenset[str] = frozenset()
    closing: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    # Length of the longest entry, in words.
    longest: int = field(init=False)

    def __post_init__(self) -> None:
        entries = self.hanging | self.leaning | self.fillers | self.openers | self.closing
        object.__setattr__(self, "longest", max((len(entry.split()) for entry in entries), default=1))

    def suffix_length(self, entries: frozenset[str], words: Sequence[str]) -> int:
        """Return the length of the longest of `entries` that `words` end with, in words; 0 for none."""
        lengths = range(min(self.longest, len(words)), 0, -1)
        return next((length for length in lengths if " ".join(words[-length:]) in entries), 0)


@cache
def turn_words() -> dict[str, TurnWords]:
    """Return the cue words by language, ISO 639-1."""
    text = resources.files("vad_service.turn_end.predictors").joinpath("turn_words.toml").read_text(encoding="utf-8")
    return {
        language: TurnWords(**{kind: frozenset(entries) for kind, entries in kinds.items()})
        for language, kinds in tomllib.loads(text).items()
    }


def normalised_words(text: str) -> list[str]:
    """Return the words of `text` in lower case, without surrounding punctuation and without noise marks."""
    spelled = unicodedata.normalize("NFC", _NOISE.sub(" ", text)).lower().replace("’", "'")
    return [word for piece in spelled.split() if (word := _strip_punctuation(piece))]


def _strip_punctuation(piece: str) -> str:
    first, last = 0, len(piece)
    while first < last and unicodedata.category(piece[first])[0] in "PS":
        first += 1
    while last > first and unicodedata.category(piece[last - 1])[0] in "PS":
        last -= 1
    return piece[first:last]


def completeness(text: str, language: str, cues: CueProbabilities) -> float | None:
    """Return the probability that `text` is a complete turn; None when it has no cue."""
    known = turn_words().get(language, TurnWords())
    words = normalised_words(text)
    if not words:
        return None
    if known.suffix_length(known.fillers, words) and not _QUESTION.search(text):
        return cues.filler
    while lead := next((n for n in range(known.longest, 0, -1) if " ".join(words[:n]) in known.fillers), 0):
        words = words[lead:]
    if " ".join(words) in known.answers:
        return cues.answer
    return _by_ending(text, words, known, cues)


def _by_ending(text: str, words: Sequence[str], known: TurnWords, cues: CueProbabilities) -> float | None:
    is_question, trails_off = bool(_QUESTION.search(text)), bool(_TRAILING_OFF.search(text))
    ends = bool(_SENTENCE_END.search(text))
    hanging, leaning = known.suffix_length(known.hanging, words), known.suffix_length(known.leaning, words)
    closing = known.suffix_length(known.closing, words)
    # Of two matching entries the longer counts, and a closing entry must not be the whole text.
    closes = max(hanging, leaning) < closing < len(words)
    found = (
        (is_question, cues.question),
        (hanging and not closes, cues.hanging),
        (trails_off, cues.trailing_off),
        (_COMMA.search(text), cues.comma),
        (leaning and not ends and not closes, cues.leaning),
        (_is_dictating(words, known), cues.dictating),
        (_opens_as_question(words, known), cues.question_opener),
        (closes, cues.closing),
        (ends, cues.sentence),
    )
    return next((probability for cue, probability in found if cue), None)


def _opens_as_question(words: Sequence[str], known: TurnWords) -> bool:
    """Return whether the words open as a question or request and continue with its subject."""
    opener = next((n for n in range(known.longest, 0, -1) if " ".join(words[:n]) in known.openers), 0)
    return opener > 0 and len(words) >= max(_MIN_QUESTION_WORDS, opener + 1)


def _is_dictating(words: Sequence[str], known: TurnWords) -> bool:
    """Return whether the words end in a number dictated digit by digit that is not complete yet."""
    count = digits = 0
    for word in reversed(words):
        if not (word.isdecimal() or word in known.numbers):
            break
        count += 1
        digits += len(word) if word.isdecimal() else 1
    return count >= _MIN_DICTATED_NUMBERS and digits < _WHOLE_NUMBER_DIGITS


class TextPredictor:
    """Predicts from the transcript; without one, or when it is too old, returns `pause_probability`."""

    name = "text"
    audio_ms = 0

    def __init__(self, settings: VadSettings, cues: CueProbabilities | None = None) -> None:
        self._default_probability = settings.pause_probability
        self._cues = cues or CueProbabilities()
        self._sentence_model = SentenceModel(settings.models_dir / settings.sentence_model)

    def load(self) -> None:
        turn_words()
        if self._sentence_model.is_installed():
            self._sentence_model.load()

    def predict(self, pause: Pause) -> Prediction:
        opinion = self.opinion(pause)
        return Prediction(opinion.probability if opinion else self._default_probability)

    def opinion(self, pause: Pause) -> PredictorOpinion | None:
        """Return the probability from the transcript; None without a recent transcript or a cue in it."""
        transcript = pause.transcript
        if transcript is None or transcript.end_ms < pause.at_ms - _STALE_AFTER_MS:
            return None
        probability = self._probability(transcript.text, pause.language)
        return None if probability is None else PredictorOpinion(self.name, probability)

    def _probability(self, text: str, language: str) -> float | None:
        words = normalised_words(text)
        if words and language in self._sentence_model.languages:
            return self._sentence_model.probability(words)
        return completeness(text, language, self._cues)
