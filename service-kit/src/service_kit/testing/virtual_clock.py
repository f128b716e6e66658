"""A virtual clock for tests: hours pass in milliseconds, with the same result on a busy machine."""
# pyright: basic, reportAttributeAccessIssue=false

from __future__ import annotations

import asyncio
import heapq


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer as soon as nothing else is left to do.

    It uses private attributes of asyncio's loop, so it has a file of its own. It does not wait for sockets or threads:
    use it only with peers in memory.
    """

    def __init__(self) -> None:
        super().__init__()
        self._virtual_s = 0.0

    def time(self) -> float:
        return self._virtual_s

    def _run_once(self) -> None:
        while self._scheduled and self._scheduled[0].cancelled():
            heapq.heappop(self._scheduled)._scheduled = False
        if not self._ready and self._scheduled:
            self._virtual_s = max(self._virtual_s, self._scheduled[0].when())
        super()._run_once()
