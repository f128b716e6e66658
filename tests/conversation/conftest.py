"""Conversations on a virtual clock, with services in memory."""

from __future__ import annotations

import pytest
from sentence_voice import TALE, SentenceVoice
from service_kit.testing.virtual_clock import VirtualLoop
from stage import Stage


def pytest_asyncio_loop_factories(config, item):
    return {"virtual": VirtualLoop}


@pytest.fixture
async def stage():
    """An open session with scripted services; configure it, then `async with stage:`."""
    return Stage()


@pytest.fixture
def voice() -> SentenceVoice:
    return SentenceVoice()


@pytest.fixture
def tale(stage, voice):
    """The stage, with a model that writes the whole tale at once and a voice that speaks it by the sentence."""
    stage.speech = voice
    stage.model.first_token_ms = stage.model.token_ms = 0
    stage.anchor_will_say(TALE)
    return stage
