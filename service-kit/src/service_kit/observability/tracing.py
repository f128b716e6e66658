"""Traces: what one turn was in every service, as OpenTelemetry spans for a collector.

A span is made for a session, a turn, a stage of it or a call, never for a message. Where no collector is named, every
span is the API's own that does nothing, and the SDK is not imported.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    NoOpTracer,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_trace_id,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from service_kit.settings import ServiceSettings

TRACEPARENT = "traceparent"

_PROPAGATOR = TraceContextTextMapPropagator()


class _Recording:
    """Who makes spans in this process: nobody, until `exporting` or a test says otherwise."""

    tracer: Tracer = NoOpTracer()


def tracer() -> Tracer:
    """Makes this process's spans."""
    return _Recording.tracer


def is_recording() -> bool:
    """Whether spans are kept at all."""
    return not isinstance(_Recording.tracer, NoOpTracer)


def traceparent(span: Span | None = None) -> str:
    """`span` (by default the current one) as W3C trace context, for whoever works on its behalf; empty for none."""
    return headers(span).get(TRACEPARENT, "")


def headers(span: Span | None = None) -> dict[str, str]:
    """The same as headers of a request."""
    carrier: dict[str, str] = {}
    if (span or get_current_span()).get_span_context().is_valid:
        _PROPAGATOR.inject(carrier, None if span is None else span_context(span))
    return carrier


def trace_id(span: Span | None = None) -> str:
    """The trace that `span` (by default the current one) is part of; empty for none."""
    context = (span or get_current_span()).get_span_context()
    return format_trace_id(context.trace_id) if context.is_valid else ""


def span_context(span: Span) -> Context:
    """The context in which new spans are children of `span`."""
    return set_span_in_context(span, Context())


def remote_context(remote: str) -> Context:
    """The context in which new spans are children of the one whose `traceparent` this is; roots if it is none."""
    return _PROPAGATOR.extract({TRACEPARENT: remote}, Context())


@contextmanager
def current(span: Span) -> Generator[Span]:
    """Make `span` the current one and end it with the block, marked when the block is cancelled.

    An exception's words could quote what somebody said; so none is recorded, and who knows its code calls `fail`.
    """
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except asyncio.CancelledError:
            span.set_attribute("cancelled", True)
            raise


def record_failure(span: Span, code: str) -> None:
    """Say that what `span` is about failed with this dotted code."""
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR, code))


@contextmanager
def serving(method: str, metadata: Iterable[tuple[str, str | bytes]], ids: Mapping[str, str]) -> Generator[Span]:
    """The span of a gRPC call that somebody traces; of the others (who polls, who probes) none is made."""
    remote = next((value for key, value in metadata if key == TRACEPARENT), "")
    if not is_recording() or not isinstance(remote, str) or not remote:
        yield INVALID_SPAN
        return
    service, _, name = method.lstrip("/").rpartition("/")
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name, **ids}
    span = tracer().start_span(
        f"{service}/{name}", context=remote_context(remote), kind=SpanKind.SERVER, attributes=attributes
    )
    with current(span):
        yield span


@asynccontextmanager
async def exporting(service: str, settings: ServiceSettings) -> AsyncGenerator[None]:
    """Tell the collector that `settings` name of all spans made inside; without one, do nothing.

    Nothing ever waits for the collector: what it does not take in time is lost, and so is the oldest of too many.
    """
    if not settings.otlp_endpoint:
        yield
        return
    from service_kit.observability import trace_export

    provider = trace_export.open_provider(service, settings)
    try:
        with recording(provider):
            yield
    finally:
        await trace_export.close_provider(provider)


@contextmanager
def recording(provider: TracerProvider) -> Generator[None]:
    """Have spans made by `provider` inside."""
    before, _Recording.tracer = _Recording.tracer, provider.get_tracer("anchor")
    try:
        yield
    finally:
        _Recording.tracer = before
