"""Test support for every service, a pytest plugin: `pytest_plugins = ["service_kit.testing.plugin"]`."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from grpc import aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service_kit.engines.info import EngineInfo
from service_kit.health import Health, Status
from service_kit.observability import tracing
from service_kit.rpc.channel import open_channel
from service_kit.rpc.multiplex.client import MultiplexedChannel
from service_kit.rpc.server import MAX_MESSAGE_BYTES, GrpcServer, Servicer
from service_kit.testing.virtual_clock import VirtualLoop

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Run tests marked `virtual_clock` on a loop whose clock jumps to the next timer, all others on a real one."""
    if item.get_closest_marker("virtual_clock"):
        return {"virtual": VirtualLoop}
    return {"real": asyncio.new_event_loop}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked `ipv6` where this machine has no IPv6 loopback address."""
    if item.get_closest_marker("ipv6"):
        try:
            with socket.create_server(("::1", 0), family=socket.AF_INET6):
                pass
        except OSError:
            pytest.skip("no IPv6 on this machine")


@asynccontextmanager
async def serve_grpc(
    name: str, add: Callable[[aio.Server], None], multiplex: bool = False, max_message_bytes: int = MAX_MESSAGE_BYTES
) -> AsyncGenerator[aio.Channel]:
    """Serve one servicer on a free port, as production does; yields a channel to the ready server."""
    servicers: list[Servicer] = [(name, add)]
    health = Health("test", EngineInfo("test", "none", "0"))
    server = GrpcServer(health, servicers, reflect=False, multiplex=multiplex, max_message_bytes=max_message_bytes)
    port = await server.start("127.0.0.1", 0)
    health.move_to(Status.READY)
    await server.set_ready(True)
    channel = open_channel(f"127.0.0.1:{port}")
    try:
        yield channel
    finally:
        await channel.close()
        await server.stop(0)


@asynccontextmanager
async def serve_multiplexed(
    name: str, add: Callable[[aio.Server], None], max_message_bytes: int = MAX_MESSAGE_BYTES
) -> AsyncGenerator[aio.Channel]:
    """As `serve_grpc`, but yields a multiplexed channel, as the orchestrator uses it by default.

    On it a write never hides why the call ended. A write of grpc.aio's own call that meets the end of the call loses
    the status: the call then reports INTERNAL.
    """
    async with (
        serve_grpc(name, add, multiplex=True, max_message_bytes=max_message_bytes) as channel,
        MultiplexedChannel(channel) as multiplexed,
    ):
        yield multiplexed.for_stubs


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Restore the logging of this process after a test that builds a service."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    for added in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(added)


@pytest.fixture(autouse=True)
async def no_leaked_tasks() -> AsyncGenerator[None]:
    """Fail a test that leaves tasks running."""
    before = asyncio.all_tasks()
    yield
    leaked: set[asyncio.Task[Any]] = set()
    for _ in range(20):
        # The tasks of grpc.aio end a few loop turns after their call.
        leaked = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
        if not leaked:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"leaked tasks: {sorted(task.get_name() + ' ' + repr(task.get_coro()) for task in leaked)}")


def split_pcm(pcm: bytes, size: int) -> Iterator[bytes]:
    """Split `pcm` into pieces of `size` bytes; the last may be shorter."""
    return (pcm[start : start + size] for start in range(0, len(pcm), size))


@pytest.fixture
def spans() -> Iterator[Callable[[], Sequence[ReadableSpan]]]:
    """Record spans in memory; call the fixture for the finished ones."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with tracing.recording(provider):
        yield lambda: list(exporter.get_finished_spans())


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """A span as received by the collector; ids in hexadecimal, `parent_id` empty for a root."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, object]


class Collector:
    """Receives spans over OTLP/HTTP in its own threads. With `answers` False it accepts requests and never answers."""

    def __init__(self) -> None:
        self.answers = True
        self._released = threading.Event()
        self._batches: list[ExportTraceServiceRequest] = []
        # Of each request.
        self.headers: list[Mapping[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def spans(self) -> list[CollectedSpan]:
        """Return all spans received so far."""
        return [
            CollectedSpan(
                service=next(
                    item.value.string_value for item in batch.resource.attributes if item.key == "service.name"
                ),
                name=span.name,
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                attributes=_attributes(span),
            )
            for request in list(self._batches)
            for batch in request.resource_spans
            for scope in batch.scope_spans
            for span in scope.spans
        ]

    def close(self) -> None:
        """Release all waiting requests and stop listening; idempotent."""
        if not self._released.is_set():
            self._released.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not collector.answers:
                    collector._released.wait()
                    return
                collector.headers.append(dict(self.headers))
                collector._batches.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Log nothing."""

        return Handler


def _attributes(owner: Any) -> dict[str, object]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in owner.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A trace collector on a free port."""
    collector = Collector()
    yield collector
    collector.close()
