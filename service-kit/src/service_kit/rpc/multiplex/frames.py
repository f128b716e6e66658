"""What both ends of a carrier share: many calls on one gRPC stream, each with a window of its own.

The contract is `anchor/carrier/v1/carrier.proto`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

# Bytes that may be under way in one direction of one call: five seconds of speech at 24 kHz.
WINDOW_BYTES = 262_144
# The largest message that is carried.
MAX_CARRIED_BYTES = 131_072
# What leaves as one message holds no more frames than fit into this; half of what gRPC takes here.
_BATCH_BYTES = 131_072
# Beyond so many frames that nobody fetches, a server stops reading.
_FULL_FRAMES = 4_096
# Writing wakes a thread and a loop on either side: with many calls, that is most of what a message costs. Each call
# more stretches the time between two batches a little; a few are not worth a wait.
_STRETCH_S = 0.001
_FREE_CALLS = 4
_LONGEST_BEAT_S = 0.016


class Sized(Protocol):
    """A protobuf message."""

    def ByteSize(self) -> int: ...


FrameT = TypeVar("FrameT", bound=Sized)


def beat_s(calls: int) -> float:
    """The least time between two batches of a carrier with so many calls."""
    return min(_LONGEST_BEAT_S, max(0, calls - _FREE_CALLS) * _STRETCH_S)


class Outgoing(Generic[FrameT]):
    """Frames on their way out, in batches: what gathers between two beats leaves as one message.

    A beat is nothing for a few calls, and gets longer with each further one, up to 16 ms. Bounded by the windows of the
    calls; whoever adds frames that no window counts waits for `room` first.
    """

    def __init__(self) -> None:
        self._frames: deque[FrameT] = deque()
        self._filled = asyncio.Event()
        self._fetched = asyncio.Event()

    def put(self, frame: FrameT) -> None:
        """Let `frame` leave with the next batch."""
        self._frames.append(frame)
        self._filled.set()

    async def filled(self) -> None:
        """Wait until there is something to write."""
        await self._filled.wait()

    async def room(self) -> None:
        """Wait while too many frames are waiting to be written."""
        while len(self._frames) >= _FULL_FRAMES:
            self._fetched.clear()
            await self._fetched.wait()

    def clear(self) -> None:
        """Forget everything."""
        self._frames.clear()
        self._filled.clear()
        self._fetched.set()

    async def write_to(self, write: Callable[[Sequence[FrameT]], Awaitable[object]], calls: Callable[[], int]) -> None:
        """Write batch after batch until cancelled; `calls` says how many calls there are."""
        loop = asyncio.get_running_loop()
        next_s = 0.0
        while True:
            await self._filled.wait()
            if (wait_s := next_s - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            next_s = loop.time() + beat_s(calls())
            while self._frames:
                await write(self._batch())

    def _batch(self) -> list[FrameT]:
        batch = [self._frames.popleft()]
        size = batch[0].ByteSize()
        while self._frames and (size := size + self._frames[0].ByteSize()) <= _BATCH_BYTES:
            batch.append(self._frames.popleft())
        if not self._frames:
            self._filled.clear()
        self._fetched.set()
        return batch


class Inbound:
    """Serialised messages of one direction of a call, as they came; `grant` is told when the sender may go on."""

    def __init__(self, grant: Callable[[int], None]) -> None:
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._grant = grant
        # What the sender may still send, and what was taken since it was last told so.
        self._left_bytes = WINDOW_BYTES
        self._taken_bytes = 0

    def put(self, message: bytes) -> bool:
        """Take a message from the other side; false when the sender had no leave to send it."""
        if self._left_bytes <= 0:
            return False
        self._left_bytes -= len(message)
        self._messages.put_nowait(message)
        return True

    def end(self) -> None:
        """No further message comes."""
        self._messages.put_nowait(None)

    async def get(self) -> bytes | None:
        """The next message; None, again and again, after the last."""
        message = await self._messages.get()
        if message is None:
            self._messages.put_nowait(None)
            return None
        self._taken_bytes += len(message)
        if self._taken_bytes >= WINDOW_BYTES // 2:
            self._left_bytes += self._taken_bytes
            self._grant(self._taken_bytes)
            self._taken_bytes = 0
        return message


class Outbound:
    """The window of the other direction: how much may still be sent."""

    def __init__(self) -> None:
        self._left_bytes = WINDOW_BYTES
        self._open = asyncio.Event()
        self._open.set()

    def credit(self, size: int) -> None:
        """The receiver takes so many bytes more; never more than a window at a time, whatever it says."""
        self._left_bytes = min(self._left_bytes + size, WINDOW_BYTES)
        if self._left_bytes > 0:
            self._open.set()

    def close(self) -> None:
        """The call is over: nobody needs to wait any more."""
        self._open.set()

    async def spend(self, size: int) -> None:
        """Wait until a message may be sent, and count it."""
        if self._left_bytes <= 0:
            self._open.clear()
            await self._open.wait()
        self._left_bytes -= size
