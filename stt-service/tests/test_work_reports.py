"""When a stream reports that the service works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from service_kit.tasks import stop_task
from stt_service.work_reports import WorkReports

pytestmark = pytest.mark.virtual_clock

INTERVAL_MS = 100


@asynccontextmanager
async def reporting(interval_ms: int = INTERVAL_MS) -> AsyncGenerator[tuple[WorkReports, list[int]]]:
    reported: list[int] = []

    async def report(received_ms: int) -> None:
        reported.append(received_ms)

    work = WorkReports(interval_ms, report)
    task = asyncio.create_task(work.run())
    yield work, reported
    await stop_task(task)


async def intervals(count: float) -> None:
    await asyncio.sleep(count * INTERVAL_MS / 1000)


async def until_reports_end(reported: list[int]) -> None:
    """Wait for the last report, and fail if another one follows."""
    await intervals(1.5)
    count = len(reported)
    await intervals(3)
    assert len(reported) == count


async def test_a_stream_without_requests_reports_its_opening():
    async with reporting() as (_, reported):
        await intervals(3)
        assert reported == [0]


async def test_every_audio_is_followed_by_one_report():
    async with reporting() as (work, reported):
        for end_ms in (20, 40):
            work.on_audio(end_ms)
            work.on_processed()
        await intervals(3.5)
        assert reported == [40]
        work.on_audio(60)
        work.on_processed()
        await intervals(1.5)
        assert reported == [40, 60]


async def test_audio_is_reported_on_while_the_engine_accepts_it():
    async with reporting() as (work, reported):
        work.on_audio(20)
        await intervals(3.5)
        assert len(reported) >= 2
        work.on_processed()
        await until_reports_end(reported)


async def test_a_flush_is_reported_on_until_its_final():
    async with reporting() as (work, reported):
        work.on_flush()
        await intervals(3.5)
        assert len(reported) >= 2
        work.on_final()
        await until_reports_end(reported)


async def test_a_commit_ends_the_wait_for_a_final():
    async with reporting() as (work, reported):
        work.on_flush()
        work.on_commit()
        await intervals(3)
        assert reported == [0]


async def test_without_an_interval_nothing_is_reported():
    async with reporting(0) as (work, reported):
        work.on_flush()
        await intervals(3)
        assert reported == []


async def test_a_short_interval_is_lengthened():
    async with reporting(1) as (work, reported):
        work.on_flush()
        await intervals(0.5)
        assert reported == []
