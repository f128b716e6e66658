"""False barge-ins, and true ones: who stops an anchor that speaks, and how soon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from listening import Ears
from noises import noises
from overspeech import Outcome, over
from people import Recording
from recogniser import Recogniser, TrueWords
from replies import replies, speaking_engine
from service_kit.audio import MICROPHONE

ECHO_DB = (0, -10, -20, -30, -40)
_ECHO_OF_PEOPLE_DB = -20
_ROOM = "zxx-room-silence"
# A turn at the anchor's expense is a short one.
_LONGEST_BARGE_IN_MS = 8_000


@dataclass(frozen=True, slots=True)
class Trials:
    """Like sounds, and what came of each."""

    name: str
    outcomes: Sequence[Outcome]

    @property
    def stops(self) -> int:
        """Replies that were stopped."""
        return sum(outcome.stopped_ms is not None for outcome in self.outcomes)

    def line(self) -> str:
        """A line of the table."""
        pauses = sum(len(outcome.pauses_ms) for outcome in self.outcomes)
        length_ms = sum(outcome.length_ms for outcome in self.outcomes)
        held = sum(outcome.held_ms for outcome in self.outcomes) / length_ms
        verdicts_ms = [after_ms for outcome in self.outcomes for _, after_ms in outcome.verdicts]
        reasons = Counter(verdict.name.removeprefix("BARGE_IN_VERDICT_").lower().replace("_", " ")
                          for outcome in self.outcomes for verdict, _ in outcome.verdicts)  # fmt: skip
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "–"
        spread = "–"
        if verdicts_ms:
            p50, p95 = np.percentile(verdicts_ms, (50, 95)).tolist()
            spread = f"{p50:.0f} / {p95:.0f}"
        return (
            f"| {self.name} | {len(self.outcomes)} | {length_ms / 1000:.0f} | {pauses} | {held:.0%} | {self.stops} "
            f"| {spread} | {why} |"
        )


def barge_ins_table(trials: Sequence[Trials]) -> str:
    """How often a reply was held and stopped; verdicts in milliseconds after speech was found to begin."""
    head = [
        "| over the reply | trials | seconds heard | times held | share held | replies stopped "
        "| verdict p50 / p95 ms | verdicts |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(each.line() for each in trials)])


async def overspeech_section(recordings: Sequence[Recording], stt: Ears) -> str:
    """Noise, the anchor's own voice, and people, over an anchor that speaks; as a table and in a sentence."""
    recogniser = Recogniser()
    async with speaking_engine() as engine:
        spoken = await replies(engine)
    reply = spoken[0]
    sounds = noises(recordings)
    trials: list[Trials] = []
    for kind in dict.fromkeys(sound.kind for sound in sounds):
        outcomes = [await over(stt, recogniser, reply, sound.pcm) for sound in sounds if sound.kind == kind]
        trials.append(Trials(kind, outcomes))
    room = next(each.pcm for each in recordings if each.name == _ROOM)
    for name, recognisers in (
        ("", [recogniser] * len(spoken)),
        (", words understood", [TrueWords(each) for each in spoken]),
    ):
        for echo_db in ECHO_DB:
            outcomes = [
                await over(stt, listener, each, lasting(room, each.length_ms), float(echo_db))
                for listener, each in zip(recognisers, spoken, strict=True)
            ]
            trials.append(Trials(f"the anchor's own voice, {echo_db} dB{name}", outcomes))
    people = [each for each in recordings if each.language == "en" and each.length_ms <= _LONGEST_BARGE_IN_MS]
    alone = Trials("people (should stop it)", [await over(stt, recogniser, reply, each.pcm) for each in people])
    over_echo = Trials(
        f"people, over an echo of {_ECHO_OF_PEOPLE_DB} dB (should stop it)",
        [await over(stt, recogniser, reply, each.pcm, _ECHO_OF_PEOPLE_DB) for each in people],
    )
    table = barge_ins_table([*trials, over_echo, alone])
    return f"{table}\n\n{_summary([*trials, alone])} {_over_echo(alone, over_echo)} {_held(trials)}"


def _summary(trials: Sequence[Trials]) -> str:
    *false, true = trials
    not_speech = [each for each in false if "made" in each.name or "music" in each.name]
    stopped = sum(each.stops for each in not_speech)
    of = sum(len(each.outcomes) for each in not_speech)
    people = len(true.outcomes)
    return f"Music, noise and made coughs stopped {stopped} of {of} replies; people, {true.stops} of {people}."


def _over_echo(alone: Trials, over_echo: Trials) -> str:
    """An echo is told to begin before the person does, so time counts from where they are found to begin without."""
    delays_ms = [
        echoed.stopped_ms - clean.starts_ms[0]
        for clean, echoed in zip(alone.outcomes, over_echo.outcomes, strict=True)
        if echoed.stopped_ms is not None and clean.starts_ms
    ]
    p50, p95 = np.percentile(delays_ms, (50, 95)).tolist()
    return (
        f"Over an echo of {_ECHO_OF_PEOPLE_DB} dB, {over_echo.stops} of {len(over_echo.outcomes)} people did, "
        f"{p50:.0f} ms (p95 {p95:.0f}) after they would have been found to begin without it."
    )


def _held(trials: Sequence[Trials]) -> str:
    echoes = [outcome for each in trials if "own voice" in each.name for outcome in each.outcomes]
    minutes = sum(outcome.length_ms for outcome in echoes) / 60_000
    pauses = sum(len(outcome.pauses_ms) for outcome in echoes)
    return f"Echoes held the reply {pauses / minutes:.1f} times a minute."


def lasting(pcm: bytes, length_ms: int) -> bytes:
    """`pcm` over and over, for so long."""
    return np.resize(np.frombuffer(pcm, "<i2"), MICROPHONE.bytes_for(length_ms) // 2).tobytes()
