"""Answering: the anchor's half of a turn, from the commit until its reply is over."""

from __future__ import annotations

from enum import Enum, auto

from orchestrator.conversation.turns.turn import Turn


class AnchorPhase(Enum):
    """What the anchor does."""

    IDLE = auto()
    # Its answer is due, nothing of it was heard yet.
    THINKING = auto()
    SPEAKING = auto()


class AnchorState:
    """Whose turn is being answered, and how far that has come."""

    def __init__(self) -> None:
        self.phase = AnchorPhase.IDLE
        self.turn_id = 0
        # The turn itself while it may still be reopened.
        self.reopenable: Turn | None = None

    def begin(self, turn_id: int, reopenable: Turn | None = None) -> None:
        """An answer to this turn is due."""
        self.phase, self.turn_id, self.reopenable = AnchorPhase.THINKING, turn_id, reopenable

    def on_audible(self, turn_id: int) -> bool:
        """The first frame of this turn's answer was sent; return whether that is news."""
        if turn_id != self.turn_id or self.phase is not AnchorPhase.THINKING:
            return False
        self.phase, self.reopenable = AnchorPhase.SPEAKING, None
        return True

    def on_reply_over(self, turn_id: int) -> bool:
        """The reply to this turn is over; return whether it was the one that was waited for."""
        if turn_id != self.turn_id:
            return False
        self.end()
        return True

    def end(self) -> None:
        """Nothing is answered any more."""
        self.phase, self.reopenable = AnchorPhase.IDLE, None
