"""An event loop in a thread of its own, for proxies and stand-ins that outlive the loop of one test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

Result = TypeVar("Result")
WITHIN_S = 30.0


class LoopThread:
    """Runs coroutines and functions of one loop for callers on other threads; use it as a context."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="proxies and stand-ins", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine there, and wait for its result; blocks the caller's thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WITHIN_S)

    def call(self, function: Callable[[], Result]) -> Result:
        """Call a function there, and wait for its result; blocks the caller's thread."""

        async def work() -> Result:
            return function()

        return self.run(work())
