"""Whether the main language model is worth asking, and the task that finds out when it is again.

Waiting for a server that is away costs every turn the same silence. So after two replies in a row that it failed to
begin, it is not asked at all until a probe finds it well; then the next failure is enough to stop asking again, for
twice as long.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Protocol, Self

from service_kit.errors import AnchorError
from service_kit.tasks import start_task, stop_task

from orchestrator.metrics import LLM_CIRCUIT_OPEN

log = logging.getLogger(__name__)


_FAILURES = 2
PROBE_EVERY_S = 2.0
# After probes that promised more than replies kept.
_LONGEST_HOLD_S = 60.0


class CircuitBreaker:
    """Counts; reads no clock. Open means: do not ask. Shared by all sessions."""

    def __init__(self, hold_s: float = PROBE_EVERY_S) -> None:
        """`hold_s` is how long it stays open at least, the first time."""
        self._first_hold_s = hold_s
        self._hold_s = hold_s
        self._failures = 0
        self._held_until_s = 0.0
        # Set while the model is parked: then it is not asked either, and that is nobody's failure.
        self.resting = False
        LLM_CIRCUIT_OPEN.set(0)

    @property
    def open(self) -> bool:
        """Whether the main model is given up for now."""
        return self.resting or self._failures >= _FAILURES

    def on_success(self) -> None:
        """A reply began."""
        self._failures = 0
        self._hold_s = self._first_hold_s
        LLM_CIRCUIT_OPEN.set(0)

    def on_failure(self, now_s: float, *, for_good: bool = False) -> None:
        """A reply did not begin; `for_good` when asking again would be of no use."""
        if self.open:
            # Asked for before it opened: no news.
            return
        self._failures = _FAILURES if for_good else self._failures + 1
        if self.open:
            LLM_CIRCUIT_OPEN.set(1)
            self._held_until_s = now_s + self._hold_s
            self._hold_s = min(2 * self._hold_s, _LONGEST_HOLD_S)

    def may_close(self, now_s: float) -> bool:
        """Whether a probe that goes well now would close it."""
        return self.open and not self.resting and now_s >= self._held_until_s

    def close_on_trial(self) -> None:
        """A probe went well: ask again, and give up at the first failure."""
        self._failures = _FAILURES - 1
        LLM_CIRCUIT_OPEN.set(0)


class Probed(Protocol):
    """A model that can say whether it would answer, without being asked for a reply."""

    async def probe(self) -> None:
        """Raise `AnchorError` unless it would answer."""
        ...


class CircuitBreakerProbe:
    """Probes `model` while `breaker` is open, from entering the context to leaving it.

    A model that is not well when the context is entered is given up at once, so that nobody waits for it in vain.
    """

    def __init__(self, breaker: CircuitBreaker, model: Probed, every_s: float = PROBE_EVERY_S) -> None:
        self._breaker = breaker
        self._model = model
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if not await self._is_well():
            self._breaker.on_failure(asyncio.get_running_loop().time(), for_good=True)
        self._task = start_task(self._watch(), "language model probe")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await stop_task(self._task)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._every_s)
            if self._breaker.may_close(loop.time()) and await self._is_well():
                self._breaker.close_on_trial()
                log.info("language model is asked again")

    async def _is_well(self) -> bool:
        try:
            await self._model.probe()
        except AnchorError as error:
            log.debug("language model not well", extra={"code": error.code, "reason": error.message})
            return False
        return True
