"""Traces of conversations: each turn span has an outcome, and none stays open."""

from __future__ import annotations

import pytest
from opentelemetry.trace import StatusCode
from orchestrator.conversation.messages import server as server_messages
from service_kit.errors import EngineFailed, PeerFailed

STORY = "Once upon a time there was a king who could not sleep at night."


def turn_spans(spans) -> dict[int, object]:
    """The root spans by turn id."""
    return {span.attributes["turn_id"]: span for span in spans() if span.name == "turn"}


def child_names(spans, root) -> list[str]:
    return sorted(span.name for span in spans() if span.parent and span.parent.span_id == root.context.span_id)


async def test_turn_trace_has_all_stages(stage, spans):
    stage.anchor_will_say("It is sunny.")
    async with stage:
        await stage.user("how is the weather")
        waterfall = await stage.until(server_messages.LatencyWaterfall, 2)
    (root,) = turn_spans(spans).values()
    assert child_names(spans, root) == ["endpointing", "listen", "playout", "speak", "think", "transcribe"]
    assert root.attributes["outcome"] == "finished"
    assert root.attributes["response_latency_ms"] == waterfall.first_frame_sent_ms
    listen, playout = (next(span for span in spans() if span.name == name) for name in ("listen", "playout"))
    # The spans have the times of the waterfall.
    assert (playout.start_time - listen.end_time) / 1e6 == pytest.approx(waterfall.first_frame_sent_ms, abs=1)
    assert (listen.end_time - listen.start_time) / 1e6 == pytest.approx(800, abs=100)
    assert not any("sunny" in span.to_json() or "weather" in span.to_json() for span in spans())


async def test_barge_in_ends_the_turn_span_as_interrupted(stage, spans):
    stage.anchor_will_say(STORY, "All right.")
    async with stage:
        await stage.user("tell me a story")
        await stage.until_played(900)
        await stage.user("stop it")
        await stage.until(server_messages.ReplyFinished, 2)
    first, second = (root for _, root in sorted(turn_spans(spans).items()))
    assert first.attributes["outcome"] == "interrupted"
    assert [event.name for event in first.events] == ["barge_in"]
    assert second.attributes["outcome"] == "finished"
    assert first.context.trace_id != second.context.trace_id


async def test_discarded_reply_appears_as_a_cancelled_think_span(stage, spans):
    stage.anchor_will_say("too early", "In Leipzig it is sunny.")
    stage.llm.first_token_ms = 900
    async with stage:
        await stage.user("how is the weather")
        await stage.until(server_messages.TurnCommitted)
        await stage.user("in Leipzig")
        await stage.until(server_messages.ReplyFinished)
    (root,) = turn_spans(spans).values()
    thinking = [span for span in spans() if span.name == "think"]
    assert {span.parent.span_id for span in thinking} == {root.context.span_id}
    assert [span.attributes.get("cancelled", False) for span in thinking] == [True, False]
    assert len({span.attributes["revision"] for span in thinking}) == 2


async def test_ended_session_closes_its_spans(stage, spans):
    stage.anchor_will_say(STORY)
    async with stage:
        await stage.user("tell me a story")
        await stage.until_played(500)
    (root,) = turn_spans(spans).values()
    assert root.attributes["outcome"] == "session_ended"
    assert {"think", "speak", "playout"} <= set(child_names(spans, root))
    (session,) = (span for span in spans() if span.name == "session")
    assert root.links[0].context.span_id == session.context.span_id


async def test_turn_without_words_has_the_outcome_unanswered(stage, spans):
    stage.anchor_will_say("It is sunny.")
    async with stage:
        await stage.noise(300)
        await stage.silence(1500)
        await stage.user("how is the weather")
        await stage.until(server_messages.ReplyFinished)
    outcomes = [root.attributes["outcome"] for _, root in sorted(turn_spans(spans).items())]
    assert outcomes == ["unanswered", "finished"]


async def test_llm_failure_marks_the_think_and_turn_spans(stage, spans):
    stage.anchor_will_say("one two three four")
    stage.llm.failure, stage.llm.fails_after_words = PeerFailed("llm.connection_lost", "it broke off: one two"), 2
    async with stage:
        await stage.user("how is the weather")
        await stage.until(server_messages.ReplyFinished)
    failed = {span.name: span for span in spans() if span.status.status_code is StatusCode.ERROR}
    assert set(failed) == {"turn", "think"}
    assert {span.attributes["error.type"] for span in failed.values()} == {"llm.connection_lost"}
    assert not any("one two" in span.to_json() for span in spans())


async def test_tts_failure_marks_the_speak_and_turn_spans(stage, spans):
    stage.anchor_will_say("It is sunny.")
    stage.tts.failure = EngineFailed("tts.engine_failed", "no voice")
    async with stage:
        await stage.user("how is the weather")
        await stage.until(server_messages.ReplyFinished)
    failed = {
        span.name: span.attributes["error.type"] for span in spans() if span.status.status_code is StatusCode.ERROR
    }
    assert failed == {"turn": "tts.engine_failed", "speak": "tts.engine_failed"}
