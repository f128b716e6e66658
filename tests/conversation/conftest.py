"""Conversations on a virtual clock, with services in memory."""

from __future__ import annotations

import pytest
from sentence_tts import STORY, SentenceTts
from service_kit.testing.virtual_clock import VirtualLoop
from stage import Stage


def pytest_asyncio_loop_factories(config, item):
    return {"virtual": VirtualLoop}


@pytest.fixture
async def stage():
    """An open session with scripted services; configure it, then `async with stage:`."""
    return Stage()


@pytest.fixture
def tts() -> SentenceTts:
    return SentenceTts()


@pytest.fixture
def story_stage(stage, tts):
    """The stage, with an LLM that generates the whole story at once and a TTS that speaks it by the sentence."""
    stage.tts = tts
    stage.llm.first_token_ms = stage.llm.token_ms = 0
    stage.anchor_will_say(STORY)
    return stage
