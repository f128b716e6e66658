"""The serving end of a carrier: carried calls reach the servicers as calls of their own would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn, Self

import grpc
from anchor.carrier.v1 import carrier_pb2, carrier_pb2_grpc
from google.protobuf.message import DecodeError
from grpc import aio

from service_kit.errors import ERROR_CODE_KEY, EngineFailed, InvalidRequest
from service_kit.rpc.multiplex.frames import MAX_CARRIED_BYTES, Inbound, Outbound, Outgoing

# As many as a connection may have streams.
_MAX_CALLS = 1024

Frame = carrier_pb2.ServerFrame
Handle = Callable[[Any, Any], Awaitable[Any]]
Guard = Callable[[str, Handle], Handle]


class MethodTable:
    """Takes servicers as a server does, and remembers their bidirectional methods."""

    def __init__(self) -> None:
        self.methods: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Sequence[object]) -> None:
        """Generated code says all things twice; the other way has the names."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Remember the methods of `service`."""
        for name, handler in handlers.items():
            if handler.request_streaming and handler.response_streaming:
                self.methods[f"/{service}/{name}"] = handler


class _Aborted(aio.AbortError):
    """A servicer, or the guard before it, ended the call."""

    def __init__(self, end: carrier_pb2.End) -> None:
        super().__init__(end.message)
        self.end = end


class _ServedCall:
    """One call: to a servicer it is both the iterator over requests and the context."""

    def __init__(self, call_id: int, opening: carrier_pb2.Open, handler: Any, outgoing: Outgoing[Frame]) -> None:
        self.inbound = Inbound(lambda size: outgoing.put(Frame(call_id=call_id, credit_bytes=size)))
        self.outbound = Outbound()
        self._id = call_id
        self._metadata = tuple(opening.metadata.items())
        self._outgoing = outgoing
        self._deserialize = handler.request_deserializer
        self._serialize = handler.response_serializer

    # The iterator over requests -------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        message = await self.inbound.get()
        if message is None:
            raise StopAsyncIteration
        try:
            return self._deserialize(message)
        except DecodeError as error:
            raise InvalidRequest("carrier.undecodable", "a message is not what the method takes") from error

    # The context ----------------------------------------------------------------------------------------------------

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    async def write(self, response: Any) -> None:
        message = self._serialize(response)
        if len(message) > MAX_CARRIED_BYTES:
            raise EngineFailed("carrier.message_too_large", f"{len(message)} bytes in one message")
        await self.outbound.spend(len(message))
        self._outgoing.put(Frame(call_id=self._id, message=message))

    async def abort(
        self, status: grpc.StatusCode, details: str = "", trailing_metadata: Sequence[tuple[str, str]] = ()
    ) -> NoReturn:
        code = dict(trailing_metadata).get(ERROR_CODE_KEY, "")
        raise _Aborted(carrier_pb2.End(status=status.value[0], message=details, error_code=code))


class MultiplexServicer(carrier_pb2_grpc.CarrierServiceServicer):
    """Carries calls of `methods`, each behind `guard`."""

    def __init__(self, methods: Mapping[str, Any], guard: Guard) -> None:
        self._methods = methods
        self._handles = {name: guard(name, handler.stream_stream) for name, handler in methods.items()}

    async def Carry(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request_iterator: AsyncIterator[carrier_pb2.CarryRequest], context: Any
    ) -> None:
        async def write(frames: Sequence[Frame]) -> None:
            await context.write(carrier_pb2.CarryResponse(frames=frames))

        outgoing: Outgoing[Frame] = Outgoing()
        async with asyncio.TaskGroup() as tasks:
            carried = _MultiplexedCalls(self._methods, self._handles, outgoing, tasks)
            writing = tasks.create_task(outgoing.write_to(write, carried.calls), name="carrier-write")
            # What grpc.aio raises here when the server stops under a client that stays.
            with suppress(aio.BaseError):
                async for request in request_iterator:
                    for frame in request.frames:
                        carried.hear(frame)
                    await outgoing.room()
            carried.cancel()
            writing.cancel()

    def add_to(self, server: aio.Server) -> None:
        """Register with a gRPC server."""
        carrier_pb2_grpc.add_CarrierServiceServicer_to_server(self, server)


class _MultiplexedCalls:
    """The calls on one carrier."""

    def __init__(
        self,
        methods: Mapping[str, Any],
        handles: Mapping[str, Handle],
        outgoing: Outgoing[Frame],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._methods = methods
        self._handles = handles
        self._outgoing = outgoing
        self._tasks = tasks
        self._calls: dict[int, tuple[_ServedCall, asyncio.Task[None]]] = {}
        self._last_id = 0

    def hear(self, frame: carrier_pb2.ClientFrame) -> None:
        """Take a step of the client. Raises `InvalidRequest` when it breaks the rules of carrying."""
        kind = frame.WhichOneof("frame")
        if kind == "open":
            self._open(frame.call_id, frame.open)
        elif (entry := self._calls.get(frame.call_id)) is not None:
            call, task = entry
            if kind == "message":
                if not call.inbound.put(frame.message):
                    raise InvalidRequest("carrier.window_exceeded", "a call sent more than it had leave to")
            elif kind == "half_close":
                call.inbound.end()
            elif kind == "credit_bytes":
                call.outbound.credit(frame.credit_bytes)
            elif kind == "cancel":
                task.cancel()

    def calls(self) -> int:
        """How many there are."""
        return len(self._calls)

    def cancel(self) -> None:
        """The client is gone."""
        for _, task in self._calls.values():
            task.cancel()

    def _open(self, call_id: int, opening: carrier_pb2.Open) -> None:
        if call_id <= self._last_id:
            raise InvalidRequest("carrier.call_id", "call ids must rise")
        self._last_id = call_id
        handler = self._methods.get(opening.method)
        if handler is None:
            self._refuse(call_id, grpc.StatusCode.UNIMPLEMENTED, "carrier.unknown_method", "no such method is carried")
        elif len(self._calls) >= _MAX_CALLS:
            self._refuse(call_id, grpc.StatusCode.RESOURCE_EXHAUSTED, "carrier.full", "too many calls on one carrier")
        else:
            call = _ServedCall(call_id, opening, handler, self._outgoing)
            task = self._tasks.create_task(self._serve(call_id, call, self._handles[opening.method]))
            self._calls[call_id] = (call, task)
            task.add_done_callback(lambda _: self._calls.pop(call_id, None))

    def _refuse(self, call_id: int, status: grpc.StatusCode, code: str, message: str) -> None:
        end = carrier_pb2.End(status=status.value[0], message=message, error_code=code)
        self._outgoing.put(Frame(call_id=call_id, end=end))

    async def _serve(self, call_id: int, call: _ServedCall, handle: Handle) -> None:
        try:
            await handle(call, call)
            end = carrier_pb2.End()
        except _Aborted as aborted:
            end = aborted.end
        self._outgoing.put(Frame(call_id=call_id, end=end))
