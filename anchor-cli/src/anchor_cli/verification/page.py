"""The report on one page, in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from anchor_cli.verification.checks.limits import GIB
from anchor_cli.verification.outcome import Result
from anchor_cli.verification.results import StepRecord

_LISTEN = "Please listen to {folder}/*.wav: is it one voice, the same in all?"


def render_page(
    subject: Mapping[str, Any], steps: Iterable[StepRecord], lock_rows: str, sound: str, *, rehearsal: bool
) -> str:
    """Card, verdicts with their cures, memory, latencies, word errors, and the entries for models.lock."""
    steps = list(steps)
    figures = {step.step: step.figures for step in steps}
    card = subject.get("card") or {}
    title = str(card.get("title", "no card"))
    lines = [
        "# GPU verification" + (" (rehearsal: nothing here says anything about a card)" if rehearsal else ""),
        "",
        f"{title}, {int(card.get('memory_mib', 0)) / 1024:.1f} GiB, compute capability {card.get('compute', '–')}, "
        f"driver {subject.get('driver') or '–'}.",
        "",
        "| step | result | seconds | cure |",
        "|---|---|---|---|",
        *(f"| {step.step} | {step.verdict} | {step.seconds:.0f} | {step.cure} |" for step in steps),
        "",
        *_failures(steps),
        *_memory(figures.get("memory", {})),
        *_latency(figures),
        *_sentences(figures.get("round-trip", {})),
    ]
    if lock_rows:
        lines += ["## Entries for models.lock", "", "```toml", lock_rows.rstrip(), "```", ""]
    lines.append(_LISTEN.format(folder=sound))
    return "\n".join(lines) + "\n"


def _failures(steps: Iterable[StepRecord]) -> list[str]:
    failed = [
        f"- {step.step}, {check.name}: {check.message}. {check.cure}"
        for step in steps
        for check in step.checks
        if check.verdict is Result.FAIL
    ]
    return ["## Failed", "", *failed, ""] if failed else []


def _memory(figures: Mapping[str, Any]) -> list[str]:
    rows = figures.get("rows")
    if not rows:
        return []
    columns = ("planned_bytes", "reported_bytes", "driver_bytes", "unexplained_bytes")
    lines = ["## Memory, GiB", "", "| service | planned | reported | driver | unexplained |", "|---|---|---|---|---|"]
    lines += [f"| {row['service']} | " + " | ".join(_gib(row.get(column)) for column in columns) + " |" for row in rows]
    return [*lines, "", f"Free on the card: {_gib(figures.get('free_bytes'))} GiB.", ""]


def _latency(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines: list[str] = []
    if "response_ms" in (together := figures.get("together", {})):
        lines.append(f"- response latency {together['response_ms']:.0f} ms, budget {together['budget_ms']} ms")
        lines += [f"- {stage}: {at_ms} ms" for stage, at_ms in together.get("stages_ms", {}).items()]
    if "final_s" in (recognition := figures.get("recognition", {})):
        lines.append(f"- final transcript {recognition['final_s'] * 1000:.0f} ms")
    if "tokens_per_s" in (llm := figures.get("language-model", {})):
        lines.append(f"- language model {llm['tokens_per_s']:.1f} tokens/s, first token {llm['first_token_s']:.2f} s")
    lines += [
        f"- voice, {speed['weights']}, {speed['slots']} slots: first audio {speed['first_audio_ms']:.0f} ms, "
        f"RTF {speed['realtime_factor']:.2f}, step {speed['step_ms']:.2f} ms, floor {speed['floor_ms']:.2f}"
        for speed in figures.get("voice", {}).get("speed", ())
    ]
    return ["## Times", "", *lines, ""] if lines else []


def _sentences(figures: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| {row['file']} | {row['word_error_rate']:.0%} | {row['text']} | {row['transcript']} |"
        for row in figures.get("sentences", ())
    ]
    head = ["## Word errors", "", "| file | errors | spoken | recognised |", "|---|---|---|---|"]
    return [*head, *rows, ""] if rows else []


def _gib(value: int | None) -> str:
    return "–" if value is None else f"{value / GIB:.2f}"
