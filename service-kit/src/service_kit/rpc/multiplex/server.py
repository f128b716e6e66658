"""The server end of a multiplexed stream: dispatches its calls to the servicers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn, Self

import grpc
from anchor.multiplex.v1 import multiplex_pb2, multiplex_pb2_grpc
from google.protobuf.message import DecodeError
from grpc import aio

from service_kit.errors import ERROR_CODE_KEY, EngineFailed, InvalidRequest
from service_kit.rpc.multiplex.frames import MAX_MULTIPLEXED_BYTES, FrameQueue, ReceiveBuffer, SendWindow

# As many as a connection may have streams (`rpc.server.SERVER_OPTIONS`).
_MAX_CALLS = 1024

Frame = multiplex_pb2.ServerFrame
Handler = Callable[[Any, Any], Awaitable[Any]]
HandlerWrapper = Callable[[str, Handler], Handler]


class MethodTable:
    """Registers servicers as an `aio.Server` does and keeps their bidirectional methods."""

    def __init__(self) -> None:
        self.methods: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Sequence[object]) -> None:
        """Do nothing: generated code registers each handler a second time, with its name, by the method below."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add the bidirectional methods of `service`."""
        for name, handler in handlers.items():
            if handler.request_streaming and handler.response_streaming:
                self.methods[f"/{service}/{name}"] = handler


class _Aborted(aio.AbortError):
    """The servicer, or the wrapper around it, ended the call."""

    def __init__(self, end: multiplex_pb2.End) -> None:
        super().__init__(end.message)
        self.end = end


class _ServerCall:
    """One call. The servicer gets it twice: as the iterator of requests and as the context."""

    def __init__(self, call_id: int, opening: multiplex_pb2.Open, handler: Any, queue: FrameQueue[Frame]) -> None:
        self.received = ReceiveBuffer(lambda size: queue.append(Frame(call_id=call_id, credit_bytes=size)))
        self.send_window = SendWindow()
        self._id = call_id
        self._metadata = tuple(opening.metadata.items())
        self._queue = queue
        self._deserialize = handler.request_deserializer
        self._serialize = handler.response_serializer

    # The iterator of requests ---------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        message = await self.received.read_message()
        if message is None:
            raise StopAsyncIteration
        try:
            return self._deserialize(message)
        except DecodeError as error:
            raise InvalidRequest("multiplex.undecodable", "the message is not of the method's request type") from error

    # The context ----------------------------------------------------------------------------------------------------

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    async def write(self, response: Any) -> None:
        message = self._serialize(response)
        if len(message) > MAX_MULTIPLEXED_BYTES:
            raise EngineFailed("multiplex.message_too_large", f"{len(message)} bytes in one message")
        await self.send_window.reserve(len(message))
        self._queue.append(Frame(call_id=self._id, message=message))

    async def abort(
        self, status: grpc.StatusCode, details: str = "", trailing_metadata: Sequence[tuple[str, str]] = ()
    ) -> NoReturn:
        code = dict(trailing_metadata).get(ERROR_CODE_KEY, "")
        raise _Aborted(multiplex_pb2.End(status=status.value[0], message=details, error_code=code))


class MultiplexServicer(multiplex_pb2_grpc.MultiplexServiceServicer):
    """Serves `methods` on multiplexed streams; `wrap` adds to each handler what a server's interceptor would."""

    def __init__(self, methods: Mapping[str, Any], wrap: HandlerWrapper) -> None:
        self._methods = methods
        self._handlers = {name: wrap(name, method.stream_stream) for name, method in methods.items()}

    async def Multiplex(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request_iterator: AsyncIterator[multiplex_pb2.MultiplexRequest], context: Any
    ) -> None:
        async def write(frames: Sequence[Frame]) -> None:
            await context.write(multiplex_pb2.MultiplexResponse(frames=frames))

        queue: FrameQueue[Frame] = FrameQueue()
        async with asyncio.TaskGroup() as tasks:
            calls = _StreamCalls(self._methods, self._handlers, queue, tasks)
            writer = tasks.create_task(queue.write_batches(write, calls.count), name="multiplex-write")
            # grpc.aio raises this when the server stops before its client leaves.
            with suppress(aio.BaseError):
                async for request in request_iterator:
                    for frame in request.frames:
                        calls.on_frame(frame)
                    await queue.wait_capacity()
            calls.cancel_all()
            writer.cancel()

    def add_to(self, server: aio.Server) -> None:
        """Register with a gRPC server."""
        multiplex_pb2_grpc.add_MultiplexServiceServicer_to_server(self, server)


class _StreamCalls:
    """The open calls of one stream."""

    def __init__(
        self,
        methods: Mapping[str, Any],
        handlers: Mapping[str, Handler],
        queue: FrameQueue[Frame],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._methods = methods
        self._handlers = handlers
        self._queue = queue
        self._tasks = tasks
        self._calls: dict[int, tuple[_ServerCall, asyncio.Task[None]]] = {}
        self._last_id = 0

    def on_frame(self, frame: multiplex_pb2.ClientFrame) -> None:
        """Apply a frame of the client. Raises `InvalidRequest` when it violates the protocol."""
        kind = frame.WhichOneof("frame")
        if kind == "open":
            self._open(frame.call_id, frame.open)
        elif (entry := self._calls.get(frame.call_id)) is not None:
            call, task = entry
            if kind == "message":
                if not call.received.add_message(frame.message):
                    raise InvalidRequest("multiplex.window_exceeded", "a call sent more than its window allows")
            elif kind == "half_close":
                call.received.close()
            elif kind == "credit_bytes":
                call.send_window.add_credit(frame.credit_bytes)
            elif kind == "cancel":
                task.cancel()

    def count(self) -> int:
        """Return the number of open calls."""
        return len(self._calls)

    def cancel_all(self) -> None:
        """Cancel the open calls: the client is gone."""
        for _, task in self._calls.values():
            task.cancel()

    def _open(self, call_id: int, opening: multiplex_pb2.Open) -> None:
        if call_id <= self._last_id:
            raise InvalidRequest("multiplex.call_id", "call ids must rise")
        self._last_id = call_id
        handler = self._methods.get(opening.method)
        if handler is None:
            self._refuse(call_id, grpc.StatusCode.UNIMPLEMENTED, "multiplex.unknown_method", "no such method here")
        elif len(self._calls) >= _MAX_CALLS:
            self._refuse(call_id, grpc.StatusCode.RESOURCE_EXHAUSTED, "multiplex.full", "too many calls on one stream")
        else:
            call = _ServerCall(call_id, opening, handler, self._queue)
            task = self._tasks.create_task(self._run_call(call_id, call, self._handlers[opening.method]))
            self._calls[call_id] = (call, task)
            task.add_done_callback(lambda _: self._calls.pop(call_id, None))

    def _refuse(self, call_id: int, status: grpc.StatusCode, code: str, message: str) -> None:
        end = multiplex_pb2.End(status=status.value[0], message=message, error_code=code)
        self._queue.append(Frame(call_id=call_id, end=end))

    async def _run_call(self, call_id: int, call: _ServerCall, handler: Handler) -> None:
        try:
            await handler(call, call)
            end = multiplex_pb2.End()
        except _Aborted as aborted:
            end = aborted.end
        self._queue.append(Frame(call_id=call_id, end=end))
