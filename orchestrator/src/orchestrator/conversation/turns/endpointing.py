"""Endpointing: how long a silence lasts before the user's turn counts as over (the end-of-turn wait)."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.conversation.messages.server import WaitDecision
from orchestrator.conversation.model.events import Wait

# Bounds of every wait, whatever the settings and the user's patience.
SHORTEST_MS = 100
LONGEST_MS = 3_000


@dataclass(frozen=True, slots=True)
class Endpointing:
    """Waits between `floor_ms` (the turn is surely over) and `ceiling_ms` (surely not).

    wait = patience · (floor + (ceiling - floor) · doubt ^ steepness), doubt = 1 - probability, kept between floor
    and ceiling. The curve is steep because the two errors have different costs: a step towards certainty saves less
    than the one before it, while a prediction of "not over" soon earns seconds. The defaults were chosen on recordings
    of people, together with the predictor's (`make eval-turns`): 0.9 waits 327 ms, 0.7 waits 543, 0.5 waits 975.

    Stateless: evaluations call `wait_ms(probability)` with other constants.
    """

    floor_ms: int = 300
    ceiling_ms: int = 3_000
    # The wait without a prediction: vad-service is unavailable, or late.
    unjudged_ms: int = 700
    # The exponent of the doubt: the larger, the faster the wait falls as the prediction becomes certain.
    steepness: float = 2.0

    def wait_ms(self, probability: float) -> int:
        """The wait after the end of speech in milliseconds, given the probability (0 to 1) that the turn is over."""
        return self.wait(probability).ms

    def wait(self, probability: float | None, patience: float = 1.0, learned_floor_ms: int = 0) -> Wait:
        """The wait and its reason.

        Without a `probability` a patience below 1 does not shorten the wait, since a prediction may still arrive.
        `patience` multiplies the wait; `learned_floor_ms` is the shortest wait that this user's pauses have taught
        (`dynamic_endpointing.LearnedFloor`).
        """
        floor_ms = min(max(SHORTEST_MS, self.floor_ms), LONGEST_MS)
        ceiling_ms = max(floor_ms, min(LONGEST_MS, self.ceiling_ms))
        if probability is None:
            decided_by, wanted_ms = WaitDecision.WAIT_DECISION_NO_JUDGEMENT, self.unjudged_ms * max(1.0, patience)
        else:
            doubt = 1 - min(max(probability, 0.0), 1.0)
            wanted_ms = patience * (self.floor_ms + (self.ceiling_ms - self.floor_ms) * doubt**self.steepness)
            decided_by = WaitDecision.WAIT_DECISION_PREDICTION
            if wanted_ms <= floor_ms:
                decided_by = WaitDecision.WAIT_DECISION_FLOOR
            elif wanted_ms >= ceiling_ms:
                decided_by = WaitDecision.WAIT_DECISION_CEILING
        wait_ms = round(min(max(wanted_ms, floor_ms), ceiling_ms))
        if learned_floor_ms > wait_ms:
            return Wait(min(learned_floor_ms, ceiling_ms), WaitDecision.WAIT_DECISION_HABIT)
        return Wait(wait_ms, decided_by)
