"""A deadline on the signs of work of another service's stream.

HTTP/2 pings are answered by a thread of their own, so they do not show that the service works: its event loop may be
blocked, or its worker hung. Only what the service computes shows it.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from service_kit.errors import PeerFailed

# The deadline passes in so many steps, so that a pause of this process is not taken for one of the service: when it
# ends, one step is over, and what the service sent meanwhile is read before the next one is.
_STEPS = 4


class ProgressWatch:
    """Ends a stream that owes a sign of work for about `allowed_s` seconds; idle while nothing is owed."""

    def __init__(self, service: str, allowed_s: float) -> None:
        self._service = service
        self._allowed_s = allowed_s
        self._is_due = asyncio.Event()
        self._steps = 0

    def reset(self) -> None:
        """Expect nothing: a new stream has opened."""
        self._is_due.clear()

    def expect_progress(self) -> None:
        """A sign of work is due from now on, if none was due before."""
        if not self._is_due.is_set():
            self._steps = 0
            self._is_due.set()

    def on_progress(self, *, more_due: bool) -> None:
        """A sign of work has arrived; with `more_due`, another one is due from now on."""
        self._steps = 0
        if not more_due:
            self._is_due.clear()

    async def run(self) -> NoReturn:
        """Run until cancelled. Raises `PeerFailed` when the service owes a sign of work for too long."""
        while True:
            await self._is_due.wait()
            await asyncio.sleep(self._allowed_s / _STEPS)
            self._steps += 1
            if self._is_due.is_set() and self._steps >= _STEPS:
                raise PeerFailed(
                    f"{self._service}.silent", f"{self._service} showed no sign of work for {self._allowed_s:g} s"
                )
