"""One turn through real processes is one trace, and a failing collector has no effect on it."""

from __future__ import annotations

import asyncio

import pytest
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import open_session
from anchor_cli.client.turn import run_turn

pytestmark = pytest.mark.e2e

SCRIPT = """
[stt]
transcripts = ["what is the latest news", "tell me more", "and then"]
[llm]
replies = ["The harbor is open again. It was closed for a week."]
[tts]
first_audio_delay_ms = 20
real_time_factor = 0
"""
STAGES = ("listen", "transcribe", "endpointing", "think", "speak", "playout")


async def test_spans_of_all_services_share_the_trace_of_their_turn(scripted_mesh, questions, collector) -> None:
    mesh = scripted_mesh(SCRIPT, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    async with open_session(mesh.url) as talk:
        turns = [await run_turn(talk, load_clip(question.path), listen_s=0.3) for question in questions[:2]]
    mesh.stop()

    spans = collector.spans()
    roots = {span.attributes["turn_id"]: span for span in spans if span.name == "turn"}
    assert roots.keys() >= {turn.finished.turn_id for turn in turns}
    assert len({root.trace_id for root in roots.values()}) == len(roots)
    for turn in turns:
        root = roots[turn.finished.turn_id]
        by_name = {(span.service, span.name): span for span in spans if span.trace_id == root.trace_id}
        assert by_name.keys() >= {
            ("orchestrator", "turn"),
            *(
                ("orchestrator", stage)
                for stage in ("listen", "transcribe", "endpointing", "think", "speak", "playout")
            ),
            ("vad-service", "utterance"),
            ("stt-service", "final transcript"),
            ("tts-service", "anchor.tts.v1.TextToSpeechService/Synthesize"),
            ("tts-service", "phrase"),
        }
        assert by_name["vad-service", "utterance"].parent_id == root.span_id
        assert by_name["stt-service", "final transcript"].parent_id == root.span_id
        speak = by_name["orchestrator", "speak"]
        assert by_name["tts-service", "anchor.tts.v1.TextToSpeechService/Synthesize"].parent_id == speak.span_id
        assert root.parent_id == ""
        assert root.attributes["outcome"] == "interrupted"
        assert root.attributes["response_latency_ms"] == turn.waterfall.first_frame_sent_ms
        (line,) = [line for line in mesh.log_lines("turn finished") if line["turn_id"] == turn.finished.turn_id]
        assert line["trace_id"] == root.trace_id

    # Calls that last as long as the microphone belong to the session, in a separate trace.
    (session,) = [span for span in spans if span.name == "session"]
    calls = {span.service for span in spans if span.parent_id == session.span_id}
    assert {"vad-service", "stt-service"} <= calls
    assert not any("harbor" in str(span.attributes) or "news" in str(span.attributes) for span in spans)


async def test_a_hanging_collector_does_not_slow_a_turn(scripted_mesh, questions, collector) -> None:
    collector.answers = False
    # The pause rule keeps endpointing short; it is not measured here.
    mesh = scripted_mesh(SCRIPT, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, VAD_TURN_END_PREDICTOR="pause")
    async with open_session(mesh.url) as talk:
        turn = await run_turn(talk, load_clip(questions[0].path), listen_s=0.2)
        # Long enough for the first exports to time out.
        await asyncio.sleep(3)
        again = await run_turn(talk, load_clip(questions[0].path), listen_s=0.2)
    for held in (turn, again):
        assert held.waterfall is not None
        # Waiting for the collector would take its timeout of 5 s.
        assert held.waterfall.first_frame_sent_ms < 4000
    assert mesh.stop() == 0
