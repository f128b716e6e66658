"""Sending spans to a collector over OTLP/HTTP. The one file that imports the OpenTelemetry SDK, when it is wanted."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from service_kit.observability.metrics import SPANS
from service_kit.settings import ServiceSettings

log = logging.getLogger(__name__)

# Spans that wait for the collector; the oldest is dropped beyond. A turn has about a dozen.
_MAX_WAITING = 2_048
_MAX_BATCH = 256
_BATCH_EVERY_MS = 2_000
# A batch that is not taken within this time, retries included, is lost.
_EXPORT_DEADLINE_S = 5.0
# How long a service that ends waits for its last spans to be taken.
_LAST_WORDS_S = 2.0


class WatchedExporter(SpanExporter):
    """Counts what the collector took and what was lost, and says once when it stops taking and when it takes again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        lost = result is not SpanExportResult.SUCCESS
        SPANS.labels("lost" if lost else "taken").inc(len(spans))
        if lost and not self._lost:
            log.warning("trace collector lost", extra={"spans": len(spans)})
        elif self._lost and not lost:
            log.info("trace collector back")
        self._lost = lost
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class CountedBatches(BatchSpanProcessor):
    """Counts the spans that wait to be sent: those neither taken nor lost were dropped for being too many."""

    def on_end(self, span: ReadableSpan) -> None:
        SPANS.labels("made").inc()
        super().on_end(span)


def open_provider(service: str, settings: ServiceSettings) -> TracerProvider:
    """Makes spans of `service` and sends them from a thread of its own, so that nobody waits for the collector."""
    # It would say at every batch what `WatchedExporter` says once.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    # Named by what it is and not by OTEL_SERVICE_NAME: one environment is shared by all services.
    resource = Resource.create({SERVICE_NAME: service, SERVICE_NAMESPACE: "ai-anchor"})
    provider = TracerProvider(sampler=_sampler(settings), resource=resource, shutdown_on_exit=False)
    endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
    batches = CountedBatches(
        WatchedExporter(OTLPSpanExporter(endpoint, timeout=_EXPORT_DEADLINE_S)),
        max_queue_size=_MAX_WAITING,
        max_export_batch_size=_MAX_BATCH,
        schedule_delay_millis=_BATCH_EVERY_MS,
    )
    provider.add_span_processor(batches)
    return provider


async def close_provider(provider: TracerProvider) -> None:
    """Send what waits. A collector that does not take it in time is left behind, with the thread that waits for it."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def shut_down() -> None:
        provider.shutdown()
        # The loop may be gone by now: it did not wait.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=shut_down, name="last spans", daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS_S):
            await done.wait()


def _sampler(settings: ServiceSettings) -> Sampler:
    name = settings.traces_sampler
    base = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}.get(name.removeprefix("parentbased_"))
    base = base or TraceIdRatioBased(settings.traces_sampler_arg)
    return ParentBased(base) if name.startswith("parentbased_") else base
