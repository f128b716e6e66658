"""Answers that are fixed because a model or a search would get them wrong.

They concern who the anchor is, requests for silence, and harm. The briefing fixes fewer: it cannot invent an answer,
and its notes may be about locks and weapons.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from orchestrator.conversation.model.ports import Prompt
from orchestrator.knowledge.stop_words import split_words

_FILE = "fixed_answers.toml"


@dataclass(frozen=True, slots=True)
class _FixedAnswers:
    """The patterns of one language and their answers."""

    quiet: re.Pattern[str]
    identity: re.Pattern[str]
    self_harm: re.Pattern[str]
    harm: re.Pattern[str]
    quiet_answer: str
    self_harm_answer: str
    harm_answer: str


def _read() -> Mapping[str, _FixedAnswers]:
    text = files("orchestrator.llm").joinpath(_FILE).read_text("utf-8")
    # Composed characters, as `split_words` returns them.
    sections: dict[str, dict[str, str]] = tomllib.loads(unicodedata.normalize("NFC", text))
    return {
        language: _FixedAnswers(
            quiet=re.compile(section["quiet"]),
            identity=re.compile(section["identity"]),
            self_harm=re.compile(section["self_harm"]),
            harm=re.compile(section["harm"]),
            quiet_answer=section["quiet_answer"],
            self_harm_answer=section["self_harm_answer"],
            harm_answer=section["harm_answer"],
        )
        for language, section in sections.items()
    }


_ANSWERS = _read()
FIXED_ANSWER_LANGUAGES = frozenset(_ANSWERS)


def fixed_answer(prompt: Prompt) -> str:
    """The fixed answer to `prompt`; empty when it asks for none of these. Unknown languages use the English list."""
    language, answers, spoken = _read_prompt(prompt)
    if answers.self_harm.search(spoken):
        return answers.self_harm_answer
    if answers.harm.search(spoken):
        return answers.harm_answer
    if answers.quiet.fullmatch(spoken):
        return answers.quiet_answer
    if answers.identity.fullmatch(spoken):
        return prompt.persona.phrase("who_are_you", language)
    return ""


def answer_before_search(prompt: Prompt) -> str:
    """The fixed answer to despair and to a request for silence, for which no note may be searched; else empty."""
    _, answers, spoken = _read_prompt(prompt)
    if answers.self_harm.search(spoken):
        return answers.self_harm_answer
    return answers.quiet_answer if answers.quiet.fullmatch(spoken) else ""


def _read_prompt(prompt: Prompt) -> tuple[str, _FixedAnswers, str]:
    """The language whose list counts, the list, and the words of the prompt."""
    language = prompt.language if prompt.language in _ANSWERS else "en"
    return language, _ANSWERS[language], " ".join(split_words(prompt.text))
