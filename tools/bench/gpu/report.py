"""Renders the results as JSON and as Markdown tables. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from anchor_cli.plan.catalogue import read_catalogue

from gpu.data_sheets import DATA_SHEETS, TARGET
from gpu.results import BenchResult, FinalTimes, MemoryPart, SpeechTimes, StepProfile
from gpu.roofline import (
    BYTE,
    HALF,
    FirstAudio,
    SpeechShape,
    cache_bytes_read,
    floor_ms,
    projected_ms,
    realtime_factor,
    step_bytes,
    weight_bytes_read,
)

SLOTS = (1, 2, 4, 8)
# A longer step is profiled.
LONG_STEP_MS = 4.0
FULL_BOOKS, FULL_CODES = 8, 1026
_FLOOR_CARDS = ("H200", "RTX 5090", "RTX 4090", "RTX 6000 Ada", "L40S", "RTX A6000")


def higgs_shape() -> SpeechShape:
    """The shape of the real model, from the catalogue of `anchor plan`."""
    shape = read_catalogue().model("higgs-v2").shape
    assert shape is not None
    return SpeechShape.speaking(shape.decoder, FULL_BOOKS, FULL_CODES)


def floors_table(context_tokens: int) -> str:
    """The least time of a step on some cards, in ms, in half precision and with 8-bit weights."""
    shape = higgs_shape()
    cards = [sheet for title in _FLOOR_CARDS for sheet in DATA_SHEETS if sheet.title == title]
    heads = " | ".join(f"{slots} slots" if slots > 1 else "1 slot" for slots in SLOTS)
    lines = [f"| card | GB/s | weights | {heads} | RTF, 1 slot |", "|---|---|---|" + "---|" * (len(SLOTS) + 1)]
    for card in cards:
        for name, size in (("bf16", HALF), ("8 bits", BYTE)):
            floors = [floor_ms(step_bytes(shape, slots, context_tokens, size), card.gb_s) for slots in SLOTS]
            cells = " | ".join(f"{floor:.2f}" for floor in floors)
            lines.append(f"| {card.title} | {card.gb_s:.0f} | {name} | {cells} | {realtime_factor(floors[0]):.3f} |")
    return "\n".join(lines)


def read_sentence(context_tokens: int) -> str:
    """The bytes that a step reads, as a sentence."""
    shape = higgs_shape()
    return (
        f"A step reads {weight_bytes_read(shape) / 1e9:.2f} GB of weights in bf16, "
        f"{weight_bytes_read(shape, BYTE) / 1e9:.2f} GB with eight bits, and "
        f"{cache_bytes_read(shape, 1, context_tokens) / 1e9:.3f} GB of cache for each slot of {context_tokens} tokens."
    )


def steps_table(measured: BenchResult) -> str:
    """Steps against the floor by the measured bandwidth, and by the data sheet's."""
    sheet = measured.data_sheet
    lines = [
        "| weights | slots | step, ms | graph alone | without graph | floor, ms | step ÷ floor | step ÷ data sheet "
        "| RTF |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in measured.steps:
        floor = floor_ms(row.read_bytes, measured.copy_gb_s) if measured.copy_gb_s else 0.0
        by_sheet = f"{row.whole_ms / floor_ms(row.read_bytes, sheet.gb_s):.2f}" if sheet else "–"
        lines.append(
            f"| {row.weights} | {row.slots} | {row.whole_ms:.2f} | {_ms(row.graph_ms)} | {row.eager_ms:.2f} "
            f"| {_ms(floor or None)} | {f'{row.whole_ms / floor:.2f}' if floor else '–'} | {by_sheet} "
            f"| {realtime_factor(row.whole_ms):.3f} |"
        )
    return "\n".join(lines)


def speech_table(measured: BenchResult) -> str:
    """Time to first audio here, and projected to the card of the GPU profile."""
    lines = [
        f"| weights | slots | first audio, ms | the slowest | RTF with codec | first audio on {TARGET.title}, ms |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.weights} | {row.slots} | {row.first_audio_ms:.0f} | {row.worst_first_audio_ms:.0f} "
        f"| {row.realtime_factor:.3f} | {projected_cell(measured, row)} |"
        for row in measured.speech
    ]
    return "\n".join(lines)


def projected_cell(measured: BenchResult, row: SpeechTimes) -> str:
    """Least and most on the target; a dash when the card is unknown or the step was not measured."""
    steps = [step for step in measured.steps if (step.weights, step.slots) == (row.weights, row.slots)]
    if measured.data_sheet is None or not measured.copy_gb_s or not steps:
        return "–"
    floor = floor_ms(steps[0].read_bytes, measured.copy_gb_s)
    first = FirstAudio(row.first_audio_ms, measured.steps_to_first_audio, steps[0].whole_ms, floor)
    least, most = projected_ms(first, measured.data_sheet.gb_s / TARGET.gb_s)
    return f"{least:.0f} to {most:.0f}"


def ratio_sentence(measured: BenchResult) -> str:
    """The measured bandwidth, and its ratio to that of the target."""
    found = f"Copying within the card moves {measured.copy_gb_s:.0f} GB/s"
    sheet = measured.data_sheet
    if sheet is None:
        return f"{found}; the card's data sheet is not listed."
    return (
        f"{found}, {measured.copy_gb_s / sheet.gb_s:.0%} of the data sheet's {sheet.gb_s:.0f}; {TARGET.title} has "
        f"{TARGET.gb_s:.0f}, slower by {sheet.gb_s / TARGET.gb_s:.2f}. First audio comes after "
        f"{measured.steps_to_first_audio} steps. On that card it is computed: the least where only reading takes "
        "longer, the most where everything does."
    )


def profile_table(profile: StepProfile) -> str:
    """The longest kernels of a step."""
    lines = [
        f"A step with {profile.slots} of the slots, in ms: {profile.step_ms:.2f}, of which {profile.busy_ms:.2f} in "
        f"kernels and {profile.gap_ms:.2f} in which the card waits.",
        "",
        "| kernel | ms a step | calls a step |",
        "|---|---|---|",
    ]
    return "\n".join([*lines, *(f"| `{name[:80]}` | {ms:.3f} | {calls:.0f} |" for name, ms, calls in profile.kernels)])


def memory_table(parts: Sequence[MemoryPart]) -> str:
    """Measured memory beside planned memory."""
    lines = ["| part | found, GiB | planned, GiB | plan is off by |", "|---|---|---|---|"]
    lines += [
        f"| {part.name} | {part.found / 2**30:.2f} | {part.planned / 2**30:.2f} | {part.error:+.1%} |" for part in parts
    ]
    return "\n".join(lines)


def finals_table(finals: Sequence[FinalTimes]) -> str:
    """Final transcripts behind vLLM."""
    lines = ["| clip, s | at a time | final, ms | the slowest | pieces of text |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.clip_s:g} | {row.at_a_time} | {row.p50_ms:.0f} | {row.worst_ms:.0f} | {row.tokens:.0f} |"
        for row in finals
    ]
    return "\n".join(lines)


def page_text(measured: BenchResult, when: str) -> str:
    """The text to put between the marks of the page."""
    parts = [f"Measured {when} on {measured.device}, with random weights.", ratio_sentence(measured)]
    if measured.steps:
        parts += ["### Steps of higgs-audio", steps_table(measured)]
    if measured.profile is not None:
        parts.append(profile_table(measured.profile))
    if measured.speech:
        parts += ["### Speech of higgs-audio", speech_table(measured)]
    if measured.memory:
        parts += ["### Memory", memory_table(measured.memory)]
    if measured.finals:
        parts += ["### Voxtral behind vLLM", finals_table(measured.finals)]
    failures = [f"- **{part} failed**: {error}" for part, error in measured.failures.items()]
    parts.append("\n".join([*(f"- {note}" for note in measured.notes), *failures]))
    parts += ["Clocks (driver, state, SM and memory with their limits, power):", clocks_table(measured.clocks)]
    return "\n\n".join(parts)


def clocks_table(clocks: Mapping[str, str]) -> str:
    """The card's state after each part."""
    return "\n".join(["| part | state |", "|---|---|", *(f"| {part} | {state} |" for part, state in clocks.items())])


def as_json(measured: BenchResult) -> dict[str, Any]:
    """All results, with the floors beside the steps."""
    made = asdict(measured)
    for row in made["steps"]:
        row["floor_ms"] = floor_ms(row["read_bytes"], measured.copy_gb_s) if measured.copy_gb_s else None
    return made


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
