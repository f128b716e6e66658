"""Renders the latency waterfall of a turn for the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from anchor.session.v1 import session_pb2
from rich.table import Table
from rich.text import Text

# Budget from the end of speech to the first frame sent, for servers that report none.
BUDGET_MS = 2000
BAR_CELLS = 48

_STAGES = (
    ("speech_stopped_ms", "silence noticed"),
    ("final_transcript_ms", "final transcript"),
    ("turn_committed_ms", "turn committed"),
    ("first_token_ms", "first token"),
    ("first_phrase_ms", "first phrase"),
    ("first_audio_ms", "first audio made"),
    ("first_frame_sent_ms", "first frame sent"),
    ("first_sample_heard_ms", "first sample heard"),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage and the time at which it was reached, in milliseconds after the end of speech."""

    name: str
    at_ms: int


def reached_stages(waterfall: session_pb2.LatencyWaterfall) -> list[Stage]:
    """The stages that were reached, in chronological order."""
    reached = [Stage(name, getattr(waterfall, field)) for field, name in _STAGES if waterfall.HasField(field)]
    return sorted(reached, key=lambda stage: stage.at_ms)


def budget_ms(waterfall: session_pb2.LatencyWaterfall | None) -> int:
    """The turn's latency budget as the server reports it, else `BUDGET_MS`."""
    return (waterfall.budget_ms if waterfall else 0) or BUDGET_MS


def render_waterfall(waterfall: session_pb2.LatencyWaterfall) -> Table:
    """A table with one bar per stage, from the previous stage to its own time, and a line at the budget."""
    reached, budget = reached_stages(waterfall), budget_ms(waterfall)
    scale_ms = max([budget, *(stage.at_ms for stage in reached)])
    table = Table(box=None, pad_edge=False, title_justify="left", title="Where the time went, from the end of speech")
    table.add_column("stage")
    table.add_column("ms", justify="right")
    table.add_column(f"0 … {scale_ms} ms, ┊ = the budget of {budget} ms", no_wrap=True)
    before_ms = 0
    for stage in reached:
        table.add_row(stage.name, str(stage.at_ms), render_bar(before_ms, stage.at_ms, scale_ms, budget))
        before_ms = stage.at_ms
    return table


def render_bar(from_ms: int, to_ms: int, scale_ms: int, budget_ms: int = BUDGET_MS) -> Text:
    """A bar from `from_ms` to `to_ms` on a scale of `scale_ms`; at least one cell, red beyond the budget."""

    def cell(at_ms: int) -> int:
        return min(BAR_CELLS, max(0, round(at_ms * BAR_CELLS / scale_ms)))

    start = min(cell(from_ms), BAR_CELLS - 1)
    end = max(cell(to_ms), start + 1)
    budget = cell(budget_ms)
    style = "green" if to_ms <= budget_ms else "red"
    line = Text(" " * start)
    line.append("█" * (end - start), style)
    line.append(" " * (BAR_CELLS + 1 - end))
    if line.plain[budget] == " ":
        line = Text.assemble(line[:budget], ("┊", "yellow"), line[budget + 1 :])
    return line
