"""A deadline for many waits in a row."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from types import TracebackType

# How soon to look again at one who is excused.
_LOOK_AGAIN_S = 1.0


def _never_paused() -> bool:
    return False


class IdleTimeout:
    """Raises `TimeoutError` when nobody has put it off for `within_s`. Putting it off costs an assignment.

    async with Deadline(10) as deadline:
        async for item in items:
            deadline.put_off()

    One timer serves all waits: it looks, when it fires, whether the deadline has moved. `excused` says then that the
    wait is nobody's fault yet.
    """

    def __init__(self, within_s: float, excused: Callable[[], bool] = _never_paused) -> None:
        self.within_s = within_s
        self._excused = excused
        self._loop = asyncio.get_running_loop()
        self._due_s = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> IdleTimeout:
        await self._timeout.__aenter__()
        self.reset()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._timer is not None:
            self._timer.cancel()
        return await self._timeout.__aexit__(kind, error, trace)

    def reset(self) -> None:
        """Begin the wait anew."""
        self._due_s = self._loop.time() + self.within_s
        if self._timer is None:
            self._timer = self._loop.call_at(self._due_s, self._look)

    def suspend(self) -> None:
        """Wait for ever, until it is put off again."""
        self._due_s = math.inf

    def _look(self) -> None:
        self._timer = None
        if self._due_s == math.inf:
            return
        now_s = self._loop.time()
        if now_s >= self._due_s and self._excused():
            self._due_s = now_s + min(_LOOK_AGAIN_S, self.within_s)
        if now_s < self._due_s:
            self._timer = self._loop.call_at(self._due_s, self._look)
        else:
            self._timeout.reschedule(now_s)
