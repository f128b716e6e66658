"""A turn over its latency budget is logged as a warning and counted."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace

import pytest
from orchestrator.conversation.messages.server import LatencyWaterfall, ReplyFinished
from prometheus_client import REGISTRY


def over_budget() -> float:
    return REGISTRY.get_sample_value("anchor_turns_over_budget_total") or 0.0


@pytest.mark.parametrize(("budget_ms", "level", "counted"), [(10_000, "INFO", 0), (1, "WARNING", 1)])
async def test_turn_over_its_latency_budget_is_logged_and_counted(stage, caplog, budget_ms, level, counted) -> None:
    stage.rules = replace(stage.rules, latency_budget_ms=budget_ms)
    before = over_budget()
    with caplog.at_level(logging.INFO):
        async with stage:
            stage.anchor_will_say("Once upon a time.")
            await stage.user("tell me a story")
            waterfall = await stage.until(LatencyWaterfall, 2)
    (finished,) = [record for record in caplog.records if record.message == "turn finished"]
    assert waterfall.first_frame_sent_ms > 1
    assert (finished.levelname, finished.latency_budget_ms) == (level, budget_ms)
    assert over_budget() - before == counted
    assert waterfall.budget_ms == budget_ms
    sent = {name.removesuffix("_ms"): at_ms for name, at_ms in asdict(waterfall).items() if at_ms is not None}
    assert finished.stages_ms.items() <= sent.items()
    assert next(iter(finished.stages_ms)) == "speech_stopped"


async def test_waterfall_is_sent_at_the_first_sound_and_again_at_the_end(stage) -> None:
    stage.anchor_will_say("Once upon a time, in a land of rain, it was sunny.")
    async with stage:
        await stage.user("tell me a story")
        early = await stage.until(LatencyWaterfall)
        assert stage.client.of_type(ReplyFinished) == []
        assert 0 < stage.client.played[early.turn_id] < 500
        complete = await stage.until(LatencyWaterfall, 2)
        assert len(stage.client.of_type(ReplyFinished)) == 1
    assert early.first_frame_sent_ms <= early.first_sample_heard_ms
    assert complete == early


async def test_waterfall_of_a_client_without_reports_comes_early_too(stage) -> None:
    stage.reports_playback = False
    stage.anchor_will_say("Once upon a time, in a land of rain, it was sunny.")
    async with stage:
        await stage.user("tell me a story")
        early = await stage.until(LatencyWaterfall)
        assert stage.client.of_type(ReplyFinished) == []
    assert early.first_frame_sent_ms > 0
    assert early.first_sample_heard_ms is None
