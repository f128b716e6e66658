"""Numbering: the turns of a session and the segments that its speech is transcribed in, each counted from 1."""

from __future__ import annotations

from orchestrator.conversation.model.events import CommitSegment
from orchestrator.conversation.turns.speculation import Speculation
from orchestrator.conversation.turns.turn import Turn, TurnRules


class Numbering:
    """Gives out the numbers. One segment is open at any time: that of the open turn, or of the next one."""

    def __init__(self, rules: TurnRules, last_turn_id: int) -> None:
        self._rules = rules
        self._last_turn_id = last_turn_id
        self._segment_id = 1

    def turn_id(self) -> int:
        """The number of a new turn."""
        self._last_turn_id += 1
        return self._last_turn_id

    def turn(self, at_ms: int) -> Turn:
        """A new turn that begins `at_ms`, in the open segment."""
        turn_id, rules = self.turn_id(), self._rules
        speculation = Speculation(turn_id, rules.max_speculations, rules.speculation_speech_ms, rules.goes_on_after_ms)
        return Turn(turn_id, self._segment_id, at_ms, at_ms, speculation, at_ms)

    def go_on_with(self, turn: Turn) -> None:
        """A turn whose segments were all closed goes on in the open one."""
        turn.segment_id, turn.segment_start_ms = self._segment_id, 0

    def next_segment(self, turn: Turn, start_ms: int) -> CommitSegment:
        """Close the turn's segment; what is said from `start_ms` on belongs to the next one."""
        closed = turn.segment_id
        self._segment_id = closed + 1
        turn.segment_id, turn.segment_start_ms = self._segment_id, start_ms
        return CommitSegment(closed)
