"""Endpointing: how long a silence is waited for before the user's turn is held to be over."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.conversation.messages.server import WaitDecision

# No wait is shorter or longer than this, whatever is set and wished for.
SHORTEST_MS = 100
LONGEST_MS = 3_000
# How far a user may stretch the waits: from brisk to patient.
LEAST_PATIENCE = 0.5
MOST_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait, counted from the end of speech, and what it engines on."""

    ms: int
    decided_by: WaitDecision


@dataclass(frozen=True, slots=True)
class Endpointing:
    """Waits between `floor_ms` (the predictor is sure) and `ceiling_ms` (the sentence hangs).

    wait = patience · (floor + (ceiling - floor) · doubt ^ steepness), doubt = 1 - probability, kept between floor
    and ceiling. Steep, because the two errors do not cost the same: each step from doubt towards certainty earns
    less than the one before it, while a predictor that leans towards "not over" is soon given seconds. The defaults
    were chosen on recordings of people, together with the predictor's (`make eval-turns`): 0.9 waits 327 ms, 0.7
    waits 543, 0.5 waits 975.

    Nothing here keeps state or needs a session: evaluations may call `wait_ms(probability)`, and replace any of the
    four numbers, to see what other constants would do.
    """

    floor_ms: int = 300
    ceiling_ms: int = 3_000
    # Without any prediction: vad-service is gone, or late.
    unjudged_ms: int = 700
    steepness: float = 2.0

    def wait_ms(self, probability: float) -> int:
        """The wait after the end of speech in milliseconds, given the probability (0 to 1) that the turn is over."""
        return self.wait(probability).ms

    def wait(self, probability: float | None, patience: float = 1.0, habit_ms: int = 0) -> Wait:
        """The wait, and what it engines on.

        No `probability`: nobody judged, and the wait is no shorter for the brisk, since a judgement may still come.
        `patience` stretches the wait; `habit_ms` is the least wait that this user's own pauses have taught
        (see `patience.py`).
        """
        floor_ms = min(max(SHORTEST_MS, self.floor_ms), LONGEST_MS)
        ceiling_ms = max(floor_ms, min(LONGEST_MS, self.ceiling_ms))
        if probability is None:
            decided_by, wished_ms = WaitDecision.WAIT_DECISION_NO_JUDGEMENT, self.unjudged_ms * max(1.0, patience)
        else:
            doubt = 1 - min(max(probability, 0.0), 1.0)
            wished_ms = patience * (self.floor_ms + (self.ceiling_ms - self.floor_ms) * doubt**self.steepness)
            decided_by = WaitDecision.WAIT_DECISION_PREDICTION
            if wished_ms <= floor_ms:
                decided_by = WaitDecision.WAIT_DECISION_FLOOR
            elif wished_ms >= ceiling_ms:
                decided_by = WaitDecision.WAIT_DECISION_CEILING
        wait_ms = round(min(max(wished_ms, floor_ms), ceiling_ms))
        if habit_ms > wait_ms:
            return Wait(min(habit_ms, ceiling_ms), WaitDecision.WAIT_DECISION_HABIT)
        return Wait(wait_ms, decided_by)
