"""The spans of a turn, with the times of its waterfall."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.trace import StatusCode
from orchestrator.conversation.observability.turn_trace import CURRENT_TURN_TRACE, begin_turn, traced_session
from orchestrator.conversation.observability.waterfall import Waterfall
from service_kit.observability import tracing
from service_kit.observability.context import SESSION_ID

# Stages of a spoken turn, in seconds from the start of the turn.
SPOKEN = {"speech_stopped": 2.1, "final_transcript": 2.2, "turn_committed": 2.5}


@pytest.fixture
async def now_s() -> float:
    SESSION_ID.set("s1")
    return asyncio.get_running_loop().time()


def spoken(turn: Waterfall, now_s: float) -> Waterfall:
    turn.record_speech_end(2_000, now_s + 2.0)
    for stage, at_s in SPOKEN.items():
        turn.record_stage(stage, now_s + at_s)
    return turn


def seconds(span) -> tuple[float, float]:
    return span.start_time / 1e9, span.end_time / 1e9


async def test_spans_of_a_turn_have_the_waterfall_times(spans, now_s):
    turn = spoken(Waterfall(7, begin_turn(7, now_s)), now_s)
    with turn.trace.open_stage("think"):
        turn.record_stage("first_token", now_s + 2.3)
    with turn.trace.open_stage("speak"):
        turn.record_stage("first_phrase", now_s + 2.35)
        turn.record_stage("first_audio", now_s + 2.4)
    turn.record_stage("first_frame_sent", now_s + 2.6)
    turn.record_stage("first_sample_heard", now_s + 2.65)
    turn.end("finished", now_s + 5.0)

    by_name = {span.name: span for span in spans()}
    root = by_name["turn"]
    assert root.parent is None
    assert {span.parent.span_id for name, span in by_name.items() if name != "turn"} == {root.context.span_id}
    assert dict(root.attributes) == {
        "session_id": "s1",
        "turn_id": 7,
        "outcome": "finished",
        "response_latency_ms": turn.message().first_frame_sent_ms,
    }
    zero_s = root.start_time / 1e9
    expected = {
        "turn": (0, 5.0),
        "listen": (0, 2.0),
        "transcribe": (2.0, 2.2),
        "endpointing": (2.0, 2.5),
        "playout": (2.6, 5.0),
    }
    for name, (begin_s, end_s) in expected.items():
        assert seconds(by_name[name]) == pytest.approx((zero_s + begin_s, zero_s + end_s), abs=0.01), name
    events = {
        name: [(event.name, round(event.timestamp / 1e9 - zero_s, 2)) for event in by_name[name].events]
        for name in ("think", "speak", "playout", "endpointing")
    }
    assert events == {
        "think": [("first_token", 2.3)],
        "speak": [("first_phrase", 2.35), ("first_audio", 2.4)],
        "playout": [("first_sample_heard", 2.65)],
        "endpointing": [("speech_stopped", 2.1)],
    }


async def test_barge_in_marks_the_turn_and_the_cancelled_stage(spans, now_s):
    turn = spoken(Waterfall(1, begin_turn(1, now_s)), now_s)

    async def speak() -> None:
        with turn.trace.open_stage("speak"):
            await asyncio.sleep(60)

    speaking = asyncio.create_task(speak())
    await asyncio.sleep(0)
    turn.record_stage("first_frame_sent", now_s + 2.6)
    turn.end("interrupted", now_s + 4.0)
    speaking.cancel()
    await asyncio.wait({speaking})
    by_name = {span.name: span for span in spans()}
    assert by_name["turn"].attributes["outcome"] == "interrupted"
    assert [event.name for event in by_name["turn"].events] == ["barge_in"]
    assert by_name["speak"].attributes["cancelled"] is True


async def test_failure_is_recorded_with_its_code(spans, now_s):
    turn = Waterfall(1, begin_turn(1, now_s))
    with turn.trace.open_stage("think"):
        turn.trace.record_failure("llm.silent", "think")
    turn.end("finished", now_s + 1)
    for span in spans():
        assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "llm.silent")


async def test_unanswered_turn_ends_with_its_last_stage(spans, now_s):
    turn = spoken(Waterfall(1, begin_turn(1, now_s)), now_s)
    turn.end("unanswered", now_s + 600)
    root = next(span for span in spans() if span.name == "turn")
    assert seconds(root)[1] - seconds(root)[0] == pytest.approx(2.5, abs=0.01)


async def test_typed_turn_has_no_input_spans(spans, now_s):
    turn = Waterfall(1, begin_turn(1, now_s))
    turn.record_stage("turn_committed", now_s)
    turn.record_stage("first_frame_sent", now_s + 0.3)
    turn.end("finished", now_s + 1)
    assert {span.name for span in spans()} == {"turn", "playout"}
    assert next(span for span in spans() if span.name == "turn").attributes["response_latency_ms"] == 300


async def test_only_the_first_end_of_a_turn_counts(spans, now_s):
    turn = Waterfall(1, begin_turn(1, now_s))
    turn.end("interrupted", now_s + 1)
    turn.end("session_ended", now_s + 2)
    assert [span.attributes["outcome"] for span in spans()] == ["interrupted"]


async def test_each_turn_is_a_trace_linked_to_its_session(spans, now_s):
    with traced_session():
        for turn_id in (1, 2):
            turn = Waterfall(turn_id, begin_turn(turn_id, now_s))
            assert CURRENT_TURN_TRACE.get().traceparent[3:35] == turn.trace.trace_id
            turn.end("finished", now_s + 1)
    *turns, session = spans()
    assert len({span.context.trace_id for span in spans()}) == 3
    assert {link.context.span_id for turn in turns for link in turn.links} == {session.context.span_id}


async def test_nothing_is_recorded_without_tracing(now_s):
    with traced_session():
        turn = spoken(Waterfall(1, begin_turn(1, now_s)), now_s)
        with turn.trace.open_stage("think"):
            assert tracing.headers() == {}
        turn.end("finished", now_s + 3)
        assert CURRENT_TURN_TRACE.get() is None
        assert turn.trace.trace_id == ""
