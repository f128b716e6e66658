"""Replays recorded events through the product's turn-taking, and finds when it committed the user's turn."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from offline_vad import TimedEvent
from orchestrator.conversation.model.events import (
    Action,
    CommitSegment,
    CommitTurn,
    FlushSegment,
    PolicyEvent,
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
# A turn end found later than this counts as missed.
MISSED_MS = 3_000
# The transcript of recordings without one; turn-taking needs words.
_SOME_WORDS = "words"


@dataclass(frozen=True, slots=True)
class Pause:
    """One silence of a trial, and when the turn was committed in it."""

    trial: str
    speaker: str
    kind: str
    is_natural: bool
    label: Label
    at_ms: int
    # None for the last one, which has no end.
    length_ms: int | None
    # When the turn was committed, since the end of speech; None when it was not.
    committed_ms: int | None

    @property
    def is_cut_off(self) -> bool:
        """Whether the turn was committed although the speaker continues."""
        return self.label is not Label.END and self.committed_ms is not None

    @property
    def is_missed(self) -> bool:
        """Whether the end of the turn was not found in time."""
        return self.label is Label.END and (self.committed_ms is None or self.committed_ms > MISSED_MS)


class Replay:
    """Feeds one trial to one turn-taking. No reply is ever audible, so a speaker who continues continues the turn."""

    def __init__(
        self, trial: Trial, events: Sequence[TimedEvent], endpointing: Endpointing, with_predictions: bool
    ) -> None:
        self._trial = trial
        self._turn_taking = TurnTaking(TurnRules(endpointing=endpointing))
        self._numbers = itertools.count()
        self._due: list[tuple[int, int, PolicyEvent]] = []
        self._segment_start_ms = 0
        self._commits_ms: list[int] = []
        for each in events:
            if with_predictions or not isinstance(each.event, TurnEndPredicted):
                self._schedule(each.at_ms, each.event)

    def run(self) -> list[int]:
        """Handle all events; return when turns were committed."""
        while self._due:
            now_ms, _, event = heapq.heappop(self._due)
            for action in self._turn_taking.handle(event):
                self._perform(action, now_ms)
        return self._commits_ms

    def _schedule(self, at_ms: int, event: PolicyEvent) -> None:
        heapq.heappush(self._due, (at_ms, next(self._numbers), event))

    def _perform(self, action: Action, now_ms: int) -> None:
        match action:
            case SetTimer():
                self._schedule(max(now_ms, action.at_ms), TimerFired(action.at_ms))
            case FlushSegment():
                text = self._trial.text_until(now_ms, self._segment_start_ms) or _SOME_WORDS
                final = FinalTranscript(action.segment_id, 1, text, now_ms)
                self._schedule(now_ms + FINAL_MS, final)
            case CommitSegment():
                self._segment_start_ms = now_ms
            case CommitTurn():
                self._commits_ms.append(now_ms)
            case _:
                pass


def find_pauses(trial: Trial, events: Sequence[TimedEvent], commits_ms: Sequence[int]) -> list[Pause]:
    """The silences of a trial, each with the first moment in it at which the turn was committed.

    A pause lasts until the conversation receives the next start of speech; before that it cannot know of it.
    """
    stops = [each.event for each in events if isinstance(each.event, SpeechStopped)]
    starts = [each for each in events if isinstance(each.event, SpeechStarted)]
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
    if trial.inserted_at_ms is None:
        return trial.inner
    holds_it = at_ms <= trial.inserted_at_ms + 200 and at_ms + length_ms >= trial.inserted_at_ms
    # The other pauses of the recording count in its natural trial.
    return trial.inner if holds_it else Label.UNKNOWN
