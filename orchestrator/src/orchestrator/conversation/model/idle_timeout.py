"""A timeout for many waits in a row, reset by every received item."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from types import TracebackType

# How soon a paused timeout is checked again.
_RECHECK_S = 1.0


def _never_paused() -> bool:
    return False


class IdleTimeout:
    """Raises `TimeoutError` when `reset` was not called for `timeout_s`. A reset costs one assignment.

    async with IdleTimeout(10) as timeout:
        async for item in items:
            timeout.reset()

    One timer serves all waits: when it fires, it checks whether the deadline has moved. While `paused_while` returns
    true, the timeout does not expire.
    """

    def __init__(self, timeout_s: float, paused_while: Callable[[], bool] = _never_paused) -> None:
        self.timeout_s = timeout_s
        self._paused_while = paused_while
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
        # A timeout refers to its task, and that by the traceback of its error to the frames that refer to this object.
        timeout = self._timeout
        del self._timeout
        try:
            return await timeout.__aexit__(kind, error, trace)
        finally:
            del timeout, error, trace

    def reset(self) -> None:
        """Restart the wait."""
        self._due_s = self._loop.time() + self.timeout_s
        if self._timer is None:
            self._timer = self._loop.call_at(self._due_s, self._check)

    def suspend(self) -> None:
        """Disable the timeout until the next `reset`."""
        self._due_s = math.inf

    def _check(self) -> None:
        self._timer = None
        if self._due_s == math.inf:
            return
        now_s = self._loop.time()
        if now_s >= self._due_s and self._paused_while():
            self._due_s = now_s + min(_RECHECK_S, self.timeout_s)
        if now_s < self._due_s:
            self._timer = self._loop.call_at(self._due_s, self._check)
        else:
            self._timeout.reschedule(now_s)
