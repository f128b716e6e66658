"""The anchor's state: idle, thinking or speaking, and which turn it answers."""

from __future__ import annotations

from enum import Enum, auto

from orchestrator.conversation.turns.turn import Turn


class AnchorPhase(Enum):
    """Whether a reply is due or heard."""

    IDLE = auto()
    # A reply is due; nothing of it was heard yet.
    THINKING = auto()
    SPEAKING = auto()


class AnchorState:
    """The turn being answered, and the phase of its reply."""

    def __init__(self) -> None:
        self.phase = AnchorPhase.IDLE
        self.turn_id = 0
        # The turn, while it may still be reopened.
        self.reopenable: Turn | None = None

    def begin(self, turn_id: int, reopenable: Turn | None = None) -> None:
        """Start answering a turn; `reopenable` is the turn while the user may still continue it."""
        self.phase, self.turn_id, self.reopenable = AnchorPhase.THINKING, turn_id, reopenable

    def on_audible(self, turn_id: int) -> bool:
        """Record that the first frame of a reply was sent; return whether the phase changed."""
        if turn_id != self.turn_id or self.phase is not AnchorPhase.THINKING:
            return False
        self.phase, self.reopenable = AnchorPhase.SPEAKING, None
        return True

    def on_reply_over(self, turn_id: int) -> bool:
        """Record that a reply is over; return whether it was the current one."""
        if turn_id != self.turn_id:
            return False
        self.end()
        return True

    def end(self) -> None:
        """Return to idle."""
        self.phase, self.reopenable = AnchorPhase.IDLE, None
