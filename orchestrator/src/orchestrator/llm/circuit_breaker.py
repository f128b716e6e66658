"""Circuit breaker in front of the main language model, and the probe that closes it again.

Waiting for an unreachable server would delay every turn by the same timeout. After two consecutive replies that failed
to start, the breaker opens, and replies skip the model until a probe succeeds. The breaker is then half open: the next
failure opens it again, for twice as long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol, Self

from service_kit.errors import AnchorError, AtCapacity, NotReady
from service_kit.tasks import background

from orchestrator.metrics import LLM_CIRCUIT_OPEN

log = logging.getLogger(__name__)


_MAX_FAILURES = 2
PROBE_INTERVAL_S = 2.0
# Limit of the hold time, which doubles when replies fail after successful probes.
_MAX_HOLD_S = 60.0


class CircuitBreaker:
    """Counts failures; reads no clock. While it is open, replies skip the model. Shared by all sessions."""

    def __init__(self, hold_s: float = PROBE_INTERVAL_S) -> None:
        """`hold_s` is the minimum time that it stays open, the first time."""
        self._first_hold_s = hold_s
        self._hold_s = hold_s
        self._failures = 0
        self._held_until_s = 0.0
        # Set while the model is parked: replies skip it then too, without any failure.
        self.parked = False
        # Why the latest reply was not the model's; None after one that was.
        self.latest_failure: AnchorError | None = None
        self._failed_probe = False
        LLM_CIRCUIT_OPEN.set(0)

    @property
    def open(self) -> bool:
        """Whether replies skip the main model."""
        return self.parked or self._failures >= _MAX_FAILURES

    def on_success(self) -> None:
        """Record a reply that started."""
        self._failures = 0
        self.latest_failure = None
        self._hold_s = self._first_hold_s
        LLM_CIRCUIT_OPEN.set(0)

    def on_failure(self, now_s: float, *, permanent: bool = False, reason: AnchorError | None = None) -> None:
        """Record a reply that failed to start, and the reason; `permanent` when a retry cannot succeed."""
        self.latest_failure = reason or self.latest_failure
        self._failed_probe = False
        if self.open:
            # The reply was requested before the breaker opened.
            return
        self._failures = _MAX_FAILURES if permanent else self._failures + 1
        if self.open:
            LLM_CIRCUIT_OPEN.set(1)
            self._held_until_s = now_s + self._hold_s
            self._hold_s = min(2 * self._hold_s, _MAX_HOLD_S)

    def on_failed_probe(self, now_s: float, reason: AnchorError) -> None:
        """Record that the model cannot answer, before any reply; a successful probe ends it."""
        self.on_failure(now_s, permanent=True, reason=reason)
        self._failed_probe = True

    def may_half_open(self, now_s: float) -> bool:
        """Whether a successful probe may half-open it now."""
        return self.open and not self.parked and now_s >= self._held_until_s

    def half_open(self) -> None:
        """Record a successful probe: replies use the model again, and the first failure re-opens the breaker."""
        failure = self.latest_failure
        if self._failed_probe or isinstance(failure, (NotReady, AtCapacity)) or _is_unreachable(failure):
            # A refused reply may be refused again; a server that was away is back.
            self.latest_failure = None
        self._failures = _MAX_FAILURES - 1
        LLM_CIRCUIT_OPEN.set(0)


def _is_unreachable(failure: AnchorError | None) -> bool:
    return failure is not None and failure.code in ("llm.unreachable", "llm.connection_lost", "llm.silent")


class ProbedModel(Protocol):
    """A model with a probe, which checks its availability without a reply."""

    async def probe(self) -> None:
        """Raise `AnchorError` unless the model can answer."""
        ...


class CircuitBreakerProbe:
    """Probes `model` while its context and `breaker` are open.

    If the first probe, on entering the context, fails, the breaker opens at once, so that no reply waits for the model.
    """

    def __init__(self, breaker: CircuitBreaker, model: ProbedModel, interval_s: float = PROBE_INTERVAL_S) -> None:
        self._breaker = breaker
        self._model = model
        self._interval_s = interval_s

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Probe inside the context; the first probe is made on entering it."""
        if failure := await self._probe_failure():
            self._breaker.on_failed_probe(asyncio.get_running_loop().time(), failure)
        async with background(self._watch(), "language model probe"):
            yield self

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._interval_s)
            if self._breaker.may_half_open(loop.time()) and await self._probe_failure() is None:
                self._breaker.half_open()
                log.info("language model is used again")

    async def _probe_failure(self) -> AnchorError | None:
        try:
            await self._model.probe()
        except AnchorError as error:
            log.debug("language model probe failed", extra={"code": error.code, "reason": error.message})
            return error
        return None
