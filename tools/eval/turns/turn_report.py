"""Renders scores as tables, and replaces sections of a page with them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from replay import Pause
from scores import cut_offs_spared, interval, score
from trials import Label


@dataclass(frozen=True, slots=True)
class Row:
    """The pauses of one rule on both halves of the speakers."""

    name: str
    tuning: Sequence[Pause]
    held_back: Sequence[Pause]
    # The time of each prediction; empty for rules without a predictor.
    prediction_ms: Sequence[float] = ()


def rules_table(rows: Sequence[Row]) -> str:
    """The scores of each rule on the speakers held back, and in short on the others; delays in milliseconds."""
    lines = [
        "| rule | cut off in a sentence | 95 % interval | interrupted, goes on | missed ends | delay p50 / p95 "
        "| 95 % interval of p50 | judging p50 / p95 ms | tuning half: cut off, p50 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_rule_row(row) for row in rows]
    return "\n".join(lines)


def _rule_row(row: Row) -> str:
    found, tuned = score(row.held_back), score(row.tuning)
    rate = interval(row.held_back, lambda score: score.cut_off_rate)
    median = interval(row.held_back, lambda score: score.delay_p50_ms)
    prediction = "–"
    if row.prediction_ms:
        p50, p95 = np.percentile(row.prediction_ms, (50, 95)).tolist()
        prediction = f"{p50:.0f} / {p95:.0f}"
    return (
        f"| {row.name} | {format_share(found.cut_offs, found.holds)} | {rate.low:.0%} – {rate.high:.0%} "
        f"| {format_share(found.interruptions, found.goes_on)} | {found.missed} of {found.ends} "
        f"| {found.delay_p50_ms:.0f} / {_ms(found.delay_p95_ms)} | {median.low:.0f} – {median.high:.0f} | {prediction} "
        f"| {tuned.cut_off_rate:.0%}, {tuned.delay_p50_ms:.0f} |"
    )


def kinds_table(rows: Sequence[Row]) -> str:
    """Cut-offs by kind of speech, over both halves."""
    everything = [[*row.tuning, *row.held_back] for row in rows]
    holds = [[pause for pause in pauses if pause.label is Label.HOLD] for pauses in everything]
    kinds = sorted({(pause.kind, pause.is_natural) for pause in holds[0]}, key=lambda kind: (not kind[1], kind[0]))
    names = " | ".join(row.name for row in rows)
    lines = [f"| pauses in | of | {names} |", "|---|---|" + "---|" * len(rows)]
    for kind, is_natural in kinds:
        counts = [
            sum(pause.is_cut_off for pause in pauses if (pause.kind, pause.is_natural) == (kind, is_natural))
            for pauses in holds
        ]
        of = sum((pause.kind, pause.is_natural) == (kind, is_natural) for pause in holds[0])
        name = kind if is_natural else f"{kind} (put in)"
        lines.append(f"| {name} | {of} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines)


def format_share(part: int, whole: int) -> str:
    """A count, the total, and the share."""
    return f"{part} of {whole} ({part / whole:.0%})" if whole else "–"


def _ms(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "never"


def write_pauses(path: Path, rows: Sequence[Row]) -> None:
    """Write every pause with its label, and when each rule committed the turn, as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    by_rule: Mapping[str, Sequence[Pause]] = {row.name: [*row.tuning, *row.held_back] for row in rows}
    halves = ["tuning"] * len(rows[0].tuning) + ["held back"] * len(rows[0].held_back)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["trial", "speaker", "half", "kind", "label", "at_ms", "length_ms", *by_rule])
        for number, pause in enumerate(next(iter(by_rule.values()))):
            commits = [pauses[number].committed_ms for pauses in by_rule.values()]
            length = "" if pause.length_ms is None else pause.length_ms
            table.writerow(
                [pause.trial, pause.speaker, halves[number], pause.kind, pause.label, pause.at_ms, length]
                + ["" if commit is None else commit for commit in commits]
            )


def compare(of: Sequence[Pause], against: Sequence[Pause]) -> str:
    """Whether a rule cuts off at most half as often as another, with no longer median delay."""
    found, target = score(of), score(against)
    fewer = found.cut_off_rate <= target.cut_off_rate / 2
    faster = found.delay_p50_ms <= target.delay_p50_ms
    less = cut_offs_spared(of, against)
    outcome = "met" if fewer and faster else "not met"
    return (
        f"{outcome}: {found.cut_offs} cut-offs against {target.cut_offs} of {target.holds}, "
        f"median delay {found.delay_p50_ms:.0f} ms against {target.delay_p50_ms:.0f} ms; of pauses in a sentence, "
        f"{less.low * 100:+.0f} to {less.high * 100:+.0f} in a hundred are spared"
    )


def replace_section(page: Path, name: str, figures: str) -> None:
    """Put `figures` between the marks of that name. Raises ValueError when the page has none."""
    begin, end = f"<!-- {name}: figures begin -->", f"<!-- {name}: figures end -->"
    before, mark, rest = page.read_text("utf-8").partition(begin)
    _, closing, after = rest.partition(end)
    if not (mark and closing):
        raise ValueError(f"{page} has no place for the figures of {name}")
    page.write_text(f"{before}{begin}\n\n{figures}\n\n{end}{after}", "utf-8")
