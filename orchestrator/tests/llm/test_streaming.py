"""Trace headers of requests to model servers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from orchestrator.llm.streaming import stream_response
from service_kit.observability import tracing


async def one_line() -> AsyncIterator[bytes]:
    yield b"one line\n"


@pytest.fixture
def requests() -> list[httpx.Request]:
    return []


@pytest.fixture
def ask(requests):
    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, content=one_line())

    async def ask() -> bytes | None:
        async with (
            httpx.AsyncClient(base_url="http://model", transport=httpx.MockTransport(answer)) as client,
            stream_response(client, "/api/chat", {}, first_token_s=60, between_tokens_s=60) as lines,
        ):
            return await lines.read_line()

    return ask


async def test_request_continues_the_trace(spans, ask, requests):
    with tracing.current(tracing.tracer().start_span("think")) as think:
        assert await ask() == b"one line"
    (request,) = requests
    assert request.headers["traceparent"] == tracing.traceparent(think)
    assert request.headers["traceparent"][3:35] == tracing.trace_id(think)


async def test_untraced_request_has_no_trace_header(ask, requests):
    assert await ask() == b"one line"
    assert "traceparent" not in requests[0].headers
