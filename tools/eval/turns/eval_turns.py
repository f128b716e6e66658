"""`make eval-turns`: turn-taking and barge-in on recordings of people, with the product's voice detection and policy.

Plays recordings (`recordings.py`, `trials.py`) to turn detection with each predictor, and its events to turn-taking
with many endpointing rules. Writes tables and a chart into `docs/`, and every labelled pause into `run/eval/`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from barge_ins import barge_in_section
from offline_vad import OfflineVad
from orchestrator.conversation.turns.endpointing import Endpointing
from predictor_runs import PredictorRun, Rule, apply_rule, build_trials, fixed_silence, run_predictor
from recordings import PROJECT, RECORDINGS, Recording, read_recordings, split_speakers
from replay import Pause
from scores import Score, pareto_front, score
from trade_off_chart import Point, render_chart
from trials import Trial
from turn_report import Row, compare, kinds_table, replace_section, rules_table, write_pauses
from vad_service.turn_end.predictor import PREDICTORS

PAGE = PROJECT / "docs/evaluation.md"
CHART = PROJECT / "docs/images/turn-taking.svg"
PAUSES = PROJECT / "run/eval/pauses.csv"

FIXED_MS = (300, 500, 800)
TARGET_MS = 500
SWEPT_MS = (200, 300, 400, 500, 600, 700, 800, 1000, 1200, 1500)
FLOORS_MS = (100, 200, 300, 400)
CEILINGS_MS = (800, 1200, 2000, 3000)
STEEPNESSES = (1.0, 2.0, 3.0, 4.0)
# Rules with a higher 95th percentile of the delay are not chosen.
SLOWEST_P95_MS = 2_000


@dataclass(frozen=True, slots=True)
class Halves:
    """The pauses of the speakers to tune on, and of those held back."""

    tuning: list[Pause]
    held_back: list[Pause]


@dataclass
class Evaluation:
    """All trials, and the run of each predictor; applies any rule to them."""

    trials: Sequence[Trial]
    runs: Mapping[str, PredictorRun]

    def __post_init__(self) -> None:
        self._tuning, _ = split_speakers([trial.recording.speaker for trial in self.trials])

    def halves(self, rule: Rule) -> Halves:
        # A fixed silence needs only the speech edges, which all runs share.
        run = self.runs[rule.predictor] if rule.predictor else next(iter(self.runs.values()))
        found = apply_rule(self.trials, run, rule)
        return Halves(
            [pause for pause in found if pause.speaker in self._tuning],
            [pause for pause in found if pause.speaker not in self._tuning],
        )

    def row(self, rule: Rule) -> Row:
        found = self.halves(rule)
        prediction_ms = self.runs[rule.predictor].prediction_ms if rule.predictor else ()
        return Row(rule.name, found.tuning, found.held_back, prediction_ms)


def swept_endpointing() -> list[Endpointing]:
    """All endpointing settings tried with a predictor."""
    return [
        replace(Endpointing(), floor_ms=floor_ms, ceiling_ms=ceiling_ms, steepness=steepness)
        for floor_ms, ceiling_ms, steepness in itertools.product(FLOORS_MS, CEILINGS_MS, STEEPNESSES)
    ]


def describe(wait: Endpointing) -> str:
    return f"{wait.floor_ms}–{wait.ceiling_ms} ms, steepness {wait.steepness:g}"


def choose_rule(tried: Sequence[tuple[Rule, Score]]) -> Rule:
    """The rule with the fewest cut-offs among those no slower than the target; else the fastest."""
    allowed = [
        (rule, found)
        for rule, found in tried
        if found.delay_p50_ms <= TARGET_MS and found.delay_p95_ms <= SLOWEST_P95_MS and not found.missed
    ]
    if not allowed:
        return min(tried, key=lambda each: each[1].delay_p50_ms)[0]
    return min(allowed, key=lambda each: (each[1].cut_offs, each[1].interruptions, each[1].delay_p95_ms))[0]


def trade_off(evaluation: Evaluation, rules: Sequence[Rule]) -> tuple[Rule, Rule, list[Point]]:
    """The rules chosen on either half; the trade-off: the settings best on one half, scored on the other."""
    tried = {rule.name: (rule, evaluation.halves(rule)) for rule in rules}
    tuned = [(rule, score(found.tuning)) for rule, found in tried.values()]
    front = pareto_front([(rule.name, found) for rule, found in tuned])
    held_back = [score(tried[name][1].held_back) for name, _ in front]
    on_the_others = choose_rule([(rule, score(found.held_back)) for rule, found in tried.values()])
    return choose_rule(tuned), on_the_others, sorted((found.delay_p50_ms, found.cut_off_rate) for found in held_back)


def turns_section(evaluation: Evaluation) -> tuple[str, str]:
    """The results of turn ends as text, and the chart as SVG."""
    lines: dict[str, list[Point]] = {}
    _, _, lines["fixed silence"] = trade_off(evaluation, [fixed_silence(silence_ms) for silence_ms in SWEPT_MS])
    shipped, tuned, swapped = [], [], []
    for predictor in evaluation.runs:
        rules = [Rule(f"{predictor}, {describe(wait)}", predictor, wait) for wait in swept_endpointing()]
        choice, on_the_others, lines[predictor] = trade_off(evaluation, rules)
        shipped.append(evaluation.row(Rule(f"{predictor}, as shipped", predictor, Endpointing())))
        tuned.append(evaluation.row(choice))
        swapped.append(evaluation.row(on_the_others))
    rows = [*(evaluation.row(fixed_silence(silence_ms)) for silence_ms in FIXED_MS), *shipped, *tuned]
    write_pauses(PAUSES, rows)
    target_row = next(row for row in rows if row.name == fixed_silence(TARGET_MS).name)
    target = score(target_row.held_back)
    verdicts = [f"- {row.name}: {compare(row.held_back, target_row.held_back)}." for row in [*shipped, *tuned]]
    svg = render_chart(
        "Answering soon, and not too soon: speakers held back",
        lines,
        (target.delay_p50_ms, target.cut_off_rate / 2),
        longest_ms=1_500,
    )
    shown = [target_row, *shipped]
    other_way = [f"- {row.name}: {compare(row.tuning, target_row.tuning)}." for row in swapped]
    texts = [
        *(rules_table(rows), "Against a fixed 500 ms:", "\n".join(verdicts)),
        *("The other way round, chosen on the half held back and measured on the other:", "\n".join(other_way)),
        *("Cut-offs by what makes a pause hard, both halves together:", kinds_table(shown)),
    ]
    return "\n\n".join(texts), svg


async def evaluate(recordings: Sequence[Recording], predictors: Sequence[str]) -> None:
    """Run everything, and replace the sections of the page."""
    vad = OfflineVad()
    trials = await build_trials(recordings, vad)
    runs: dict[str, PredictorRun] = {}
    for predictor in predictors:
        started_s = time.perf_counter()
        runs[predictor] = await run_predictor(trials, vad, predictor)
        print(f"{predictor}: {len(trials)} trials in {time.perf_counter() - started_s:.0f} s", flush=True)  # noqa: T201
    figures, svg = turns_section(Evaluation(trials, runs))
    print(figures, flush=True)  # noqa: T201
    CHART.write_text(svg, "utf-8")
    replace_section(PAGE, "turns", figures)
    await evaluate_barge_ins(recordings, vad)


async def evaluate_barge_ins(recordings: Sequence[Recording], vad: OfflineVad) -> None:
    """Measure barge-in, and replace its section of the page."""
    barge_ins = await barge_in_section(recordings, vad)
    print(barge_ins)  # noqa: T201
    replace_section(PAGE, "barge-in", barge_ins)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictors", nargs="+", default=list(PREDICTORS), choices=list(PREDICTORS))
    parser.add_argument("--only", choices=["barge-ins"], help="measure only this part")
    options = parser.parse_args()
    if not (RECORDINGS / "speech.csv").is_file():
        print(f"skipped: no recordings of people in {RECORDINGS}")  # noqa: T201
        return
    if options.only:
        asyncio.run(evaluate_barge_ins(read_recordings(), OfflineVad()))
        return
    asyncio.run(evaluate(read_recordings(), options.predictors))


if __name__ == "__main__":
    main()
