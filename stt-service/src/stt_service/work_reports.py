"""Signs of work for the client of one stream, so that it can tell a service that hangs from one that is slow.

They come from the event loop, which does the service's work or supervises it: pings are answered even when it is
blocked. A worker process that hangs is found by its watch (`service_kit.engines.worker_watch`), which ends the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

# A shorter interval is a waste of messages.
_MIN_INTERVAL_MS = 100


class WorkReports:
    """Calls `report` with the end of the received audio, at most once an interval, while there is something to do.

    The first report follows the opening of the stream. `interval_ms` 0: never.
    """

    def __init__(self, interval_ms: int, report: Callable[[int], Awaitable[None]]) -> None:
        self._interval_s = max(interval_ms, _MIN_INTERVAL_MS) / 1000 if interval_ms else 0.0
        self._report = report
        self._received_ms = 0
        self._unanswered_flushes = 0
        self._processing = False
        self._has_work = asyncio.Event()
        self._has_work.set()

    def on_audio(self, end_ms: int) -> None:
        """Audio up to `end_ms` of the audio clock arrived, and the engine gets it."""
        self._received_ms = end_ms
        self._processing = True
        self._has_work.set()

    def on_processed(self) -> None:
        """The engine has accepted the latest request, which may have taken it a while."""
        self._processing = False

    def on_flush(self) -> None:
        """A final transcript was requested."""
        self._unanswered_flushes += 1
        self._has_work.set()

    def on_final(self) -> None:
        """A final transcript was sent."""
        self._unanswered_flushes = max(0, self._unanswered_flushes - 1)

    def on_commit(self) -> None:
        """The segment was closed: its final transcript is not waited for."""
        self._unanswered_flushes = 0

    async def run(self) -> None:
        """Report until cancelled."""
        if not self._interval_s:
            return
        while True:
            await self._has_work.wait()
            await asyncio.sleep(self._interval_s)
            if not self._unanswered_flushes and not self._processing:
                self._has_work.clear()
            await self._report(self._received_ms)
