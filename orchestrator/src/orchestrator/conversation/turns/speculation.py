"""Speculation: starting a reply before the turn is over, unreleased, so that the end-of-turn wait costs no latency.

Speculation is bounded: a number of tries per turn, and none on a turn that is already long. Resumed speech only makes
the unreleased reply doubtful; it is discarded when new words arrive that it does not answer, or when the speech lasts.
A cough therefore costs nothing, and the same words are never answered twice.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from orchestrator.conversation.model.events import Action, DropReply, SetTimer, StartReply


@dataclass(slots=True)
class Speculation:
    """The replies started on one turn, and the unreleased one."""

    turn_id: int
    tries_left: int
    # A turn with more voiced speech than this is answered only when it is over.
    most_voiced_ms: int
    # Resumed speech of this length continues the turn, whatever its transcript.
    resumed_speech_ms: int
    revision: int = 0
    # The text that the unreleased reply answers; None while there is none.
    answered_text: str | None = None
    # When resumed speech counts as a continuation; None while no speech has resumed.
    verdict_ms: int | None = None

    def answers(self, text: str) -> bool:
        """Whether the unreleased reply answers `text`, ignoring case and punctuation."""
        return self.answered_text is not None and _words(self.answered_text) == _words(text)

    def begin(self, text: str, alternatives: tuple[str, ...]) -> list[Action]:
        """Start a reply to `text`, unless the unreleased one answers it."""
        if self.answers(text):
            return []
        actions = self.drop()
        self.revision += 1
        self.answered_text = text
        return [*actions, StartReply(self.turn_id, self.revision, text, alternatives)]

    def speculate(self, text: str, alternatives: tuple[str, ...], voiced_ms: int) -> list[Action]:
        """Start a reply to `text` within the bounds; discard an unreleased reply to another text."""
        if not text or self.answers(text):
            return []
        if not self.tries_left or voiced_ms > self.most_voiced_ms:
            return self.drop()
        self.tries_left -= 1
        return self.begin(text, alternatives)

    def drop(self) -> list[Action]:
        """Discard the unreleased reply."""
        self.verdict_ms = None
        if self.answered_text is None:
            return []
        self.answered_text = None
        return [DropReply(self.turn_id)]

    def on_speech_resumed(self, at_ms: int) -> list[Action]:
        """Set a timer: speech resumed at `at_ms`, so the unreleased reply may be incomplete."""
        if self.answered_text is None:
            return []
        self.verdict_ms = at_ms + self.resumed_speech_ms
        return [SetTimer(self.verdict_ms)]

    def on_speech_stopped(self) -> None:
        """Clear the timer: speech stopped, and its transcript decides."""
        self.verdict_ms = None

    def on_transcript(self, text: str) -> list[Action]:
        """Discard the doubtful reply when `text`, the turn so far, has words that it does not answer."""
        if self.verdict_ms is None or self.answered_text is None:
            return []
        heard, answered = _words(text), _words(self.answered_text)
        return [] if answered[: len(heard)] == heard else self.drop()

    def on_timer(self, at_ms: int) -> list[Action]:
        """Discard the doubtful reply when the resumed speech has lasted."""
        return self.drop() if self.verdict_ms is not None and at_ms >= self.verdict_ms else []


def _words(text: str) -> list[str]:
    """The words of `text`, without case and punctuation, in any script."""
    return "".join(letter for letter in text.casefold() if unicodedata.category(letter)[0] != "P").split()
