"""Slots of microphone streams: at capacity, a stream on which nobody speaks gives way to a new one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

from service_kit.errors import AtCapacity

# A stream without audio for this long is idle: its user is silent, or gone.
_IDLE_S = 2.0
# A flushed stream waits for its final transcript, and is idle only after this long.
_AWAITING_FINAL_S = 10.0
# How long a stream may take to close its engine before its slot counts as free.
_CLOSE_S = 2.0


class StreamSlot:
    """One stream's slot; records what happens on it."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._active_s = now_s()
        self._awaits_final = False
        self._revoked = asyncio.Event()
        self.released = asyncio.Event()

    def on_audio(self) -> None:
        """Audio arrived."""
        self._active_s, self._awaits_final = self._now_s(), False

    def on_flush(self) -> None:
        """A final transcript was requested."""
        self._active_s, self._awaits_final = self._now_s(), True

    def on_final(self) -> None:
        """A final transcript was sent."""
        self._awaits_final = False

    @property
    def idle_s(self) -> float:
        """How long the stream has been idle, in seconds; 0 or less for one in use."""
        return self._now_s() - self._active_s - (_AWAITING_FINAL_S if self._awaits_final else _IDLE_S)

    def revoke(self) -> None:
        """Make `wait_revoked` raise."""
        self._revoked.set()

    async def wait_revoked(self) -> None:
        """Wait until the slot is given to another stream. Raises `AtCapacity` then."""
        await self._revoked.wait()
        raise AtCapacity("stt.idle", "nobody spoke here, and another microphone needed the slot; open a new stream")


class StreamSlots:
    """At most `capacity` streams at a time."""

    def __init__(self, capacity: int, now_s: Callable[[], float] | None = None) -> None:
        self._capacity = capacity
        self._now_s = now_s or (lambda: asyncio.get_running_loop().time())
        self._slots: list[StreamSlot] = []

    @asynccontextmanager
    async def reserve(self) -> AsyncGenerator[StreamSlot]:
        """Hold a slot. At capacity, the longest idle stream gives way. Raises `AtCapacity` when none is idle."""
        slot = StreamSlot(self._now_s)
        gives_way: StreamSlot | None = None
        if len(self._slots) >= self._capacity:
            gives_way = max(self._slots, key=lambda held: held.idle_s)
            if gives_way.idle_s <= 0:
                raise AtCapacity("stt.at_capacity", f"{self._capacity} people are speaking; try again in a moment")
            self._slots.remove(gives_way)
            gives_way.revoke()
        self._slots.append(slot)
        try:
            if gives_way is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_CLOSE_S):
                        await gives_way.released.wait()
            yield slot
        finally:
            if slot in self._slots:
                self._slots.remove(slot)
            slot.released.set()
