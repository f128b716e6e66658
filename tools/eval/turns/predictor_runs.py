"""Runs all trials through a turn-end predictor, and applies endpointing rules to the recorded events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offline_vad import OfflineVad, TimedEvent
from orchestrator.conversation.turns.endpointing import Endpointing
from recordings import NO_SPEECH, Recording
from replay import Pause, Replay, find_pauses
from trials import Label, Speech, Trial, joined_trial, natural_trial, trials_with_pauses

# The pause between two recordings that form one sentence; most rules cut it off.
JOINED_PAUSE_MS = 600


@dataclass(frozen=True, slots=True)
class Rule:
    """An endpointing rule: the predictor that judges pauses (None for a fixed silence), and the waits."""

    name: str
    predictor: str | None
    endpointing: Endpointing


def fixed_silence(silence_ms: int) -> Rule:
    """Ends every turn after the same silence."""
    endpointing = Endpointing(floor_ms=silence_ms, ceiling_ms=silence_ms, unjudged_ms=silence_ms)
    return Rule(f"fixed, {silence_ms} ms", None, endpointing)


@dataclass(frozen=True, slots=True)
class PredictorRun:
    """The events of all trials with one predictor, by trial, and the time of each prediction in milliseconds."""

    events: Mapping[str, Sequence[TimedEvent]]
    prediction_ms: Sequence[float]


async def build_trials(recordings: Sequence[Recording], vad: OfflineVad) -> list[Trial]:
    """All trials: recordings as they are, with inserted pauses, and joined."""
    people = [recording for recording in recordings if recording.language != NO_SPEECH]
    speech = {recording.name: await vad.find_speech(recording.pcm) for recording in people}
    natural = [natural_trial(recording, speech[recording.name]) for recording in people]
    pauses_ms = [
        pause_ms
        for trial in natural
        if trial.inner is not Label.UNKNOWN
        for pause_ms in speech[trial.recording.name].pauses_ms
    ]
    with_pauses = [
        trial
        for recording in people
        for trial in trials_with_pauses(recording, speech[recording.name], sorted(pauses_ms))
    ]
    return [*natural, *with_pauses, *_joined(people, speech)]


def _joined(people: Sequence[Recording], speech: Mapping[str, Speech]) -> list[Trial]:
    """Sentences cut into two recordings: an unfinished one, and the next with the same name."""
    by_name = {recording.name: recording for recording in people}
    found: list[Trial] = []
    for first in people:
        stem, _, number = first.name.rpartition("-")
        if not (first.is_unfinished and number.isdigit()):
            continue
        second = by_name.get(f"{stem}-{int(number) + 1:0{len(number)}d}")
        if second:
            found.append(joined_trial(first, speech[first.name], second, speech[second.name], JOINED_PAUSE_MS))
    return found


async def run_predictor(trials: Sequence[Trial], vad: OfflineVad, predictor_name: str) -> PredictorRun:
    """Run all trials through one predictor."""
    predictor = vad.load_predictor(predictor_name)
    events: dict[str, Sequence[TimedEvent]] = {}
    prediction_ms: list[float] = []
    for trial in trials:
        events[trial.name], durations_ms = await vad.run_trial(trial, predictor)
        prediction_ms += durations_ms
    return PredictorRun(events, prediction_ms)


def apply_rule(trials: Sequence[Trial], run: PredictorRun, rule: Rule) -> list[Pause]:
    """All pauses, with the moment at which `rule` ends the turn."""
    found: list[Pause] = []
    for trial in trials:
        events = run.events[trial.name]
        replay = Replay(trial, events, rule.endpointing, with_predictions=rule.predictor is not None)
        found += find_pauses(trial, events, replay.run())
    return found
