"""The one stage that owns what is said: generated text in, the text that is spoken, captioned and remembered out."""

from __future__ import annotations

from orchestrator.conversation.output.normalisation.language_words import words_of
from orchestrator.conversation.output.normalisation.markup import MarkupReader
from orchestrator.conversation.output.normalisation.notation import NotationReader
from orchestrator.conversation.output.normalisation.reasoning import ReasoningFilter, VisibleText
from orchestrator.conversation.output.normalisation.scanner import Scanner
from orchestrator.conversation.output.normalisation.spacing import Spacing


class TextNormaliser:
    """Normalises one reply, pushed in deltas; how it is divided into deltas never changes the result.

    Plain prose passes at once; other text waits until it is decided, a few hundred characters at most. `code_phrase` is
    spoken in the place of a block of code; empty for nothing.
    """

    def __init__(self, language: str, code_phrase: str = "", *, begins_in_reasoning: bool = False) -> None:
        self._code_phrase = code_phrase
        self._language = language
        self._reasoning = ReasoningFilter(begins_in_reasoning)
        self._readers = self._new_readers()

    @property
    def is_hiding(self) -> bool:
        """Whether the latest text is reasoning, or something else that is not said."""
        return self._reasoning.is_hiding

    @property
    def lacks_reasoning(self) -> bool:
        """Whether the reply was to begin in reasoning, and no end of it has come."""
        return self._reasoning.lacks_reasoning

    @property
    def has_hidden(self) -> bool:
        """Whether reasoning, or something else that is not said, was hidden."""
        return self._reasoning.has_hidden

    def push_text(self, text: str) -> VisibleText:
        """Add text; return what no later text can change, except that a later `withdraws` takes it back."""
        return self._read(self._reasoning.push_text(text))

    def end_text(self) -> VisibleText:
        """Return the rest."""
        visible = self._read(self._reasoning.end_text())
        return VisibleText(visible.text + self._end_readers(), visible.withdraws)

    def change_language(self, language: str) -> str:
        """Continue in another language; return the rest of the text before. Nothing within a language is affected."""
        if language == self._language:
            return ""
        markup, spacing, *notation = self._readers
        # A gap at the end goes before the text in the other language.
        rest = spacing.push_text(markup.end_text())
        for reader in notation:
            rest = reader.push_text(rest) + reader.end_text()
        self._language = language
        self._readers = (markup, spacing, *self._new_readers()[2:])
        return rest

    def _read(self, visible: VisibleText) -> VisibleText:
        if visible.withdraws:
            self._readers = self._new_readers()
        text = visible.text
        for reader in self._readers:
            text = reader.push_text(text)
        return VisibleText(text, visible.withdraws)

    def _end_readers(self) -> str:
        text = ""
        for reader in self._readers:
            text = reader.push_text(text) + reader.end_text()
        return text

    def _new_readers(self) -> tuple[Scanner, ...]:
        words = words_of(self._language)
        readers: tuple[Scanner, ...] = (MarkupReader(self._code_phrase), Spacing())
        return readers if words is None else (*readers, NotationReader(words))


def normalise_text(text: str, language: str, code_phrase: str = "") -> str:
    """Return a whole text as it is spoken in `language`; reasoning is not looked for."""
    words = words_of(language)
    readers: tuple[Scanner, ...] = (MarkupReader(code_phrase), Spacing())
    for reader in readers if words is None else (*readers, NotationReader(words)):
        text = reader.push_text(text) + reader.end_text()
    return text
