"""Polling self-reports from services that answer, hang or fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from gpu_monitor.memory.self_report import FetchReport, Reporter, SelfReport
from gpu_monitor.memory.self_report_poller import MAX_AGE_S, SelfReportPoller
from self_reporting import wait_until
from service_kit.errors import AnchorError, PeerFailed


class HeldReporter:
    """Returns or raises `answer`; hangs while it is None."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.answer: SelfReport | AnchorError | None = SelfReport(other_bytes=5)
        self.asked = 0

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[FetchReport]:
        yield self._ask

    async def _ask(self) -> SelfReport:
        self.asked += 1
        match self.answer:
            case None:
                await asyncio.Event().wait()
                raise AssertionError
            case AnchorError() as error:
                raise error
            case report:
                return report


class Clock:
    """A clock that moves only when `now_s` is set."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@asynccontextmanager
async def asking(*asked: Reporter, clock: Clock | None = None) -> AsyncGenerator[SelfReportPoller]:
    """A running poller with an interval of 10 ms and a deadline of 50 ms."""
    times = {"clock": clock} if clock else {}
    reports = SelfReportPoller(asked, 0.05, lambda: 0.01, **times)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(reports.run())
        yield reports
        task.cancel()


async def test_hanging_service_does_not_delay_the_others():
    hangs, answers = HeldReporter("hangs"), HeldReporter("answers")
    hangs.answer = None
    async with asking(hangs, answers) as reports:
        await wait_until(lambda: answers.asked > 3 and hangs.asked > 1)
        assert reports.latest().keys() == {"answers"}


async def test_report_ages_then_turns_stale_then_is_dropped():
    reporter, clock = HeldReporter("tts-service"), Clock()
    async with asking(reporter, clock=clock) as reports:
        await wait_until(reports.latest)
        reporter.answer = PeerFailed("tts.gone", "it is gone")
        asked = reporter.asked
        await wait_until(lambda: reporter.asked > asked + 1)
        assert not reports.latest()["tts-service"].stale
        clock.now_s += 20
        received = reports.latest()["tts-service"]
        assert (received.stale, received.age_s, received.report.other_bytes) == (True, 20, 5)
        clock.now_s += MAX_AGE_S
        assert reports.latest() == {}
        reporter.answer = SelfReport(other_bytes=6)
        await wait_until(reports.latest)
        assert reports.latest()["tts-service"].report.other_bytes == 6


async def test_reports_of_one_service_are_merged():
    whole, half = HeldReporter("stt-service"), HeldReporter("stt-service")
    half.answer = SelfReport(complete=False, kv_cache_used_share=0.5)
    async with asking(whole, half) as reports:
        await wait_until(lambda: half.asked > 1 and whole.asked > 1)
        report = reports.latest()["stt-service"].report
    assert (report.held_bytes, report.kv_cache_used_share) == (5, 0.5)


async def test_unexpected_exception_stops_the_poller():
    reporter = HeldReporter("tts-service")

    async def broken() -> SelfReport:
        raise ZeroDivisionError

    reporter._ask = broken  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(ExceptionGroup):
        async with asking(reporter):
            await asyncio.sleep(20)
