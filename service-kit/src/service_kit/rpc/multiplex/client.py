"""The client end of a multiplexed stream: a channel for generated stubs whose bidirectional calls share one stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import grpc
from anchor.multiplex.v1 import multiplex_pb2, multiplex_pb2_grpc
from grpc import aio

from service_kit.errors import ERROR_CODE_KEY, InvalidRequest
from service_kit.rpc.multiplex.frames import MAX_MULTIPLEXED_BYTES, FrameQueue, ReceiveBuffer, SendWindow
from service_kit.tasks import start_task, stop_task

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

_STATUS = {status.value[0]: status for status in grpc.StatusCode}
Frame = multiplex_pb2.ClientFrame


class MultiplexedCall(Generic[RequestT, ResponseT]):
    """One call on a multiplexed channel, with the part of grpc.aio's `StreamStreamCall` that our clients use."""

    def __init__(
        self,
        call_id: int,
        queue: FrameQueue[Frame],
        serialize: Callable[[RequestT], bytes],
        deserialize: Callable[[bytes], ResponseT],
        on_end: Callable[[int], None],
    ) -> None:
        self._id = call_id
        self._queue = queue
        self._serialize = serialize
        self._deserialize = deserialize
        self._on_end = on_end
        self._received = ReceiveBuffer(lambda size: queue.append(Frame(call_id=call_id, credit_bytes=size)))
        self._send_window = SendWindow()
        self._result: asyncio.Future[aio.AioRpcError] = asyncio.get_running_loop().create_future()

    # The interface of grpc.aio --------------------------------------------------------------------------------------

    async def write(self, request: RequestT) -> None:
        """Send a message; waits while the server's window is closed. Raises `AioRpcError` when the call has ended."""
        message = self._serialize(request)
        if len(message) > MAX_MULTIPLEXED_BYTES:
            raise InvalidRequest("multiplex.message_too_large", f"{len(message)} bytes in one message")
        await self._send_window.reserve(len(message))
        if self._result.done():
            raise self._result.result()
        self._queue.append(Frame(call_id=self._id, message=message))

    async def done_writing(self) -> None:
        """Send the end of the requests."""
        if not self._result.done():
            self._queue.append(Frame(call_id=self._id, half_close=multiplex_pb2.HalfClose()))

    async def read(self) -> ResponseT | object:
        """Return the next message; `aio.EOF` after the last. Raises `AioRpcError` when the call failed."""
        message = await self._received.read_message()
        if message is not None:
            return self._deserialize(message)
        result = await self._result
        if result.code() is grpc.StatusCode.OK:
            return aio.EOF
        raise result

    def cancel(self) -> bool:
        """End the call from this side; False when it has ended already."""
        if self._result.done():
            return False
        self._queue.append(Frame(call_id=self._id, cancel=multiplex_pb2.Cancel()))
        self.end_with(_status(grpc.StatusCode.CANCELLED, "cancelled by its client"))
        return True

    async def code(self) -> grpc.StatusCode:
        """Return the status; waits for the end of the call."""
        return (await self._result).code()

    async def details(self) -> str:
        """Return the status message; waits for the end of the call."""
        return (await self._result).details() or ""

    async def initial_metadata(self) -> aio.Metadata:
        """Return empty metadata: the protocol has no initial metadata."""
        return aio.Metadata()

    async def trailing_metadata(self) -> aio.Metadata:
        """Return the error code, if there is one; waits for the end of the call."""
        return (await self._result).trailing_metadata() or aio.Metadata()

    # Called by the channel ------------------------------------------------------------------------------------------

    def on_frame(self, frame: multiplex_pb2.ServerFrame) -> None:
        """Apply a frame of the server."""
        match frame.WhichOneof("frame"):
            case "message":
                if not self._received.add_message(frame.message):
                    self.cancel()
            case "credit_bytes":
                self._send_window.add_credit(frame.credit_bytes)
            case "end":
                end = frame.end
                status = _STATUS.get(end.status, grpc.StatusCode.UNKNOWN)
                self.end_with(_status(status, end.message, end.error_code))
            case _:
                # A frame of a newer protocol.
                return

    def end_with(self, result: aio.AioRpcError) -> None:
        """End the call with `result`; messages received before can still be read."""
        if not self._result.done():
            self._result.set_result(result)
            self._on_end(self._id)
            self._received.close()
            self._send_window.close()


def _status(status: grpc.StatusCode, message: str, error_code: str = "") -> aio.AioRpcError:
    trailing = aio.Metadata((ERROR_CODE_KEY, error_code)) if error_code else aio.Metadata()
    return aio.AioRpcError(status, aio.Metadata(), trailing, details=message)


class MultiplexedChannel:
    """A channel whose bidirectional calls share one stream; calls of the other three kinds use `channel` directly.

    Use it as an async context manager and pass it to generated stubs. The first call opens the stream. When the stream
    fails, all calls on it fail, and the next call opens a new one. `multiplex.proto` lists what such a call lacks.
    """

    def __init__(self, channel: aio.Channel) -> None:
        self._channel = channel
        self._stub = multiplex_pb2_grpc.MultiplexServiceStub(channel)
        self._queue: FrameQueue[Frame] = FrameQueue()
        self._calls: dict[int, MultiplexedCall[Any, Any]] = {}
        self._ids = count(1)
        self._task: asyncio.Task[None] | None = None
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
        """Return a callable that starts a call of `method`; generated stubs use it."""

        def start_call(*, metadata: Iterable[tuple[str, str]] = ()) -> MultiplexedCall[Any, Any]:
            opening = multiplex_pb2.Open(method=method, metadata=dict(metadata))
            call_id = next(self._ids)
            call = MultiplexedCall[Any, Any](
                call_id, self._queue, request_serializer, response_deserializer, self._remove_call
            )
            self._calls[call_id] = call
            self._queue.append(Frame(call_id=call_id, open=opening))
            return call

        return start_call

    @property
    def for_stubs(self) -> aio.Channel:
        """This channel, typed as the class that generated stubs accept."""
        return cast(aio.Channel, self)

    async def __aenter__(self) -> Self:
        self._task = start_task(self._run_streams(), "multiplexed-channel")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await stop_task(self._task)
        finally:
            await self._channel.close()

    async def _run_streams(self) -> None:
        """Open a stream when a call needs it, read it to its end, fail its calls; repeat until cancelled."""
        while True:
            await self._queue.wait_nonempty()
            stream = self._stub.Multiplex()
            failure = _status(grpc.StatusCode.UNAVAILABLE, "the multiplexed stream has ended")
            writer = asyncio.create_task(self._write_frames(stream), name="multiplexed-channel-write")
            try:
                while isinstance(response := await stream.read(), multiplex_pb2.MultiplexResponse):
                    self._on_response(response)
            except aio.AioRpcError as error:
                failure = error
            finally:
                stream.cancel()
                writer.cancel()
                await asyncio.wait({writer})
                self._queue.clear()
                for call in list(self._calls.values()):
                    call.end_with(failure)

    async def _write_frames(self, stream: Any) -> None:
        async def write(frames: Sequence[Frame]) -> None:
            await stream.write(multiplex_pb2.MultiplexRequest(frames=frames))

        try:
            await self._queue.write_batches(write, lambda: len(self._calls))
        except (aio.AioRpcError, asyncio.InvalidStateError):
            # The stream has ended; `_run_streams` reads the reason.
            return

    def _on_response(self, response: multiplex_pb2.MultiplexResponse) -> None:
        for frame in response.frames:
            # The server may send to a call that was cancelled here.
            if (call := self._calls.get(frame.call_id)) is not None:
                call.on_frame(frame)

    def _remove_call(self, call_id: int) -> None:
        self._calls.pop(call_id, None)
