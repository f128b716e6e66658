"""Scores pauses: cut-offs, missed ends, delays, and their confidence intervals."""

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
    """The score of one rule on many pauses. Rates are shares; delays are milliseconds after the end of speech."""

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
        """The share of pauses in a sentence that were cut off."""
        return self.cut_offs / self.holds if self.holds else 0.0

    @property
    def interruption_rate(self) -> float:
        """The share of cut-offs among pauses after which the same speaker goes on, in a sentence or not."""
        return self.interruptions / self.goes_on if self.goes_on else 0.0


def score(pauses: Sequence[Pause]) -> Score:
    """Score `pauses`. An end without a commit has an infinite delay."""
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
    """The 95 % interval: from the 2.5th to the 97.5th percentile over resampled speakers."""

    low: float
    high: float


def interval(pauses: Sequence[Pause], figure: Callable[[Score], float]) -> Interval:
    """Bootstrap `figure` over speakers, each with all pauses; the draws are the same every time."""
    return _percentile_interval([figure(found) for found in _resampled_scores(pauses)])


def cut_offs_spared(rule: Sequence[Pause], other: Sequence[Pause]) -> Interval:
    """By how much the cut-off rate of `rule` is below that of `other`, on the same draws of the same speakers."""
    pairs = zip(_resampled_scores(rule), _resampled_scores(other), strict=True)
    return _percentile_interval([theirs.cut_off_rate - ours.cut_off_rate for ours, theirs in pairs])


def _resampled_scores(pauses: Sequence[Pause]) -> Iterator[Score]:
    by_speaker: dict[str, list[Pause]] = defaultdict(list)
    for pause in pauses:
        by_speaker[pause.speaker].append(pause)
    speakers = sorted(by_speaker)
    draw = random.Random(SEED)
    for _ in range(_DRAWS):
        drawn = draw.choices(speakers, k=len(speakers))
        yield score([pause for speaker in drawn for pause in by_speaker[speaker]])


def _percentile_interval(figures: Sequence[float]) -> Interval:
    low, high = np.percentile(figures, (2.5, 97.5), method="nearest").tolist()
    return Interval(low, high)


def pareto_front(settings: Sequence[tuple[str, Score]]) -> list[tuple[str, Score]]:
    """The settings for which no other has both fewer cut-offs and a shorter median delay, fastest first."""
    front: list[tuple[str, Score]] = []
    for name, found in sorted(settings, key=lambda each: (each[1].delay_p50_ms, each[1].cut_off_rate)):
        if not front or found.cut_off_rate < front[-1][1].cut_off_rate:
            front.append((name, found))
    return front
