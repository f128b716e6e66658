"""Export of spans over OTLP/HTTP. Only this module imports the OpenTelemetry SDK, and only when traces are on."""

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
from opentelemetry.util.re import parse_env_headers

from service_kit.observability.metrics import SPANS
from service_kit.settings import ServiceSettings

log = logging.getLogger(__name__)

# Queued spans; above this the oldest is dropped. A turn has about a dozen.
_MAX_WAITING = 2_048
_MAX_BATCH = 256
_BATCH_EVERY_MS = 2_000
# A batch is lost when the collector does not accept it within this time, retries included.
_EXPORT_DEADLINE_S = 5.0
# How long a stopping service waits for the export of its last spans.
_FLUSH_TIMEOUT_S = 2.0


class WatchedExporter(SpanExporter):
    """Counts exported and lost spans; logs once when the collector fails and once when it is back."""

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
    """Counts the queued spans; those that are neither taken nor lost were dropped from a full queue."""

    def on_end(self, span: ReadableSpan) -> None:
        SPANS.labels("made").inc()
        super().on_end(span)


def open_provider(service: str, settings: ServiceSettings) -> TracerProvider:
    """Return a provider that records spans of `service` and exports them from its own thread."""
    # It logs at every batch what `WatchedExporter` logs once.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    # Not from OTEL_SERVICE_NAME: all services share one environment.
    resource = Resource.create({SERVICE_NAME: service, SERVICE_NAMESPACE: "ai-anchor"})
    provider = TracerProvider(sampler=_sampler(settings), resource=resource, shutdown_on_exit=False)
    endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
    headers = parse_env_headers(settings.otlp_headers.get_secret_value(), liberal=True)
    batches = CountedBatches(
        WatchedExporter(OTLPSpanExporter(endpoint, headers=headers, timeout=_EXPORT_DEADLINE_S)),
        max_queue_size=_MAX_WAITING,
        max_export_batch_size=_MAX_BATCH,
        schedule_delay_millis=_BATCH_EVERY_MS,
    )
    provider.add_span_processor(batches)
    return provider


async def close_provider(provider: TracerProvider) -> None:
    """Export the queued spans; after the timeout, abandon the collector and the thread that waits for it."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def shut_down() -> None:
        provider.shutdown()
        # After the timeout the loop may be closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=shut_down, name="trace-flush", daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(_FLUSH_TIMEOUT_S):
            await done.wait()


def _sampler(settings: ServiceSettings) -> Sampler:
    name = settings.traces_sampler
    base = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}.get(name.removeprefix("parentbased_"))
    base = base or TraceIdRatioBased(settings.traces_sampler_arg)
    return ParentBased(base) if name.startswith("parentbased_") else base
