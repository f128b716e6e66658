"""Spans: which calls have them, their parents, and that work never waits for the collector."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time
from contextlib import nullcontext

import pytest
from anchor.vad.v1 import vad_pb2, vad_pb2_grpc
from grpc import aio
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import INVALID_SPAN, SpanKind, StatusCode
from service_kit.engines.info import EngineInfo
from service_kit.errors import InvalidRequest
from service_kit.health import Health
from service_kit.observability import tracing
from service_kit.observability.context import SESSION_ID, TURN_ID, to_metadata
from service_kit.observability.logging import JsonFormatter
from service_kit.observability.trace_export import WatchedExporter, open_provider
from service_kit.rpc.channel import read_message, write_message
from service_kit.service import Service
from service_kit.settings import ServiceSettings
from service_kit.testing.plugin import serve_grpc

NAME = "anchor.vad.v1.TurnDetectionService"
WITHIN_S = 20.0
PORTS = {"grpc_port": 0, "http_port": 0, "drain_s": 0}


class Detector(vad_pb2_grpc.TurnDetectionServiceServicer):
    """Answers with the position of the audio; refuses 13 ms, hangs after 666 ms."""

    async def Detect(self, request_iterator, context):
        async for request in request_iterator:
            if request.audio.start_ms == 13:
                raise InvalidRequest("vad.unlucky", "not at 13 ms")
            event = vad_pb2.SpeechStarted(at_ms=request.audio.start_ms)
            await context.write(vad_pb2.DetectResponse(speech_started=event))
            if request.audio.start_ms == 666:
                await asyncio.sleep(60)


def add(server: aio.Server) -> None:
    vad_pb2_grpc.add_TurnDetectionServiceServicer_to_server(Detector(), server)


async def ask(channel: aio.Channel, start_ms: int):
    call = vad_pb2_grpc.TurnDetectionServiceStub(channel).Detect(metadata=to_metadata())
    request = vad_pb2.DetectRequest()
    request.audio.start_ms = start_ms
    try:
        await write_message(call, request, "vad")
        return await read_message(call, "vad", WITHIN_S)
    finally:
        call.cancel()


async def served(spans, count: int):
    """Wait for `count` finished spans; a call ends shortly after its client has left."""
    async with asyncio.timeout(WITHIN_S):
        while len(spans()) < count:
            await asyncio.sleep(0.01)
    return spans()


async def test_a_call_is_a_child_of_the_span_that_made_it(spans):
    SESSION_ID.set("s1")
    TURN_ID.set("7")
    async with serve_grpc(NAME, add) as channel:
        with tracing.current(tracing.tracer().start_span("turn")) as turn:
            await ask(channel, 7)
        call, told = sorted(await served(spans, 2), key=lambda span: span.kind is not SpanKind.SERVER)
    assert (call.name, call.kind) == (f"{NAME}/Detect", SpanKind.SERVER)
    assert call.parent.span_id == turn.get_span_context().span_id
    assert call.context.trace_id == told.context.trace_id
    expected = {"rpc.system": "grpc", "rpc.service": NAME, "rpc.method": "Detect", "session-id": "s1", "turn-id": "7"}
    assert expected.items() <= dict(call.attributes).items()


async def test_a_call_without_trace_context_has_no_span(spans):
    async with serve_grpc(NAME, add) as channel:
        await ask(channel, 7)
    assert spans() == []


async def test_the_span_of_a_failed_call_has_its_code_and_not_its_message(spans):
    async with serve_grpc(NAME, add) as channel:
        with tracing.current(tracing.tracer().start_span("turn")), pytest.raises(InvalidRequest):
            await ask(channel, 13)
        call = next(span for span in await served(spans, 2) if span.kind is SpanKind.SERVER)
    assert call.status.status_code is StatusCode.ERROR
    assert call.attributes["error.type"] == "vad.unlucky"
    assert "not at 13" not in call.to_json()
    assert not call.events


async def test_the_span_of_a_cancelled_call_is_marked(spans):
    async with serve_grpc(NAME, add) as channel:
        with tracing.current(tracing.tracer().start_span("turn")):
            await ask(channel, 666)
        call = next(span for span in await served(spans, 2) if span.kind is SpanKind.SERVER)
    assert call.attributes["cancelled"] is True
    assert call.status.status_code is StatusCode.UNSET


async def test_a_malformed_trace_context_is_ignored(spans):
    async with serve_grpc(NAME, add) as channel:
        for garbage in ("", "00-00-00-00", "x" * 5000, "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
            call = vad_pb2_grpc.TurnDetectionServiceStub(channel).Detect(metadata=(("traceparent", garbage),))
            request = vad_pb2.DetectRequest()
            request.audio.start_ms = 7
            await write_message(call, request, "vad")
            assert (await read_message(call, "vad", WITHIN_S)).speech_started.at_ms == 7
            call.cancel()


async def test_an_unsampled_trace_is_not_recorded_by_the_next_service(spans):
    async with serve_grpc(NAME, add) as channel:
        unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
        call = vad_pb2_grpc.TurnDetectionServiceStub(channel).Detect(metadata=(("traceparent", unsampled),))
        request = vad_pb2.DetectRequest()
        await write_message(call, request, "vad")
        await read_message(call, "vad", WITHIN_S)
        call.cancel()
    assert spans() == []


def test_a_log_line_has_its_trace_id(spans):
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "turn finished", (), None)
    with tracing.current(tracing.tracer().start_span("turn")) as turn:
        line = json.loads(JsonFormatter("test").format(record))
    assert line["trace_id"] == tracing.trace_id(turn)
    assert "trace_id" not in json.loads(JsonFormatter("test").format(record))


def test_without_a_collector_no_span_is_recorded_or_sent():
    with tracing.current(tracing.tracer().start_span("turn")) as turn:
        assert turn.get_span_context() == INVALID_SPAN.get_span_context()
        assert to_metadata() == ()
        assert tracing.traceparent() == ""
    assert not tracing.is_recording()


def test_the_sdk_is_not_imported_without_a_collector():
    program = """
import sys, asyncio
from service_kit.observability import tracing
from service_kit.settings import ServiceSettings
async def main():
    async with tracing.exporting("test", ServiceSettings(grpc_port=0, http_port=0)):
        with tracing.current(tracing.tracer().start_span("turn")):
            pass
asyncio.run(main())
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "requests"))])
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("answers", [True, False])
async def test_spans_reach_the_collector_when_the_service_ends(collector, answers):
    collector.answers = answers
    settings = ServiceSettings(**PORTS, otlp_endpoint=collector.url)
    started_s = time.monotonic()
    async with tracing.exporting("stt-service", settings):
        for _ in range(3):
            with tracing.current(tracing.tracer().start_span("turn")):
                pass
    assert time.monotonic() - started_s < 4
    if answers:
        assert [(span.service, span.name) for span in collector.spans()] == [("stt-service", "turn")] * 3


async def test_the_collector_gets_the_headers_that_a_file_holds(collector, tmp_path, monkeypatch):
    secret = tmp_path / "headers"
    secret.write_text("authorization=Bearer%20one,x-tenant=news\n")
    secret.chmod(0o600)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS_FILE", str(secret))
    settings = ServiceSettings(**PORTS, otlp_endpoint=collector.url)
    async with tracing.exporting("test", settings):
        tracing.tracer().start_span("turn").end()
    (headers,) = collector.headers
    assert {name.lower(): value for name, value in headers.items()}.items() >= {
        "authorization": "Bearer one",
        "x-tenant": "news",
    }.items()
    assert "Bearer" not in repr(settings)


async def test_a_hanging_collector_delays_no_call(collector):
    collector.answers = False
    async with tracing.exporting("test", ServiceSettings(**PORTS, otlp_endpoint=collector.url)):
        started_s = time.process_time()
        for _ in range(10_000):
            tracing.tracer().start_span("turn").end()
        assert time.process_time() - started_s < 5
        waiting = tracing.tracer().span_processor._span_processors[0]._batch_processor._queue
        assert len(waiting) <= 2048


async def test_a_service_whose_collector_is_absent_serves_and_ends(collector):
    collector.close()
    health = Health("test", EngineInfo("test", "none", "0"))
    service = Service(
        settings=ServiceSettings(**PORTS, otlp_endpoint=collector.url),
        health=health,
        servicers=[(NAME, add)],
        lifespan=nullcontext,
    )
    stop = asyncio.Event()
    life = asyncio.create_task(service.run(stop))
    async with asyncio.timeout(WITHIN_S):
        while not health.ready:
            await asyncio.sleep(0.01)
        with tracing.current(tracing.tracer().start_span("turn")):
            pass
        stop.set()
        await life
    assert not tracing.is_recording()


class FickleExporter:
    """Returns the results it is given."""

    result = SpanExportResult.SUCCESS

    def export(self, spans):
        return self.result

    def shutdown(self) -> None:
        pass


def test_the_loss_and_return_of_the_collector_are_logged_once(caplog):
    caplog.set_level(logging.INFO, "service_kit")
    fickle = FickleExporter()
    watched = WatchedExporter(fickle)
    for result in ("SUCCESS", "FAILURE", "FAILURE", "SUCCESS", "SUCCESS"):
        fickle.result = SpanExportResult[result]
        watched.export([])
    assert [record.message for record in caplog.records] == ["trace collector lost", "trace collector back"]


@pytest.mark.parametrize(
    ("sampler", "share", "kept"),
    [
        ("parentbased_always_on", 1, 50),
        ("always_off", 1, 0),
        ("parentbased_traceidratio", 0, 0),
        ("traceidratio", 1, 50),
        ("parentbased_traceidratio", 0.5, None),
    ],
)
def test_the_sampler_decides_which_traces_are_recorded(collector, sampler, share, kept):
    settings = ServiceSettings(**PORTS, otlp_endpoint=collector.url, traces_sampler=sampler, traces_sampler_arg=share)
    provider = open_provider("test", settings)
    made = [provider.get_tracer("test").start_span("turn") for _ in range(50)]
    recorded = sum(span.is_recording() for span in made)
    assert recorded == kept if kept is not None else 5 < recorded < 45
    provider.shutdown()
