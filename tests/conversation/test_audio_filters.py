"""A session with noise suppression and automatic gain behaves like one without."""

from __future__ import annotations

import pytest
from orchestrator.audio_filters.build import build_filter
from orchestrator.conversation.messages import server as server_messages


async def edges_of_a_question(stage) -> list[int]:
    """Times of the speech start and stop of a question, once it is answered."""
    stage.anchor_will_say("Once upon a time.")
    async with stage:
        await stage.silence(300)
        await stage.user("tell me a story")
        await stage.until(server_messages.ReplyFinished)
        edges = stage.client.of_type(server_messages.SpeechStarted) + stage.client.of_type(
            server_messages.SpeechStopped
        )
    return [edge.at_ms for edge in edges]


async def test_filtered_microphone_gives_the_same_speech_edges_and_answer(stage):
    plain, plain_edges = stage, await edges_of_a_question(stage)
    filtered = type(stage)()
    filtered.audio_filter = build_filter("medium", -20.0)
    filtered_edges = await edges_of_a_question(filtered)
    assert filtered.history == plain.history == [("user", "tell me a story"), ("anchor", "Once upon a time.")]
    # No sample moves. A window of the noise suppression overlaps its neighbours by 10 ms.
    assert len(plain_edges) == 2
    assert filtered_edges == pytest.approx(plain_edges, abs=32)
