"""Each turn's trace gets the spans of its transcripts, though one call serves many turns."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from service_kit.observability import tracing
from stt_service.settings import SttSettings
from stt_service.transcript_trace import TranscriptTrace

TURNS = [f"00-{turn}af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" for turn in "12"]


@pytest.fixture
async def microphone(settings: SttSettings, serve: Any):
    async with (
        serve(settings.model_copy(update={"engine": "scripted"})) as (_, open_microphone),
        open_microphone() as microphone,
    ):
        yield microphone


async def test_a_transcript_belongs_to_the_turn_that_requested_it(microphone: Any, ferry: bytes, spans: Any) -> None:
    await microphone.configure()
    for segment_id, turn in enumerate(TURNS, 1):
        await microphone.push_audio(ferry)
        await microphone.send(flush={"segment_id": segment_id, "traceparent": turn})
        await microphone.final()
        await microphone.commit(segment_id)
    async with asyncio.timeout(20):
        while len(spans()) < 2:
            await asyncio.sleep(0.01)
    assert [span.name for span in spans()] == ["final transcript"] * 2
    assert [f"{span.context.trace_id:032x}" for span in spans()] == [turn[3:35] for turn in TURNS]
    assert [f"{span.parent.span_id:016x}" for span in spans()] == [turn[36:52] for turn in TURNS]
    assert [dict(span.attributes) for span in spans()] == [
        {"segment_id": 1, "revision": 1},
        {"segment_id": 2, "revision": 1},
    ]


async def test_a_transcript_of_an_untraced_turn_has_no_span(microphone: Any, ferry: bytes, spans: Any) -> None:
    await microphone.configure()
    await microphone.push_audio(ferry)
    await microphone.flush()
    await microphone.final()
    assert spans() == []


def test_a_transcript_that_is_never_sent_has_a_cancelled_span(spans: Any) -> None:
    trace = TranscriptTrace()
    trace.on_flush(1, TURNS[0])
    trace.on_flush(1, TURNS[0])
    trace.on_flush(2, TURNS[0])
    trace.close()
    assert [(span.attributes["segment_id"], span.attributes["cancelled"]) for span in spans()] == [
        (1, True),
        (1, True),
        (2, True),
    ]


def test_without_a_collector_no_span_is_recorded() -> None:
    trace = TranscriptTrace()
    trace.on_flush(1, TURNS[0])
    trace.on_final(1, 1)
    trace.close()
    assert not tracing.is_recording()
