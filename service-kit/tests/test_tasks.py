"""Work that goes on until it is ended."""

from __future__ import annotations

import asyncio

import pytest
from service_kit.tasks import start_task, stop_task


async def breaks() -> None:
    raise ZeroDivisionError


async def goes_on() -> None:
    await asyncio.Event().wait()


async def test_work_that_breaks_is_in_the_log_at_once_and_raised_where_it_is_ended(caplog: pytest.LogCaptureFixture):
    task = start_task(breaks(), "watch")
    await asyncio.wait((task,))
    await asyncio.sleep(0)
    (line,) = caplog.records
    assert (line.levelname, line.message, vars(line)["task"]) == ("ERROR", "background work broke", "watch")
    assert line.exc_info
    assert line.exc_info[0] is ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        await stop_task(task)


async def test_work_that_is_ended_is_no_news(caplog: pytest.LogCaptureFixture):
    task = start_task(goes_on(), "watch")
    await asyncio.sleep(0)
    await stop_task(task)
    await stop_task(None)
    assert (task.cancelled(), caplog.records) == (True, [])
