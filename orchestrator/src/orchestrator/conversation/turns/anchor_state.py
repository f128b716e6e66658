"""The anchor's state: idle, thinking or speaking, and which turn it answers."""

from __future__ import annotations

from enum import Enum, auto

from orchestrator.conversation.turns.turn import Turn

# A bound, so that a lasting noise cannot withhold the answer for ever.
_MAX_WORDLESS_REOPENINGS = 2


class AnchorPhase(Enum):
    """Whether a reply is due or sent."""

    IDLE = auto()
    # A reply is due; nothing of it was sent yet.
    THINKING = auto()
    SPEAKING = auto()


class AnchorState:
    """The turn being answered, the phase of its reply, and whether the user has heard any of it."""

    def __init__(self) -> None:
        self.phase = AnchorPhase.IDLE
        self.turn_id = 0
        # The spoken turn being answered, which the user may continue; None for a typed turn or a turn without words.
        self._turn: Turn | None = None
        # When the first sample of the reply was heard; None before.
        self._heard_at_ms: int | None = None

    def begin(self, turn_id: int, turn: Turn | None = None) -> None:
        """Start answering a turn; `turn` is the turn if the user may continue it."""
        self.phase, self.turn_id, self._turn, self._heard_at_ms = AnchorPhase.THINKING, turn_id, turn, None

    @property
    def answers_speech(self) -> bool:
        """Whether the user spoke the turn being answered."""
        return self._turn is not None

    def turn_continued_by(self, at_ms: int) -> Turn | None:
        """The turn that speech from `at_ms` on continues: the one being answered, if nothing was heard before `at_ms`.

        What counts is when the speech began: voice activity detects it later, and so may the first sample be heard.
        A turn that sounds without words reopened `_MAX_WORDLESS_REOPENINGS` times is answered.
        """
        if self._turn is None or self._turn.wordless_reopenings >= _MAX_WORDLESS_REOPENINGS:
            return None
        return self._turn if self._heard_at_ms is None or at_ms < self._heard_at_ms else None

    def on_first_frame_sent(self, turn_id: int) -> bool:
        """Record that the first frame of a reply was sent; return whether the phase changed."""
        if turn_id != self.turn_id or self.phase is not AnchorPhase.THINKING:
            return False
        self.phase = AnchorPhase.SPEAKING
        return True

    def on_first_sample_heard(self, turn_id: int, at_ms: int) -> bool:
        """Record that the first sample of the reply was heard at `at_ms`; return whether that is new."""
        if turn_id != self.turn_id or self.phase is not AnchorPhase.SPEAKING or self._heard_at_ms is not None:
            return False
        self._heard_at_ms = at_ms
        return True

    def on_reply_over(self, turn_id: int) -> bool:
        """Record that a reply is over; return whether it was the current one."""
        if turn_id != self.turn_id:
            return False
        self.end()
        return True

    def end(self) -> None:
        """Return to idle."""
        self.phase, self._turn = AnchorPhase.IDLE, None
