"""From pauses to figures: cut-offs, missed ends, delays, and how sure they are."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from replay import Pause
from trials import Label

SEED = 7
_DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class Score:
    """What one rule made of many pauses. Rates are shares; delays are milliseconds after the end of speech."""

    holds: int
    cut_offs: int
    goes_on: int
    interruptions: int
    ends: int
    missed: int
    delay_p50_ms: float
    delay_p95_ms: float

    @property
    def cut_off_rate(self) -> float:
        """Of pauses in a sentence, how many were held to be the end."""
        return self.cut_offs / self.holds if self.holds else 0.0

    @property
    def interruption_rate(self) -> float:
        """Of pauses after which the same speaker goes on, sentence or not."""
        return self.interruptions / self.goes_on if self.goes_on else 0.0


def score(pauses: Sequence[Pause]) -> Score:
    """The figures of `pauses`. A missed end counts as one that is answered after the longest delay there is."""
    holds = [pause for pause in pauses if pause.label is Label.HOLD]
    goes_on = [pause for pause in pauses if pause.label is Label.GOES_ON]
    ends = [pause for pause in pauses if pause.label is Label.END]
    delays = [float("inf") if pause.committed_ms is None else float(pause.committed_ms) for pause in ends]
    p50, p95 = np.percentile(delays, (50, 95), method="higher").tolist() if delays else (0.0, 0.0)
    return Score(
        holds=len(holds),
        cut_offs=sum(pause.is_cut_off for pause in holds),
        goes_on=len(goes_on),
        interruptions=sum(pause.is_cut_off for pause in goes_on),
        ends=len(ends),
        missed=sum(pause.is_missed for pause in ends),
        delay_p50_ms=p50,
        delay_p95_ms=p95,
    )


@dataclass(frozen=True, slots=True)
class Interval:
    """From the 2.5th to the 97.5th percentile of what other speakers might have given."""

    low: float
    high: float


def interval(pauses: Sequence[Pause], figure: Callable[[Score], float]) -> Interval:
    """How far `figure` moves when speakers are drawn anew, with all of their pauses; the same draws every time."""
    return _middle([figure(found) for found in _redrawn(pauses)])


def gain(rule: Sequence[Pause], other: Sequence[Pause]) -> Interval:
    """How much smaller the cut-off rate of `rule` is than that of `other`, on the same draws of the same speakers."""
    pairs = zip(_redrawn(rule), _redrawn(other), strict=True)
    return _middle([theirs.cut_off_rate - ours.cut_off_rate for ours, theirs in pairs])


def _redrawn(pauses: Sequence[Pause]) -> Iterator[Score]:
    by_speaker: dict[str, list[Pause]] = defaultdict(list)
    for pause in pauses:
        by_speaker[pause.speaker].append(pause)
    speakers = sorted(by_speaker)
    draw = random.Random(SEED)
    for _ in range(_DRAWS):
        drawn = draw.choices(speakers, k=len(speakers))
        yield score([pause for speaker in drawn for pause in by_speaker[speaker]])


def _middle(figures: Sequence[float]) -> Interval:
    low, high = np.percentile(figures, (2.5, 97.5), method="nearest").tolist()
    return Interval(low, high)


def best(settings: Sequence[tuple[str, Score]]) -> list[tuple[str, Score]]:
    """Those for which no other has both fewer cut-offs and a shorter median delay, from the fastest on."""
    front: list[tuple[str, Score]] = []
    for name, found in sorted(settings, key=lambda each: (each[1].delay_p50_ms, each[1].cut_off_rate)):
        if not front or found.cut_off_rate < front[-1][1].cut_off_rate:
            front.append((name, found))
    return front
