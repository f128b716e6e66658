"""The calling end of a carrier: a channel whose bidirectional calls share one stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import grpc
from anchor.carrier.v1 import carrier_pb2, carrier_pb2_grpc
from grpc import aio

from service_kit.errors import ERROR_CODE_KEY, InvalidRequest
from service_kit.rpc.multiplex.frames import MAX_CARRIED_BYTES, Inbound, Outbound, Outgoing
from service_kit.tasks import start_task, stop_task

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

_STATUS = {status.value[0]: status for status in grpc.StatusCode}
Frame = carrier_pb2.ClientFrame


class MultiplexedCall(Generic[RequestT, ResponseT]):
    """One call on a carrier, with the part of grpc.aio's `StreamStreamCall` that our clients use."""

    def __init__(
        self,
        call_id: int,
        outgoing: Outgoing[Frame],
        serialize: Callable[[RequestT], bytes],
        deserialize: Callable[[bytes], ResponseT],
        forget: Callable[[int], None],
    ) -> None:
        self._id = call_id
        self._outgoing = outgoing
        self._serialize = serialize
        self._deserialize = deserialize
        self._forget = forget
        self._inbound = Inbound(lambda size: outgoing.put(Frame(call_id=call_id, credit_bytes=size)))
        self._outbound = Outbound()
        self._ended: asyncio.Future[aio.AioRpcError] = asyncio.get_running_loop().create_future()

    # As grpc.aio has it ---------------------------------------------------------------------------------------------

    async def write(self, request: RequestT) -> None:
        """Send a message; waits while the other side takes no more. Raises `AioRpcError` when the call is over."""
        message = self._serialize(request)
        if len(message) > MAX_CARRIED_BYTES:
            raise InvalidRequest("carrier.message_too_large", f"{len(message)} bytes in one message")
        await self._outbound.spend(len(message))
        if self._ended.done():
            raise self._ended.result()
        self._outgoing.put(Frame(call_id=self._id, message=message))

    async def done_writing(self) -> None:
        """Say that no further message comes."""
        if not self._ended.done():
            self._outgoing.put(Frame(call_id=self._id, half_close=carrier_pb2.HalfClose()))

    async def read(self) -> ResponseT | object:
        """The next message; `aio.EOF` after the last. Raises `AioRpcError` when the call failed."""
        message = await self._inbound.get()
        if message is not None:
            return self._deserialize(message)
        end = await self._ended
        if end.code() is grpc.StatusCode.OK:
            return aio.EOF
        raise end

    def cancel(self) -> bool:
        """End the call from this side; whether that is news."""
        if self._ended.done():
            return False
        self._outgoing.put(Frame(call_id=self._id, cancel=carrier_pb2.Cancel()))
        self.end(_failure(grpc.StatusCode.CANCELLED, "cancelled by its client"))
        return True

    async def code(self) -> grpc.StatusCode:
        """The status; waits for the end."""
        return (await self._ended).code()

    async def details(self) -> str:
        """What was said of the end; waits for it."""
        return (await self._ended).details() or ""

    async def initial_metadata(self) -> aio.Metadata:
        """None is carried."""
        return aio.Metadata()

    async def trailing_metadata(self) -> aio.Metadata:
        """The error's code, if there is one; waits for the end."""
        return (await self._ended).trailing_metadata() or aio.Metadata()

    # From the carrier -----------------------------------------------------------------------------------------------

    def hear(self, frame: carrier_pb2.ServerFrame) -> None:
        """Take a step of the server."""
        match frame.WhichOneof("frame"):
            case "message":
                if not self._inbound.put(frame.message):
                    self.cancel()
            case "credit_bytes":
                self._outbound.credit(frame.credit_bytes)
            case "end":
                end = frame.end
                status = _STATUS.get(end.status, grpc.StatusCode.UNKNOWN)
                self.end(_failure(status, end.message, end.error_code))
            case _:
                # A step that a newer server knows.
                return

    def end(self, end: aio.AioRpcError) -> None:
        """The call is over; what has come can still be read."""
        if not self._ended.done():
            self._ended.set_result(end)
            self._forget(self._id)
            self._inbound.end()
            self._outbound.close()


def _failure(status: grpc.StatusCode, message: str, error_code: str = "") -> aio.AioRpcError:
    trailing = aio.Metadata((ERROR_CODE_KEY, error_code)) if error_code else aio.Metadata()
    return aio.AioRpcError(status, aio.Metadata(), trailing, details=message)


class MultiplexedChannel:
    """A channel in which all bidirectional calls travel on one stream; other calls go their own way.

    Use it as a context manager and give it to generated stubs like any channel. The stream is opened with the first
    call, and after a failure, which ends all calls on it, with the next one.
    """

    def __init__(self, channel: aio.Channel) -> None:
        self._channel = channel
        self._stub = carrier_pb2_grpc.CarrierServiceStub(channel)
        self._outgoing: Outgoing[Frame] = Outgoing()
        self._calls: dict[int, MultiplexedCall[Any, Any]] = {}
        self._ids = count(1)
        self._carrying: asyncio.Task[None] | None = None
        # What only one call at a time needs the channel itself for.
        self.unary_unary = channel.unary_unary
        self.unary_stream = channel.unary_stream
        self.stream_unary = channel.stream_unary

    def stream_stream(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        _registered_method: bool = False,
    ) -> Callable[..., MultiplexedCall[Any, Any]]:
        """What generated stubs ask a channel for."""

        def begin(*, metadata: Iterable[tuple[str, str]] = ()) -> MultiplexedCall[Any, Any]:
            call_id = next(self._ids)
            call = MultiplexedCall[Any, Any](
                call_id, self._outgoing, request_serializer, response_deserializer, self._forget
            )
            self._calls[call_id] = call
            opening = carrier_pb2.Open(method=method, metadata=dict(metadata))
            self._outgoing.put(Frame(call_id=call_id, open=opening))
            return call

        return begin

    @property
    def for_stubs(self) -> aio.Channel:
        """This, as generated stubs want it, whose types know only grpc's own class."""
        return cast(aio.Channel, self)

    async def __aenter__(self) -> Self:
        self._carrying = start_task(self._carry(), "carrier")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await stop_task(self._carrying)
        finally:
            await self._channel.close()

    async def _carry(self) -> None:
        while True:
            await self._outgoing.filled()
            stream = self._stub.Carry()
            failure: aio.AioRpcError = _failure(
                grpc.StatusCode.UNAVAILABLE, "the stream that carries the call has ended"
            )
            writing = asyncio.create_task(self._write(stream), name="carrier-write")
            try:
                while isinstance(response := await stream.read(), carrier_pb2.CarryResponse):
                    self._hear(response)
            except aio.AioRpcError as error:
                failure = error
            finally:
                stream.cancel()
                writing.cancel()
                await asyncio.wait({writing})
                self._outgoing.clear()
                for call in list(self._calls.values()):
                    call.end(failure)

    async def _write(self, stream: Any) -> None:
        async def write(frames: Sequence[Frame]) -> None:
            await stream.write(carrier_pb2.CarryRequest(frames=frames))

        try:
            await self._outgoing.write_to(write, lambda: len(self._calls))
        except (aio.AioRpcError, asyncio.InvalidStateError):
            # The reading half is told why the stream ended.
            return

    def _hear(self, response: carrier_pb2.CarryResponse) -> None:
        for frame in response.frames:
            # A call that was cancelled here may not know it there yet.
            if (call := self._calls.get(frame.call_id)) is not None:
                call.hear(frame)

    def _forget(self, call_id: int) -> None:
        self._calls.pop(call_id, None)
