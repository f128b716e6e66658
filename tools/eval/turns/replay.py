"""What the product's own turn-taking makes of what was told: when it held the user's turn to be over."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from listening import Told
from orchestrator.conversation.model.events import (
    Action,
    CommitSegment,
    CommitTurn,
    Event,
    FlushSegment,
    SetTimer,
    TimerFired,
)
from orchestrator.conversation.model.ports import FinalTranscript, SpeechStarted, SpeechStopped, TurnEndPredicted
from orchestrator.conversation.turns.endpointing import Endpointing
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.conversation.turns.turn_taking import TurnTaking
from trials import Label, Trial

# From the flush to the final transcript, as in the benchmark of latency.
FINAL_MS = 100
# Later than this after its end, a turn's end was missed.
MISSED_MS = 3_000
# What is heard where nobody wrote down the words: turn-taking needs some.
_SOME_WORDS = "words"


@dataclass(frozen=True, slots=True)
class Pause:
    """One silence of a trial, and what was made of it."""

    trial: str
    speaker: str
    kind: str
    is_natural: bool
    label: Label
    at_ms: int
    # None for the last one, which has no end.
    length_ms: int | None
    # When the turn was held to be over, since the end of speech; None when it was not.
    committed_ms: int | None

    @property
    def is_cut_off(self) -> bool:
        """Whether somebody who goes on was held to be done."""
        return self.label is not Label.END and self.committed_ms is not None

    @property
    def is_missed(self) -> bool:
        """Whether somebody who is done was left waiting."""
        return self.label is Label.END and (self.committed_ms is None or self.committed_ms > MISSED_MS)


class Replay:
    """One trial before one turn-taking. Nothing is ever heard of a reply, so whoever goes on goes on with the turn."""

    def __init__(self, trial: Trial, told: Sequence[Told], endpointing: Endpointing, judged: bool) -> None:
        self._trial = trial
        self._turn_taking = TurnTaking(TurnRules(endpointing=endpointing))
        self._numbers = itertools.count()
        self._due: list[tuple[int, int, Event]] = []
        self._segment_start_ms = 0
        self._commits_ms: list[int] = []
        for each in told:
            if judged or not isinstance(each.event, TurnEndPredicted):
                self._expect(each.at_ms, each.event)

    def commits_ms(self) -> list[int]:
        """When turns were held to be over."""
        while self._due:
            now_ms, _, event = heapq.heappop(self._due)
            for action in self._turn_taking.handle(event):
                self._perform(action, now_ms)
        return self._commits_ms

    def _expect(self, at_ms: int, event: Event) -> None:
        heapq.heappush(self._due, (at_ms, next(self._numbers), event))

    def _perform(self, action: Action, now_ms: int) -> None:
        match action:
            case SetTimer():
                self._expect(max(now_ms, action.at_ms), TimerFired(action.at_ms))
            case FlushSegment():
                text = self._trial.text_until(now_ms, self._segment_start_ms) or _SOME_WORDS
                final = FinalTranscript(action.segment_id, 1, text, now_ms)
                self._expect(now_ms + FINAL_MS, final)
            case CommitSegment():
                self._segment_start_ms = now_ms
            case CommitTurn():
                self._commits_ms.append(now_ms)
            case _:
                pass


def pauses(trial: Trial, told: Sequence[Told], commits_ms: Sequence[int]) -> list[Pause]:
    """The silences of a trial, each with the first moment in it at which the turn was held to be over.

    A pause lasts until the conversation is told that speech goes on: up to then nobody can know better.
    """
    stops = [each.event for each in told if isinstance(each.event, SpeechStopped)]
    starts = [each for each in told if isinstance(each.event, SpeechStarted)]
    found: list[Pause] = []
    for stop, start in itertools.zip_longest(stops, starts[1:]):
        if stop is None:
            break
        until_ms = start.at_ms if start else None
        length_ms = start.event.at_ms - stop.at_ms if start else None
        within = [ms for ms in commits_ms if ms >= stop.at_ms and (until_ms is None or ms < until_ms)]
        found.append(
            Pause(
                trial=trial.name,
                speaker=trial.recording.speaker,
                kind=trial.recording.kind,
                is_natural=trial.is_natural,
                label=_label(trial, stop.at_ms, length_ms),
                at_ms=stop.at_ms,
                length_ms=length_ms,
                committed_ms=within[0] - stop.at_ms if within else None,
            )
        )
    return found


def _label(trial: Trial, at_ms: int, length_ms: int | None) -> Label:
    if length_ms is None:
        return trial.last
    if trial.made_at_ms is None:
        return trial.inner
    holds_it = at_ms <= trial.made_at_ms + 200 and at_ms + length_ms >= trial.made_at_ms
    # The other pauses of the recording are counted where it is heard as it is.
    return trial.inner if holds_it else Label.UNKNOWN
