"""The latency waterfall of one turn, drawn for a terminal."""

from __future__ import annotations

from dataclasses import dataclass

from anchor.session.v1 import session_pb2
from rich.table import Table
from rich.text import Text

# What a turn may take from the end of speech to the first frame sent, where the server does not say.
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
    """One stage: its name, and when it was reached, in milliseconds after the end of speech."""

    name: str
    at_ms: int


def stages(waterfall: session_pb2.LatencyWaterfall) -> list[Stage]:
    """The stages that happened, in the order of time."""
    reached = [Stage(name, getattr(waterfall, field)) for field, name in _STAGES if waterfall.HasField(field)]
    return sorted(reached, key=lambda stage: stage.at_ms)


def budget_ms(waterfall: session_pb2.LatencyWaterfall | None) -> int:
    """What the turn might have taken, by the server's own setting."""
    return (waterfall.budget_ms if waterfall else 0) or BUDGET_MS


def draw(waterfall: session_pb2.LatencyWaterfall) -> Table:
    """A bar for each stage, from the one before to its own moment, against the budget's line."""
    reached, budget = stages(waterfall), budget_ms(waterfall)
    scale_ms = max([budget, *(stage.at_ms for stage in reached)])
    table = Table(box=None, pad_edge=False, title_justify="left", title="Where the time went, from the end of speech")
    table.add_column("stage")
    table.add_column("ms", justify="right")
    table.add_column(f"0 … {scale_ms} ms, ┊ = the budget of {budget} ms", no_wrap=True)
    before_ms = 0
    for stage in reached:
        table.add_row(stage.name, str(stage.at_ms), bar(before_ms, stage.at_ms, scale_ms, budget))
        before_ms = stage.at_ms
    return table


def bar(from_ms: int, to_ms: int, scale_ms: int, budget_ms: int = BUDGET_MS) -> Text:
    """The run from `from_ms` to `to_ms` on a line of `scale_ms`; never empty, red beyond the budget."""

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
