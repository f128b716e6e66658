"""Checks the model's sentence against the passage, and finds the sentence to read out when it fails. Pure.

The check is cheap and one-sided: it finds numbers, names and claims that the passage does not contain, and not every
wrong answer. A sentence that fails is replaced by the passage's own words, which are right in any case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestrator.knowledge.passages import Passage, split_sentences
from orchestrator.knowledge.stop_words import split_words, topic_words
from orchestrator.llm.local.passage_prompt import NOT_IN_NOTES

# fmt: off
_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBER_WORDS = frozenset(
    (*_UNITS, *_TENS, "hundred", "thousand", "million", "billion", "half", "quarter", "dozen", "twice")
)
# fmt: on
_DIGITS = re.compile(r"\d+")
# A capitalised word after another word; the first word of a sentence is always capitalised.
_NAME = re.compile(r"(?<=[\w,;:’'] )[A-Z]\w+")
_COMPLETE = re.compile(r"[.!?][\"'”’)]*$")
_YES_OR_NO = frozenset({"yes", "no"})
# Share of the sentence's topic words that the passage or the question must contain.
_MIN_SUPPORT = 0.6
# A run of words that occurs twice is a loop.
_LOOP_WORDS = 4
# Endings that English inflection adds; enough to match "opens" with "open" and "runners" with "runner".
_ENDING = re.compile(r"(?:ing|ied|ies|ed|es|s|e|ly|er)$")
_MIN_STEM = 3


def first_sentence(text: str) -> str:
    """The first complete sentence of the model's `text`; empty when there is none, or when it repeats itself."""
    sentences = split_sentences(" ".join(text.split()))
    if not sentences or not _COMPLETE.search(sentences[0]):
        return ""
    words = list(split_words(sentences[0]))
    runs = [tuple(words[start : start + _LOOP_WORDS]) for start in range(len(words) - _LOOP_WORDS + 1)]
    return "" if len(set(runs)) < len(runs) else sentences[0]


def says_nothing(sentence: str) -> bool:
    """Whether the model says that the notes do not have the answer."""
    words = list(split_words(sentence))
    return words[:5] == list(split_words(NOT_IN_NOTES)) or words[:4] == ["the", "notes", "don", "t"]


def is_supported(sentence: str, passage: Passage, question: str) -> bool:
    """Whether numbers and names of `sentence` occur in `passage` or `question`, and most other words too.

    A yes or no claims every word that follows it, so these must be the passage's own.
    """
    notes = f"{passage.title}. {' '.join(passage.sentences)}"
    known = {*_number_words(notes), *_number_words(question)}
    if any(word not in known for word in _number_words(sentence)):
        return False
    spoken = {word.lower() for word in (*split_words(notes), *split_words(question))}
    if any(name.lower() not in spoken for name in _NAME.findall(sentence)):
        return False
    topics = _stems(topic_words(sentence, "en")) - _YES_OR_NO
    answer = next(split_words(sentence), "")
    if answer in _YES_OR_NO:
        return topics <= _stems(split_words(notes))
    supported = topics & (_stems(split_words(notes)) | _stems(split_words(question)))
    return len(supported) >= _MIN_SUPPORT * len(topics)


def best_sentence(passage: Passage, question: str) -> tuple[str, bool]:
    """The sentence of `passage` that shares the most topic words with `question`; the first one when none does.

    Words of the title count last: the whole passage is about them. The second value says whether any other word is
    shared, without which the sentence is an answer by chance.
    """
    asked = _stems(topic_words(question, "en"))
    beyond_title = asked - _stems(split_words(passage.title))

    def shared(sentence: str) -> tuple[int, int]:
        words = _stems(split_words(sentence))
        return len(beyond_title & words), len(asked & words)

    best = max(passage.sentences, key=shared)
    return best, shared(best)[0] > 0


def spelled_numbers(text: str) -> str:
    """`text` with the numbers in digits, up to 9999, as English words."""
    return _DIGITS.sub(lambda match: " ".join(_spelled(int(match[0]))) if len(match[0]) <= 4 else match[0], text)


def _number_words(text: str) -> set[str]:
    """The number words of `text`, and the numbers that are too long to be spelled."""
    return {
        word for word in split_words(spelled_numbers(text).replace("-", " ")) if word in _NUMBER_WORDS or word.isdigit()
    }


def _spelled(number: int) -> Iterable[str]:
    if number >= 1000:
        return (*_spelled(number // 1000), "thousand", *(_spelled(number % 1000) if number % 1000 else ()))
    if number >= 100:
        return (*_spelled(number // 100), "hundred", *(_spelled(number % 100) if number % 100 else ()))
    if number >= 20:
        return (_TENS[number // 10 - 2], *(_spelled(number % 10) if number % 10 else ()))
    return (_UNITS[number],)


def _stems(words: Iterable[str]) -> set[str]:
    return {_stem(word.lower()) for word in words}


def _stem(word: str) -> str:
    stem = _ENDING.sub("", word)
    return stem if len(stem) >= _MIN_STEM else word
