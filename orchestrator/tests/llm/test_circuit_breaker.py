"""The circuit breaker and its probe."""

import asyncio
from collections.abc import Callable

import pytest
from orchestrator.llm.circuit_breaker import CircuitBreaker, CircuitBreakerProbe
from service_kit.errors import PeerFailed

pytestmark = pytest.mark.virtual_clock


def test_two_consecutive_failures_open_the_breaker():
    breaker = CircuitBreaker()
    breaker.on_failure(0)
    assert not breaker.open
    breaker.on_success()
    breaker.on_failure(1)
    assert not breaker.open
    breaker.on_failure(2)
    assert breaker.open


def test_one_permanent_failure_opens_the_breaker():
    breaker = CircuitBreaker()
    breaker.on_failure(0, permanent=True)
    assert breaker.open


def test_failure_when_half_open_reopens_for_twice_as_long():
    breaker = CircuitBreaker(hold_s=2)
    breaker.on_failure(0, permanent=True)
    holds = []
    now_s = 0
    for _ in range(8):
        while not breaker.may_half_open(now_s):
            now_s += 1
        breaker.half_open()
        assert not breaker.open
        breaker.on_failure(now_s)
        began_s = now_s
        while not breaker.may_half_open(now_s):
            now_s += 1
        holds.append(now_s - began_s)
    assert holds == [4, 8, 16, 32, 60, 60, 60, 60]
    breaker.on_success()
    breaker.on_failure(now_s, permanent=True)
    assert breaker.may_half_open(now_s + 2)


def test_failures_while_open_do_not_extend_the_hold():
    breaker = CircuitBreaker(hold_s=2)
    breaker.on_failure(0, permanent=True)
    breaker.on_failure(1)
    assert breaker.may_half_open(2)


def test_successful_probe_ends_a_failed_one_but_no_refused_reply():
    refused = PeerFailed("llm.refused", "HTTP 503: Loading model")
    breaker = CircuitBreaker()
    breaker.on_failed_probe(0, refused)
    assert breaker.latest_failure is refused
    breaker.half_open()
    assert breaker.latest_failure is None
    breaker.on_failure(0, permanent=True, reason=refused)
    breaker.half_open()
    assert breaker.latest_failure is refused
    breaker.on_success()
    assert breaker.latest_failure is None


class Server:
    """A server that is healthy or not, as its test sets."""

    def __init__(self, *, healthy: bool) -> None:
        self.healthy = healthy
        self.probes = 0

    async def probe(self) -> None:
        self.probes += 1
        if not self.healthy:
            raise PeerFailed("llm.unreachable", "no server")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not holds():
            await asyncio.sleep(0.002)


async def test_unreachable_server_opens_the_breaker_at_the_start():
    breaker, server = CircuitBreaker(hold_s=0), Server(healthy=False)
    async with CircuitBreakerProbe(breaker, server, interval_s=0.005).running():
        assert breaker.open
        await until(lambda: server.probes > 3)
        assert breaker.open
        server.healthy = True
        await until(lambda: not breaker.open)


async def test_closed_breaker_does_not_probe():
    breaker, server = CircuitBreaker(), Server(healthy=True)
    async with CircuitBreakerProbe(breaker, server, interval_s=0.002).running():
        await asyncio.sleep(0.05)
    assert server.probes == 1


async def test_unexpected_probe_error_is_raised():
    class Broken(Server):
        async def probe(self) -> None:
            await super().probe()
            if self.probes > 1:
                raise ZeroDivisionError

    breaker, server = CircuitBreaker(hold_s=0), Broken(healthy=True)

    async def watch() -> None:
        async with CircuitBreakerProbe(breaker, server, interval_s=0.002).running():
            breaker.on_failure(0, permanent=True)
            await until(lambda: server.probes == 2)

    with pytest.raises(ZeroDivisionError):
        await watch()
