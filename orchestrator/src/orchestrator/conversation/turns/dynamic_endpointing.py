"""Patience: how long this user's silences are waited for, by endpointing, by their wish, and by their own pauses."""

from __future__ import annotations

from orchestrator.conversation.model.events import Action, AnnounceWait, SetTimer
from orchestrator.conversation.model.ports import TurnEndPredicted
from orchestrator.conversation.turns.endpointing import SHORTEST_MS, Endpointing
from orchestrator.conversation.turns.turn import Turn

# What may pass between the first sound of speech and word of it.
_NOTICE_MS = 200


class LearnedFloor:
    """What a user's own pauses teach: the least wait that would have spared them from being cut off.

    Only errors teach. A turn that was held to be over and then went on, after a pause of so many milliseconds,
    raises the least wait half of the way to that pause; every turn that was rightly held to be over takes a tenth
    of it back. So one slip costs little, a habit is learnt in three, and is forgotten in ten turns or so.
    """

    MOST_MS = 800
    _RISE = 0.5
    _DECAY = 0.9

    def __init__(self) -> None:
        self._least_wait_ms = 0.0

    @property
    def least_wait_ms(self) -> int:
        """The least wait, in milliseconds; 0 while nothing worth a wait was learnt."""
        return round(self._least_wait_ms) if self._least_wait_ms > SHORTEST_MS else 0

    def on_cut_off(self, pause_ms: int) -> None:
        """A turn was held to be over, and went on after a pause of `pause_ms`."""
        lesson_ms = min(pause_ms + _NOTICE_MS, self.MOST_MS)
        self._least_wait_ms += max(0.0, lesson_ms - self._least_wait_ms) * self._RISE

    def on_turn_confirmed(self) -> None:
        """A turn was held to be over, and was."""
        self._least_wait_ms *= self._DECAY


class DynamicEndpointing:
    """Sets how long the silences of one session are waited for, and tells why. `stretch` is the user's wish."""

    def __init__(self, endpointing: Endpointing, patience: float = 1.0) -> None:
        self.patience = patience
        self.learned_floor = LearnedFloor()
        self._endpointing = endpointing

    def on_silence(self, turn: Turn) -> list[Action]:
        """Speech has just stopped: wait as long as befits a silence that nobody judges."""
        turn.wait_explained = False
        return [self._set_wait(turn, None)[1]]

    def on_prediction(self, turn: Turn, judgement: TurnEndPredicted) -> list[Action]:
        """The silence was judged, perhaps not for the first time: the latest judgement counts."""
        turn.wait_explained = True
        turn.commit_on_transcript = False
        return self._set_wait(turn, judgement)

    def on_wait_over(self, turn: Turn) -> list[Action]:
        """The wait is over: what nobody judged is explained now, since a judgement might have come before."""
        if turn.wait_explained:
            return []
        turn.wait_explained = True
        return [self._set_wait(turn, None)[0]]

    def _set_wait(self, turn: Turn, judgement: TurnEndPredicted | None) -> list[Action]:
        wait = self._endpointing.wait(
            judgement.probability if judgement else None, self.patience, self.learned_floor.least_wait_ms
        )
        turn.due_ms = turn.speech_end_ms + wait.ms
        return [AnnounceWait(turn.speech_end_ms, wait, self.patience, judgement), SetTimer(turn.due_ms)]
