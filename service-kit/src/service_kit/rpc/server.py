"""The gRPC server of every service: limits, ids, errors, health, reflection."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_SERVICE_NAME
from grpc_health.v1.health import aio as health_aio  # pyright: ignore[reportAttributeAccessIssue]
from grpc_reflection.v1alpha import reflection

from service_kit.addresses import authority
from service_kit.errors import (
    ERROR_CODE_KEY,
    AnchorError,
    Denied,
    EngineFailed,
    InvalidRequest,
    NotReady,
    root_cause,
)
from service_kit.health import Health, Status
from service_kit.observability import tracing
from service_kit.observability.context import adopt_metadata, current_ids
from service_kit.observability.metrics import ERRORS, RPC_SECONDS, RPCS_OPEN
from service_kit.rpc.multiplex.server import MethodTable, MultiplexServicer

log = logging.getLogger(__name__)

# Default limit of a received message: 2.7 s of 48 kHz audio, far above any chunk that a client needs to send.
MAX_MESSAGE_BYTES = 262_144

SERVER_OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.max_concurrent_streams", 1024),
    # Clients ping every 2 s (channel.py); by default the server rejects intervals below 5 minutes.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    # A client that vanished, or that never sends a byte, is noticed within 10 s.
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 5000),
    ("grpc.http2.ping_timeout_ms", 5000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.so_reuseport", 0),
)

Servicer = tuple[str, Callable[[aio.Server], None]]


class CallInterceptor(aio.ServerInterceptor):
    """Adds ids, metrics, a span and error translation to every call.

    An `AnchorError` becomes its gRPC status with the code in the trailing metadata. Any other exception of a servicer
    is a bug: it is logged, and the caller gets INTERNAL. Until the service is ready, calls are refused.
    """

    def __init__(self, health: Health) -> None:
        self._health = health

    async def intercept_service(self, continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
        handler: Any = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(("/grpc.health.", "/grpc.reflection.")):
            return handler
        if handler.request_streaming and handler.response_streaming:
            wrap, call = grpc.stream_stream_rpc_method_handler, handler.stream_stream
        elif handler.response_streaming:
            wrap, call = grpc.unary_stream_rpc_method_handler, handler.unary_stream
        elif handler.request_streaming:
            wrap, call = grpc.stream_unary_rpc_method_handler, handler.stream_unary
        else:
            wrap, call = grpc.unary_unary_rpc_method_handler, handler.unary_unary
        if not inspect.iscoroutinefunction(call):
            raise TypeError(f"{method} must be a coroutine that writes to its context, not a generator")
        return wrap(self.wrap_handler(method, call), handler.request_deserializer, handler.response_serializer)

    def wrap_handler(
        self, method: str, call: Callable[[Any, Any], Awaitable[Any]]
    ) -> Callable[[Any, Any], Awaitable[Any]]:
        """Return `call` with ids, metrics, a span and error translation added."""

        async def handle(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
            metadata = context.invocation_metadata() or ()
            adopt_metadata(metadata)
            started_s = time.monotonic()
            code = "ok"
            RPCS_OPEN.labels(method).inc()
            with tracing.serving(method, metadata, current_ids()) as span:
                try:
                    if not self._health.ready:
                        reason = ": ".join(filter(None, (self._health.status, self._health.reason)))
                        raise NotReady(f"{self._health.service}.not_ready", reason)
                    return await call(request, context)
                except Exception as error:
                    cause = root_cause(error)
                    if isinstance(cause, aio.AbortError):
                        code = "aborted"
                        raise
                    failure = _failure(method, cause, self._health.status)
                    code = failure.code
                    tracing.record_failure(span, code)
                    ERRORS.labels(code).inc()
                    await context.abort(failure.status, failure.message, trailing_metadata=((ERROR_CODE_KEY, code),))
                finally:
                    RPCS_OPEN.labels(method).dec()
                    RPC_SECONDS.labels(method, code).observe(time.monotonic() - started_s)

        return handle


def _failure(method: str, cause: BaseException, status: Status) -> AnchorError:
    """Log the failure of a call and return the error for its caller; a bug is reported without details."""
    if isinstance(cause, DecodeError):
        # Of a stream's message; gRPC itself refuses the one message of other calls.
        cause = InvalidRequest("rpc.undecodable", "a message is not of the method's request type")
    if isinstance(cause, AnchorError):
        level = logging.WARNING
        if isinstance(cause, Denied):
            # The check logs guesses, and bounds its lines.
            level = logging.DEBUG
        elif isinstance(cause, NotReady) and status is Status.LOADING:
            # Callers retry while the model loads, so this is no warning.
            level = logging.INFO
        log.log(level, "call failed", extra={"method": method, "code": cause.code, "reason": cause.message})
        return cause
    log.error("call broke", extra={"method": method}, exc_info=cause)
    return EngineFailed("internal", "internal error")


class GrpcServer:
    """A gRPC server with `grpc.health.v1`: the empty name is liveness, a service's name is its readiness.

    With `multiplex`, clients may also call its bidirectional methods on a multiplexed channel.
    """

    def __init__(
        self,
        health: Health,
        servicers: Sequence[Servicer],
        reflect: bool,
        multiplex: bool = False,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        self._names = [name for name, _ in servicers]
        interceptor = CallInterceptor(health)
        self._server = aio.server(
            interceptors=[interceptor],
            options=[*SERVER_OPTIONS, ("grpc.max_receive_message_length", max_message_bytes)],
        )
        self._health_servicer = health_aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health_servicer, self._server)
        for _, add in servicers:
            add(self._server)
        if multiplex:
            table = MethodTable()
            for _, add in servicers:
                add(cast(aio.Server, table))
            MultiplexServicer(table.methods, interceptor.wrap_handler).add_to(self._server)
        if reflect:
            names = (*self._names, HEALTH_SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)

    async def start(self, host: str, port: int) -> int:
        """Listen, alive but not ready, and return the port. Raises `OSError` when the port is taken."""
        try:
            bound = self._server.add_insecure_port(authority(host, port))
        except RuntimeError as error:
            raise OSError(f"cannot listen on {authority(host, port)} for gRPC: is the port taken?") from error
        await self.set_ready(False)
        await self._health_servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        return bound

    async def set_ready(self, ready: bool) -> None:
        """Set the readiness that health clients see."""
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in self._names:
            await self._health_servicer.set(name, status)

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls and end the open ones after `grace_s` seconds."""
        await self._health_servicer.enter_graceful_shutdown()
        await self._server.stop(grace_s)
