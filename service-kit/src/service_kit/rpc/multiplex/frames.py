"""Batching and flow control, shared by both ends of a multiplexed stream.

The protocol, and what a multiplexed call lacks against a call of its own: `anchor/multiplex/v1/multiplex.proto`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from google.protobuf.message import Message

# Bytes in flight in one direction of one call: five seconds of speech at 24 kHz.
WINDOW_BYTES = 262_144
# The largest message of a multiplexed call.
MAX_MULTIPLEXED_BYTES = 131_072
# The frames of one batch take at most this; half of what gRPC accepts here (`rpc.server.MAX_MESSAGE_BYTES`).
_BATCH_BYTES = 131_072
# With so many unwritten frames, a server stops reading.
_MAX_QUEUED_FRAMES = 4_096
# A write wakes a thread and an event loop on either side, which with many calls is most of the cost of a message. Each
# call beyond the free ones lengthens the flush interval; a few calls gain nothing by waiting.
_INTERVAL_PER_CALL_S = 0.001
_FREE_CALLS = 4
_MAX_INTERVAL_S = 0.016

FrameT = TypeVar("FrameT", bound=Message)


def flush_interval_s(call_count: int) -> float:
    """Minimum interval between two flushes of a stream with `call_count` open calls."""
    return min(_MAX_INTERVAL_S, max(0, call_count - _FREE_CALLS) * _INTERVAL_PER_CALL_S)


class FrameQueue(Generic[FrameT]):
    """Frames to be written, in batches: frames queued between two flushes leave as one message.

    The windows of the calls bound the queue. Code that queues frames outside of any window awaits `wait_capacity`
    first.
    """

    def __init__(self) -> None:
        self._frames: deque[FrameT] = deque()
        self._nonempty = asyncio.Event()
        self._drained = asyncio.Event()

    def append(self, frame: FrameT) -> None:
        """Queue `frame` for the next batch."""
        self._frames.append(frame)
        self._nonempty.set()

    async def wait_nonempty(self) -> None:
        """Wait until at least one frame is queued."""
        await self._nonempty.wait()

    async def wait_capacity(self) -> None:
        """Wait while too many frames are queued."""
        while len(self._frames) >= _MAX_QUEUED_FRAMES:
            self._drained.clear()
            await self._drained.wait()

    def clear(self) -> None:
        """Drop all queued frames."""
        self._frames.clear()
        self._nonempty.clear()
        self._drained.set()

    async def write_batches(
        self, write: Callable[[Sequence[FrameT]], Awaitable[object]], call_count: Callable[[], int]
    ) -> None:
        """Write batch after batch until cancelled; `call_count` returns the number of open calls."""
        loop = asyncio.get_running_loop()
        next_flush_s = 0.0
        while True:
            await self._nonempty.wait()
            if (wait_s := next_flush_s - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            next_flush_s = loop.time() + flush_interval_s(call_count())
            while self._frames:
                await write(self._next_batch())

    def _next_batch(self) -> list[FrameT]:
        batch = [self._frames.popleft()]
        size = batch[0].ByteSize()
        while self._frames and (size := size + self._frames[0].ByteSize()) <= _BATCH_BYTES:
            batch.append(self._frames.popleft())
        if not self._frames:
            self._nonempty.clear()
        self._drained.set()
        return batch


class ReceiveBuffer:
    """Received messages of one direction of a call, serialised, and the window granted to their sender.

    `send_credit` is called with the number of bytes by which the sender's window grows.
    """

    def __init__(self, send_credit: Callable[[int], None]) -> None:
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._send_credit = send_credit
        self._window_bytes = WINDOW_BYTES
        # Read since the last credit.
        self._read_bytes = 0
        self._closed = False

    def add_message(self, message: bytes) -> bool:
        """Append a received message, unless the messages have ended; False when it exceeds the window."""
        if self._closed:
            return True
        if self._window_bytes <= 0:
            return False
        self._window_bytes -= _window_cost(message)
        self._messages.put_nowait(message)
        return True

    def close(self) -> None:
        """Mark the end of the messages; idempotent."""
        if not self._closed:
            self._closed = True
            self._messages.put_nowait(None)

    async def read_message(self) -> bytes | None:
        """Return the next message; after the last one None, each time."""
        message = await self._messages.get()
        if message is None:
            self._messages.put_nowait(None)
            return None
        self._read_bytes += _window_cost(message)
        if self._read_bytes >= WINDOW_BYTES // 2:
            self._window_bytes += self._read_bytes
            self._send_credit(self._read_bytes)
            self._read_bytes = 0
        return message


def _window_cost(message: bytes) -> int:
    """What a received message takes of the window; an empty one takes a byte, so that their number is bounded too."""
    return max(1, len(message))


class SendWindow:
    """How many bytes the receiver of one direction still accepts."""

    def __init__(self) -> None:
        self._window_bytes = WINDOW_BYTES
        self._open = asyncio.Event()
        self._open.set()

    def add_credit(self, size: int) -> None:
        """Extend the window by `size` bytes, to `WINDOW_BYTES` at most, whatever the receiver sends."""
        self._window_bytes = min(self._window_bytes + size, WINDOW_BYTES)
        if self._window_bytes > 0:
            self._open.set()

    def close(self) -> None:
        """Release the waiting writer: the call has ended."""
        self._open.set()

    async def reserve(self, size: int) -> None:
        """Wait until the window is open, then take `size` bytes from it."""
        if self._window_bytes <= 0:
            self._open.clear()
            await self._open.wait()
        self._window_bytes -= size
