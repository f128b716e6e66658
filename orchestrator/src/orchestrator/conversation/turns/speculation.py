"""Speculation: answering what may not be all yet, into a held buffer, so that the wait for the end costs nothing.

It is bounded: so many tries a turn, and none on a turn that has gone on for long. Speech that resumes is a candidate
that the held reply answers too little, and words that it does not answer, or speech that lasts, are the evidence: a
cough costs nothing, and the same words are never paid for twice.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from orchestrator.conversation.model.events import Action, DropReply, SetTimer, StartReply


@dataclass(slots=True)
class Speculation:
    """The replies begun on one turn, and the one that is held."""

    turn_id: int
    tries_left: int
    # A turn of which more was voiced is answered when it is over.
    most_voiced_ms: int
    # Resumed speech that lasts this long is meant, whatever the recogniser makes of it.
    resumed_speech_ms: int
    revision: int = 0
    # What the held reply answers; None while none is held.
    answered_text: str | None = None
    # When speech that still goes on counts as evidence; None while nothing is suspected.
    verdict_ms: int | None = None

    def answers(self, text: str) -> bool:
        """Whether the held reply answers `text`: the same words, whatever their case and punctuation."""
        return self.answered_text is not None and _words(self.answered_text) == _words(text)

    def begin(self, text: str, readings: tuple[str, ...]) -> list[Action]:
        """Answer `text`, unless the held reply does."""
        if self.answers(text):
            return []
        actions = self.drop()
        self.revision += 1
        self.answered_text = text
        return [*actions, StartReply(self.turn_id, self.revision, text, readings)]

    def speculate(self, text: str, readings: tuple[str, ...], voiced_ms: int) -> list[Action]:
        """Answer `text` provisionally, if the bounds allow it; a reply to anything else is dropped."""
        if not text or self.answers(text):
            return []
        if not self.tries_left or voiced_ms > self.most_voiced_ms:
            return self.drop()
        self.tries_left -= 1
        return self.begin(text, readings)

    def drop(self) -> list[Action]:
        """Give up the held reply."""
        self.verdict_ms = None
        if self.answered_text is None:
            return []
        self.answered_text = None
        return [DropReply(self.turn_id)]

    def on_speech_resumed(self, at_ms: int) -> list[Action]:
        """Speech resumed `at_ms`: the held reply may answer too little."""
        if self.answered_text is None:
            return []
        self.verdict_ms = at_ms + self.resumed_speech_ms
        return [SetTimer(self.verdict_ms)]

    def on_speech_stopped(self) -> None:
        """Speech has stopped: what it was, the transcript will tell."""
        self.verdict_ms = None

    def on_transcript(self, text: str) -> list[Action]:
        """Drop what is suspected when `text`, all of the turn so far, has words that it does not answer."""
        if self.verdict_ms is None or self.answered_text is None:
            return []
        heard, answered = _words(text), _words(self.answered_text)
        return [] if answered[: len(heard)] == heard else self.drop()

    def on_timer(self, at_ms: int) -> list[Action]:
        """Drop what is suspected when the speech has lasted."""
        return self.drop() if self.verdict_ms is not None and at_ms >= self.verdict_ms else []


def _words(text: str) -> list[str]:
    """The words of `text`, without case and punctuation, in any script."""
    return "".join(letter for letter in text.casefold() if unicodedata.category(letter)[0] != "P").split()
