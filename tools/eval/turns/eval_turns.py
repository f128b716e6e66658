"""`make eval-turns`: how well turns are taken with people, by the product's own stt and policy.

Plays recordings of people (`people.py`, `trials.py`) to turn detection with each predictor, and what that tells to
turn-taking with many waits. Puts tables and a drawing into `docs/`, and every pause with its label into `run/eval/`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from auditions import Heard, Rule, fixed, hear, outcomes, trials_of
from barge_ins import overspeech_section
from curve import Point, drawing
from listening import Ears
from orchestrator.conversation.turns.endpointing import Endpointing
from people import PROJECT, RECORDINGS, Recording, halves, read_recordings
from replay import Pause
from scores import Score, best, score
from trials import Trial
from turn_report import Row, kinds_table, replace_section, rules_table, verdict, write_pauses
from vad_service.turn_end.predictor import PREDICTORS

PAGE = PROJECT / "docs/evaluation.md"
DRAWING = PROJECT / "docs/images/turn-taking.svg"
PAUSES = PROJECT / "run/eval/pauses.csv"

FIXED_MS = (300, 500, 800)
TARGET_MS = 500
SWEPT_MS = (200, 300, 400, 500, 600, 700, 800, 1000, 1200, 1500)
FLOORS_MS = (100, 200, 300, 400)
CEILINGS_MS = (800, 1200, 2000, 3000)
STEEPNESSES = (1.0, 2.0, 3.0, 4.0)
# A wait that leaves more than one in twenty for longer than this is not one to choose.
SLOWEST_P95_MS = 2_000


@dataclass(frozen=True, slots=True)
class Halves:
    """The pauses of the speakers to tune on, and of those held back."""

    tuning: list[Pause]
    held_back: list[Pause]


@dataclass
class Evaluation:
    """All trials, what the predictors told of them, and any rule tried on that."""

    trials: Sequence[Trial]
    heard: Mapping[str, Heard]

    def __post_init__(self) -> None:
        self._tuning, _ = halves([trial.recording.speaker for trial in self.trials])

    def halves(self, rule: Rule) -> Halves:
        # A fixed silence needs only the edges, which are the same whoever judges.
        heard = self.heard[rule.predictor] if rule.predictor else next(iter(self.heard.values()))
        found = outcomes(self.trials, heard, rule)
        return Halves(
            [pause for pause in found if pause.speaker in self._tuning],
            [pause for pause in found if pause.speaker not in self._tuning],
        )

    def row(self, rule: Rule) -> Row:
        found = self.halves(rule)
        judging_ms = self.heard[rule.predictor].judging_ms if rule.predictor else ()
        return Row(rule.name, found.tuning, found.held_back, judging_ms)


def waits() -> list[Endpointing]:
    """All waits that are tried with a predictor."""
    return [
        replace(Endpointing(), floor_ms=floor_ms, ceiling_ms=ceiling_ms, steepness=steepness)
        for floor_ms, ceiling_ms, steepness in itertools.product(FLOORS_MS, CEILINGS_MS, STEEPNESSES)
    ]


def described(wait: Endpointing) -> str:
    return f"{wait.floor_ms}–{wait.ceiling_ms} ms, steepness {wait.steepness:g}"


def chosen(tried: Sequence[tuple[Rule, Score]]) -> Rule:
    """On the speakers to tune on: the fewest cut-offs among those no slower than the target; else the fastest."""
    allowed = [
        (rule, found)
        for rule, found in tried
        if found.delay_p50_ms <= TARGET_MS and found.delay_p95_ms <= SLOWEST_P95_MS and not found.missed
    ]
    if not allowed:
        return min(tried, key=lambda each: each[1].delay_p50_ms)[0]
    return min(allowed, key=lambda each: (each[1].cut_offs, each[1].interruptions, each[1].delay_p95_ms))[0]


def line(evaluation: Evaluation, rules: Sequence[Rule]) -> tuple[Rule, Rule, list[Point]]:
    """The rules to choose on either half; the trade-off: settings best on one half, at what they give on the other."""
    tried = {rule.name: (rule, evaluation.halves(rule)) for rule in rules}
    tuned = [(rule, score(found.tuning)) for rule, found in tried.values()]
    front = best([(rule.name, found) for rule, found in tuned])
    held_back = [score(tried[name][1].held_back) for name, _ in front]
    on_the_others = chosen([(rule, score(found.held_back)) for rule, found in tried.values()])
    return chosen(tuned), on_the_others, sorted((found.delay_p50_ms, found.cut_off_rate) for found in held_back)


def turns_section(evaluation: Evaluation) -> tuple[str, str]:
    """The figures of turns' ends as text, and the drawing."""
    lines: dict[str, list[Point]] = {}
    _, _, lines["fixed silence"] = line(evaluation, [fixed(silence_ms) for silence_ms in SWEPT_MS])
    shipped, tuned, swapped = [], [], []
    for predictor in evaluation.heard:
        rules = [Rule(f"{predictor}, {described(wait)}", predictor, wait) for wait in waits()]
        choice, on_the_others, lines[predictor] = line(evaluation, rules)
        shipped.append(evaluation.row(Rule(f"{predictor}, as shipped", predictor, Endpointing())))
        tuned.append(evaluation.row(choice))
        swapped.append(evaluation.row(on_the_others))
    rows = [*(evaluation.row(fixed(silence_ms)) for silence_ms in FIXED_MS), *shipped, *tuned]
    write_pauses(PAUSES, rows)
    target_row = next(row for row in rows if row.name == fixed(TARGET_MS).name)
    target = score(target_row.held_back)
    verdicts = [f"- {row.name}: {verdict(row.held_back, target_row.held_back)}." for row in [*shipped, *tuned]]
    svg = drawing(
        "Answering soon, and not too soon: speakers held back",
        lines,
        (target.delay_p50_ms, target.cut_off_rate / 2),
        longest_ms=1_500,
    )
    shown = [target_row, *shipped]
    other_way = [f"- {row.name}: {verdict(row.tuning, target_row.tuning)}." for row in swapped]
    texts = [
        *(rules_table(rows), "Against a fixed 500 ms:", "\n".join(verdicts)),
        *("The other way round, chosen on the half held back and measured on the other:", "\n".join(other_way)),
        *("Cut-offs by what makes a pause hard, both halves together:", kinds_table(shown)),
    ]
    return "\n\n".join(texts), svg


async def evaluate(recordings: Sequence[Recording], predictors: Sequence[str]) -> None:
    """Everything, and onto the page."""
    stt = Ears()
    trials = await trials_of(recordings, stt)
    heard: dict[str, Heard] = {}
    for predictor in predictors:
        started_s = time.perf_counter()
        heard[predictor] = await hear(trials, stt, predictor)
        print(f"{predictor}: {len(trials)} trials in {time.perf_counter() - started_s:.0f} s", flush=True)  # noqa: T201
    figures, svg = turns_section(Evaluation(trials, heard))
    print(figures, flush=True)  # noqa: T201
    DRAWING.write_text(svg, "utf-8")
    replace_section(PAGE, "turns", figures)
    await evaluate_barge_ins(recordings, stt)


async def evaluate_barge_ins(recordings: Sequence[Recording], stt: Ears) -> None:
    """What stops an anchor that speaks, and onto the page."""
    barge_ins = await overspeech_section(recordings, stt)
    print(barge_ins)  # noqa: T201
    replace_section(PAGE, "barge-in", barge_ins)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictors", nargs="+", default=list(PREDICTORS), choices=list(PREDICTORS))
    parser.add_argument("--only", choices=["barge-ins"], help="measure again this part of it and no other")
    options = parser.parse_args()
    if not (RECORDINGS / "speech.csv").is_file():
        print(f"skipped: no recordings of people in {RECORDINGS}")  # noqa: T201
        return
    if options.only:
        asyncio.run(evaluate_barge_ins(read_recordings(), Ears()))
        return
    asyncio.run(evaluate(read_recordings(), options.predictors))


if __name__ == "__main__":
    main()
