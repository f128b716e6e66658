"""Barge-in: the user speaks over the reply. Pause on suspicion, stop on evidence, resume on a false alarm."""

from __future__ import annotations

from dataclasses import dataclass


def has_words(text: str) -> bool:
    """Whether a transcript holds anything that was said, in any script."""
    return any(character.isalnum() for character in text)


@dataclass(slots=True)
class BargeIn:
    """One suspicion, from the speech edge that raised it until it is settled."""

    since_ms: int
    # Speech this long is meant, whatever the recogniser makes of it.
    stop_after_ms: int = 500

    @property
    def verdict_ms(self) -> int:
        """When speech that still goes on counts as evidence."""
        return self.since_ms + self.stop_after_ms
