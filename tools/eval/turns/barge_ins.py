"""Measures false and true barge-ins over a speaking anchor, and renders them as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from barge_in_simulation import Outcome, simulate_barge_in
from noises import collect_noises
from offline_vad import OfflineVad
from recogniser import PerfectRecogniser, PocketsphinxRecogniser
from recordings import Recording
from replies import load_tts_engine, synthesise_replies
from service_kit.audio import MICROPHONE

ECHO_DB = (0, -10, -20, -30, -40)
_ECHO_OF_PEOPLE_DB = -20
_ROOM = "zxx-room-silence"
# Barge-ins are short turns; longer recordings are not used.
_LONGEST_BARGE_IN_MS = 8_000


@dataclass(frozen=True, slots=True)
class TrialGroup:
    """The outcomes of all sounds of one kind."""

    name: str
    outcomes: Sequence[Outcome]

    @property
    def stops(self) -> int:
        """The number of stopped replies."""
        return sum(outcome.stopped_ms is not None for outcome in self.outcomes)

    def table_row(self) -> str:
        """The row of the table."""
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


def barge_ins_table(trials: Sequence[TrialGroup]) -> str:
    """How often a reply was paused and stopped; verdicts in milliseconds after the start of speech was detected."""
    head = [
        "| over the reply | trials | seconds heard | times held | share held | replies stopped "
        "| verdict p50 / p95 ms | verdicts |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(each.table_row() for each in trials)])


async def barge_in_section(recordings: Sequence[Recording], vad: OfflineVad) -> str:
    """Noise, the anchor's own voice, and people, over a speaking anchor: a table and three sentences."""
    recogniser = PocketsphinxRecogniser()
    async with load_tts_engine() as engine:
        replies = await synthesise_replies(engine)
    reply = replies[0]
    sounds = collect_noises(recordings)
    trials: list[TrialGroup] = []
    for kind in dict.fromkeys(sound.kind for sound in sounds):
        outcomes = [
            await simulate_barge_in(vad, recogniser, reply, sound.pcm) for sound in sounds if sound.kind == kind
        ]
        trials.append(TrialGroup(kind, outcomes))
    room = next(each.pcm for each in recordings if each.name == _ROOM)
    for name, recognisers in (
        ("", [recogniser] * len(replies)),
        (", words understood", [PerfectRecogniser(each) for each in replies]),
    ):
        for echo_db in ECHO_DB:
            outcomes = [
                await simulate_barge_in(vad, listener, each, loop_audio(room, each.length_ms), float(echo_db))
                for listener, each in zip(recognisers, replies, strict=True)
            ]
            trials.append(TrialGroup(f"the anchor's own voice, {echo_db} dB{name}", outcomes))
    people = [each for each in recordings if each.language == "en" and each.length_ms <= _LONGEST_BARGE_IN_MS]
    alone = TrialGroup(
        "people (should stop it)", [await simulate_barge_in(vad, recogniser, reply, each.pcm) for each in people]
    )
    over_echo = TrialGroup(
        f"people, over an echo of {_ECHO_OF_PEOPLE_DB} dB (should stop it)",
        [await simulate_barge_in(vad, recogniser, reply, each.pcm, _ECHO_OF_PEOPLE_DB) for each in people],
    )
    table = barge_ins_table([*trials, over_echo, alone])
    return (
        f"{table}\n\n{_stops_sentence([*trials, alone])} {_echo_sentence(alone, over_echo)} {_pauses_sentence(trials)}"
    )


def _stops_sentence(trials: Sequence[TrialGroup]) -> str:
    *false, true = trials
    not_speech = [each for each in false if "made" in each.name or "music" in each.name]
    stopped = sum(each.stops for each in not_speech)
    of = sum(len(each.outcomes) for each in not_speech)
    people = len(true.outcomes)
    return f"Music, noise and made coughs stopped {stopped} of {of} replies; people, {true.stops} of {people}."


def _echo_sentence(alone: TrialGroup, over_echo: TrialGroup) -> str:
    """Delays count from the start detected without echo, because an echo starts before the person does."""
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


def _pauses_sentence(trials: Sequence[TrialGroup]) -> str:
    echoes = [outcome for each in trials if "own voice" in each.name for outcome in each.outcomes]
    minutes = sum(outcome.length_ms for outcome in echoes) / 60_000
    pauses = sum(len(outcome.pauses_ms) for outcome in echoes)
    return f"Echoes held the reply {pauses / minutes:.1f} times a minute."


def loop_audio(pcm: bytes, length_ms: int) -> bytes:
    """`pcm`, repeated up to `length_ms`."""
    return np.resize(np.frombuffer(pcm, "<i2"), MICROPHONE.bytes_for(length_ms) // 2).tobytes()
