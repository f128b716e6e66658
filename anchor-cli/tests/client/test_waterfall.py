"""Rendering of the latency waterfall."""

from __future__ import annotations

from anchor.session.v1.session_pb2 import LatencyWaterfall
from anchor_cli.client.waterfall import BAR_CELLS, budget_ms, reached_stages, render_bar, render_waterfall
from rich.console import Console


def drawn(waterfall: LatencyWaterfall) -> str:
    console = Console(width=120, record=True, force_terminal=False, quiet=True)
    console.quiet = False
    with console.capture() as captured:
        console.print(render_waterfall(waterfall))
    return captured.get()


def test_reached_stages_are_in_chronological_order() -> None:
    # Generation is speculative, so the first token may precede the commit.
    waterfall = LatencyWaterfall(turn_id=1, speech_stopped_ms=90, first_token_ms=150, turn_committed_ms=400)
    assert [(stage.name, stage.at_ms) for stage in reached_stages(waterfall)] == [
        ("silence noticed", 90),
        ("first token", 150),
        ("turn committed", 400),
    ]


def test_each_bar_starts_where_the_previous_one_ends() -> None:
    text = drawn(LatencyWaterfall(speech_stopped_ms=100, first_audio_ms=1000, first_frame_sent_ms=1001))
    rows = {line.split("  ")[0]: line for line in text.splitlines() if "█" in line}
    assert list(rows) == ["silence noticed", "first audio made", "first frame sent"]
    assert rows["first audio made"].index("█") == rows["silence noticed"].rindex("█") + 1
    assert rows["first frame sent"].count("█") == 1


def test_budget_line_is_in_every_bar_within_budget() -> None:
    within = render_bar(0, 1000, 4000)
    assert within.plain[BAR_CELLS // 2] == "┊"
    beyond = render_bar(1000, 3000, 4000)
    assert "┊" not in beyond.plain
    assert [str(span.style) for span in beyond.spans] == ["red"]


def test_stage_at_the_end_of_the_scale_is_visible() -> None:
    assert render_bar(4000, 4000, 4000).plain.count("█") == 1


def test_stage_before_the_end_of_speech_is_visible() -> None:
    assert render_bar(0, -30, 2000).plain.startswith("█")


def test_budget_is_the_servers() -> None:
    text = drawn(LatencyWaterfall(first_frame_sent_ms=700, budget_ms=600))
    assert "the budget of 600 ms" in text
    assert budget_ms(LatencyWaterfall()) == budget_ms(None) == 2000


def test_stage_beyond_the_budget_is_red() -> None:
    styles = [span.style for at_ms in (600, 601) for span in render_bar(0, at_ms, 1000, 600).spans]
    assert styles[0] == "green"
    assert "red" in styles
