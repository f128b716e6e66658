"""Conversations on a virtual clock, with peers in memory."""

from __future__ import annotations

import asyncio
import heapq
import sys
from pathlib import Path

import pytest

# The stage stands beside the tests, which are not a package.
sys.path.insert(0, str(Path(__file__).parent))

from stage import Stage


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer as soon as nothing else is left to do.

    It leans on two private attributes of asyncio's loop, and so stands in this one file. It outruns real sockets:
    only for peers in memory.
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


def pytest_asyncio_loop_factories(config, item):
    return {"virtual": VirtualLoop}


@pytest.fixture
async def stage():
    """An open session with scripted peers; configure it, then `async with stage:`."""
    return Stage()
