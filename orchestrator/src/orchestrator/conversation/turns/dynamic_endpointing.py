"""Dynamic endpointing: the end-of-turn wait of one user, from prediction, chosen patience, and a learned floor."""

from __future__ import annotations

from orchestrator.conversation.model.events import Action, AnnounceWait, SetTimer
from orchestrator.conversation.model.ports import TurnEndPredicted
from orchestrator.conversation.turns.endpointing import SHORTEST_MS, Endpointing
from orchestrator.conversation.turns.turn import Turn

# The longest delay between the onset of speech and its `SpeechStarted`.
_NOTICE_MS = 200


class LearnedFloor:
    """The shortest wait that would not have cut this user off, learned from their pauses.

    A turn that was committed and then continued after a pause raises the floor half of the way to that pause; a turn
    that was committed rightly lowers it by a tenth. One error therefore adds little; repeated pauses raise the floor
    within about three turns, and it decays within about ten.
    """

    MOST_MS = 800
    _RISE = 0.5
    _DECAY = 0.9

    def __init__(self) -> None:
        self._least_wait_ms = 0.0

    @property
    def least_wait_ms(self) -> int:
        """The floor in milliseconds; 0 while it is below `SHORTEST_MS`."""
        return round(self._least_wait_ms) if self._least_wait_ms > SHORTEST_MS else 0

    def on_cut_off(self, pause_ms: int) -> None:
        """Learn from a committed turn that continued after a pause of `pause_ms`."""
        needed_ms = min(pause_ms + _NOTICE_MS, self.MOST_MS)
        self._least_wait_ms += max(0.0, needed_ms - self._least_wait_ms) * self._RISE

    def on_turn_confirmed(self) -> None:
        """Decay the floor after a committed turn that the user did not continue."""
        self._least_wait_ms *= self._DECAY


class DynamicEndpointing:
    """Sets the end-of-turn wait of one session's silences, and reports it. `patience` is the user's factor."""

    def __init__(self, endpointing: Endpointing, patience: float = 1.0) -> None:
        self.patience = patience
        self.learned_floor = LearnedFloor()
        self._endpointing = endpointing

    def on_silence(self, turn: Turn) -> list[Action]:
        """Start the wait without a prediction: speech has just stopped."""
        turn.wait_explained = False
        return [self._set_wait(turn, None)[1]]

    def on_prediction(self, turn: Turn, prediction: TurnEndPredicted) -> list[Action]:
        """Set the wait by a prediction; a later prediction for the same silence replaces it."""
        turn.wait_explained = True
        turn.commit_on_transcript = False
        return self._set_wait(turn, prediction)

    def on_wait_over(self, turn: Turn) -> list[Action]:
        """Report the wait of a silence for which no prediction arrived."""
        if turn.wait_explained:
            return []
        turn.wait_explained = True
        return [self._set_wait(turn, None)[0]]

    def _set_wait(self, turn: Turn, prediction: TurnEndPredicted | None) -> list[Action]:
        wait = self._endpointing.wait(
            prediction.probability if prediction else None, self.patience, self.learned_floor.least_wait_ms
        )
        turn.due_ms = turn.speech_end_ms + wait.ms
        return [AnnounceWait(turn.speech_end_ms, wait, self.patience, prediction), SetTimer(turn.due_ms)]
