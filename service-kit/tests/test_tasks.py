"""Tasks that run until they are stopped."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import suppress

import pytest
from service_kit.tasks import background, run_together, start_task, stop_task


async def breaks() -> None:
    raise ZeroDivisionError


async def runs_on() -> None:
    await asyncio.Event().wait()


async def test_a_failure_is_logged_at_once_and_raised_when_stopped(caplog: pytest.LogCaptureFixture):
    task = start_task(breaks(), "watch")
    await asyncio.wait((task,))
    await asyncio.sleep(0)
    (line,) = caplog.records
    assert (line.levelname, line.message, vars(line)["task"]) == ("ERROR", "background work broke", "watch")
    assert line.exc_info
    assert line.exc_info[0] is ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        await stop_task(task)


async def test_stopping_a_task_logs_nothing(caplog: pytest.LogCaptureFixture):
    task = start_task(runs_on(), "watch")
    await asyncio.sleep(0)
    await stop_task(task)
    await stop_task(None)
    assert (task.cancelled(), caplog.records) == (True, [])


async def test_background_work_runs_inside_its_context():
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await runs_on()
        finally:
            await asyncio.sleep(0)
            ended.set()

    async with background(work(), "watch") as task:
        assert task.get_name() == "watch"
        await started.wait()
        assert not ended.is_set()
    assert ended.is_set()
    assert task.cancelled()


async def test_background_work_stops_when_the_body_fails():
    with pytest.raises(ZeroDivisionError):
        async with background(runs_on(), "watch") as task:
            await breaks()
    assert task.cancelled()


async def test_background_work_stops_when_the_body_is_cancelled():
    entered = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def body() -> None:
        async with background(runs_on(), "watch") as task:
            tasks.append(task)
            entered.set()
            await runs_on()

    running = asyncio.create_task(body())
    await entered.wait()
    running.cancel()
    await asyncio.wait((running,))
    assert running.cancelled()
    assert tasks[0].cancelled()


async def test_a_failure_of_background_work_is_raised_on_exit(caplog: pytest.LogCaptureFixture):
    context = background(breaks(), "watch")
    task = await context.__aenter__()
    await asyncio.wait((task,))
    await asyncio.sleep(0)
    assert [line.message for line in caplog.records] == ["background work broke"]
    with pytest.raises(ZeroDivisionError):
        await context.__aexit__(None, None, None)


async def test_background_work_that_ends_early_is_no_failure():
    async def ends() -> None:
        return

    async with background(ends(), "watch") as task:
        await asyncio.wait((task,))


class Held:
    """Something that the frame of a failing task refers to."""


async def test_a_failure_is_freed_without_the_collector():
    async def fail(held: Held) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def work() -> weakref.ref[Held]:
        held = Held()
        with suppress(ZeroDivisionError):
            await run_together(fail(held), runs_on())
        return weakref.ref(held)

    gc.collect()
    gc.disable()
    try:
        held = await work()
        await asyncio.sleep(0)
        assert held() is None
    finally:
        gc.enable()


async def test_the_cause_of_a_failure_stays_with_it():
    async def fail() -> None:
        try:
            raise TimeoutError
        except TimeoutError as error:
            raise ZeroDivisionError from error

    with pytest.raises(ZeroDivisionError) as raised:
        await run_together(fail(), runs_on())
    assert isinstance(raised.value.__cause__, TimeoutError)
    assert isinstance(raised.value.__context__, TimeoutError)
