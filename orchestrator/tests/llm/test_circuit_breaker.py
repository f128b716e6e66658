"""When the main model is given up, and when it is asked again."""

import asyncio
from collections.abc import Callable

import pytest
from orchestrator.llm.circuit_breaker import CircuitBreaker, CircuitBreakerProbe
from service_kit.errors import PeerFailed

pytestmark = pytest.mark.virtual_clock


def test_one_failure_is_an_accident_and_two_in_a_row_are_not():
    breaker = CircuitBreaker()
    breaker.on_failure(0)
    assert not breaker.open
    breaker.on_success()
    breaker.on_failure(1)
    assert not breaker.open
    breaker.on_failure(2)
    assert breaker.open


def test_a_failure_that_asking_again_cannot_mend_is_enough():
    breaker = CircuitBreaker()
    breaker.on_failure(0, for_good=True)
    assert breaker.open


def test_after_a_good_probe_one_failure_gives_up_again_and_for_twice_as_long():
    breaker = CircuitBreaker(hold_s=2)
    breaker.on_failure(0, for_good=True)
    holds = []
    now_s = 0
    for _ in range(8):
        while not breaker.may_close(now_s):
            now_s += 1
        breaker.close_on_trial()
        assert not breaker.open
        breaker.on_failure(now_s)
        began_s = now_s
        while not breaker.may_close(now_s):
            now_s += 1
        holds.append(now_s - began_s)
    assert holds == [4, 8, 16, 32, 60, 60, 60, 60]
    breaker.on_success()
    breaker.on_failure(now_s, for_good=True)
    assert breaker.may_close(now_s + 2)


def test_failures_of_replies_that_were_under_way_do_not_prolong_it():
    breaker = CircuitBreaker(hold_s=2)
    breaker.on_failure(0, for_good=True)
    breaker.on_failure(1)
    assert breaker.may_close(2)


class Server:
    """Well or not, as its test says."""

    def __init__(self, *, well: bool) -> None:
        self.well = well
        self.probes = 0

    async def probe(self) -> None:
        self.probes += 1
        if not self.well:
            raise PeerFailed("llm.unreachable", "no server")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not holds():
            await asyncio.sleep(0.002)


async def test_a_server_that_is_away_at_the_start_is_given_up_until_it_is_back():
    breaker, server = CircuitBreaker(hold_s=0), Server(well=False)
    async with CircuitBreakerProbe(breaker, server, every_s=0.005):
        assert breaker.open
        await until(lambda: server.probes > 3)
        assert breaker.open
        server.well = True
        await until(lambda: not breaker.open)


async def test_a_server_that_is_asked_is_not_probed_besides():
    breaker, server = CircuitBreaker(), Server(well=True)
    async with CircuitBreakerProbe(breaker, server, every_s=0.002):
        await asyncio.sleep(0.05)
    assert server.probes == 1


async def test_a_probe_that_breaks_is_not_hidden():
    class Broken(Server):
        async def probe(self) -> None:
            await super().probe()
            if self.probes > 1:
                raise ZeroDivisionError

    breaker, server = CircuitBreaker(hold_s=0), Broken(well=True)

    async def watch() -> None:
        async with CircuitBreakerProbe(breaker, server, every_s=0.002):
            breaker.on_failure(0, for_good=True)
            await until(lambda: server.probes == 2)

    with pytest.raises(ZeroDivisionError):
        await watch()
