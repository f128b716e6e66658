"""All trials heard by all predictors, and what any rule makes of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from listening import Ears, Told
from orchestrator.conversation.turns.endpointing import Endpointing
from people import NO_SPEECH, Recording
from replay import Pause, Replay, pauses
from trials import Label, Speech, Trial, joined_trial, made_trials, natural_trial

# Between two recordings that are one sentence: what most rules get wrong.
JOINED_PAUSE_MS = 600


@dataclass(frozen=True, slots=True)
class Rule:
    """How a turn's end is found: who judges pauses (nobody, for a fixed silence), and how long is waited."""

    name: str
    predictor: str | None
    endpointing: Endpointing


def fixed(silence_ms: int) -> Rule:
    """A silence that is always waited for, whatever was said and how."""
    endpointing = Endpointing(floor_ms=silence_ms, ceiling_ms=silence_ms, unjudged_ms=silence_ms)
    return Rule(f"fixed, {silence_ms} ms", None, endpointing)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one predictor told of all trials, and how long each judgement took in milliseconds."""

    told: Mapping[str, Sequence[Told]]
    judging_ms: Sequence[float]


async def trials_of(recordings: Sequence[Recording], stt: Ears) -> list[Trial]:
    """Everything that is played: recordings as they are, with pauses put in, and put together."""
    people = [recording for recording in recordings if recording.language != NO_SPEECH]
    speech = {recording.name: await stt.speech(recording.pcm) for recording in people}
    natural = [natural_trial(recording, speech[recording.name]) for recording in people]
    pauses_ms = [
        pause_ms
        for trial in natural
        if trial.inner is not Label.UNKNOWN
        for pause_ms in speech[trial.recording.name].pauses_ms
    ]
    made = [
        trial for recording in people for trial in made_trials(recording, speech[recording.name], sorted(pauses_ms))
    ]
    return [*natural, *made, *_joined(people, speech)]


def _joined(people: Sequence[Recording], speech: Mapping[str, Speech]) -> list[Trial]:
    """Sentences that were cut into two recordings: one that is unfinished, and the next of the same name."""
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


async def hear(trials: Sequence[Trial], stt: Ears, predictor_name: str) -> Heard:
    """All trials through one predictor."""
    predictor = stt.predictor(predictor_name)
    told: dict[str, Sequence[Told]] = {}
    judging_ms: list[float] = []
    for trial in trials:
        told[trial.name], durations_ms = await stt.listen(trial, predictor)
        judging_ms += durations_ms
    return Heard(told, judging_ms)


def outcomes(trials: Sequence[Trial], heard: Heard, rule: Rule) -> list[Pause]:
    """What `rule` makes of every pause."""
    found: list[Pause] = []
    for trial in trials:
        told = heard.told[trial.name]
        replay = Replay(trial, told, rule.endpointing, judged=rule.predictor is not None)
        found += pauses(trial, told, replay.commits_ms())
    return found
