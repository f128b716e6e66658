"""Traces of a turn across the services, as OpenTelemetry spans.

Sessions, turns, stages of a turn and calls have spans; messages have none. Without a collector every span is the API's
no-op span, and the SDK is not imported.
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
    """The tracer of this process; a no-op outside of `recording`."""

    tracer: Tracer = NoOpTracer()


def tracer() -> Tracer:
    """Return the tracer of this process."""
    return _Recording.tracer


def is_recording() -> bool:
    """Whether spans are recorded."""
    return not isinstance(_Recording.tracer, NoOpTracer)


def traceparent(span: Span | None = None) -> str:
    """Return `span` (by default the current one) as W3C trace context for its children; empty without a span."""
    return headers(span).get(TRACEPARENT, "")


def headers(span: Span | None = None) -> dict[str, str]:
    """Return the trace context as request headers; empty without a span."""
    fields: dict[str, str] = {}
    if (span or get_current_span()).get_span_context().is_valid:
        _PROPAGATOR.inject(fields, None if span is None else span_context(span))
    return fields


def trace_id(span: Span | None = None) -> str:
    """Return the trace id of `span` (by default the current one); empty without a trace."""
    context = (span or get_current_span()).get_span_context()
    return format_trace_id(context.trace_id) if context.is_valid else ""


def span_context(span: Span) -> Context:
    """Return the context in which new spans are children of `span`."""
    return set_span_in_context(span, Context())


def remote_context(remote: str) -> Context:
    """Return the context in which new spans are children of the `traceparent` given; roots when it is invalid."""
    return _PROPAGATOR.extract({TRACEPARENT: remote}, Context())


@contextmanager
def current(span: Span) -> Generator[Span]:
    """Make `span` the current one and end it with the block; a cancelled block marks it.

    Exceptions are not recorded, since their text may quote a user; callers that know the code call `record_failure`.
    """
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except asyncio.CancelledError:
            span.set_attribute("cancelled", True)
            raise


def record_failure(span: Span, code: str) -> None:
    """Mark `span` as failed with a dotted error code."""
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR, code))


@contextmanager
def serving(method: str, metadata: Iterable[tuple[str, str | bytes]], ids: Mapping[str, str]) -> Generator[Span]:
    """Make the span of a gRPC call whose caller sent a trace context; other calls (polls, probes) have none."""
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
    """Export the spans made inside to the collector in `settings`; without one, do nothing.

    Work never waits for the collector: spans it does not accept in time are lost, as are the oldest of a full queue.
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
    """Record spans with `provider` inside the block."""
    before, _Recording.tracer = _Recording.tracer, provider.get_tracer("anchor")
    try:
        yield
    finally:
        _Recording.tracer = before
